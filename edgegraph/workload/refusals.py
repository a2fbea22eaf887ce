"""Turns an exception from JAX, Flax or the user's code into one clear line."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error's message that says something, or its type's name.

    Example:
        >>> first_line(ValueError("shapes do not match\n  File ..."))
        'shapes do not match'
        >>> first_line(StopIteration())
        'StopIteration'
    """
    lines = [line.strip() for line in str(error).splitlines()]
    message = next((line for line in lines if line), "")
    if not message:
        return type(error).__name__
    if isinstance(error, KeyError):
        return f"KeyError: {message}"
    return message
