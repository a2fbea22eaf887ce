"""Doors for what people already have; `registry` decides which one opens an input."""
