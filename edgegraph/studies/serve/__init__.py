"""Serving a language model: prefill of prompts, and decoding token by token."""
