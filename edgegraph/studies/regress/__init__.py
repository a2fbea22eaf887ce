"""The same program under several versions of jax: what became slower, and by whose change."""
