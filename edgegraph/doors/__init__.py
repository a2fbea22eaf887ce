"""Every door for what people already have; `registry` decides which one a thing goes through."""
