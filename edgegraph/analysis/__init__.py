"""From a program to its Analysis."""
