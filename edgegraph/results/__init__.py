"""What was found out, as immutable, versioned data; imports no jax."""
