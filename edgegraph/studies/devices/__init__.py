"""The same program on several devices."""
