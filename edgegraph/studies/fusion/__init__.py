"""What fusing operations into one kernel brings."""
