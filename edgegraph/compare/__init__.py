"""What changed between two analyses: layers aligned, then ops by what they do, never by name."""
