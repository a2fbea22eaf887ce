"""Where it helps to do two things at once."""
