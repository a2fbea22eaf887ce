"""Whether a program keeps within limits: of its own, or of growth over a baseline."""
