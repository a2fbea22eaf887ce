"""Measuring what this machine can do, through XLA itself."""
