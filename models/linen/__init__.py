"""Networks in Flax linen, beside their NNX forms: same sizes, same names, same weights."""
