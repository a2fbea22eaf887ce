"""What holds of every error that is raised on purpose, wherever damaged input makes it."""

from __future__ import annotations


def one_line(error: Exception) -> None:
    """Check that a message is one line, and not empty."""
    message = str(error)
    assert message
    assert "\n" not in message, f"not one line: {message!r}"


def mentions(error: Exception, culprit: str) -> None:
    """Check that a message names what is wrong."""
    assert culprit in str(error)
