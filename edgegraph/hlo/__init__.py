"""XLA's HLO as immutable Python data, read without jax."""
