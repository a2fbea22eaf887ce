"""Equivalent forms of what a program does: tried, measured, proven, and applied."""
