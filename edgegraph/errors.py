"""Every error that EdgeGraph raises on purpose.

A message is one line: what went wrong, which value, what was expected, what to do.
The command line prints it and exits with the error's `exit_code`.
"""

from __future__ import annotations

from numbers import Integral

INTERRUPTED = 130
"""The exit code after Ctrl-C."""
NOTHING = "nothing was finished and saved"
"""What is kept of a command that is interrupted early."""


class EdgeGraphError(Exception):
    """Root of all errors a caller can act on."""

    exit_code = 2


class InputError(EdgeGraphError):
    """An argument cannot be used: a SPEC, a file, a shape, a batch size."""


class CompileError(EdgeGraphError):
    """JAX or XLA refused the workload; carries the first line of their message."""


class FormatError(InputError):
    """A file is not what it claims to be, is cut off, or is of a newer version."""


class UnsupportedVersionError(EdgeGraphError):
    """The installed jax lacks a private name that EdgeGraph needs."""


class NoisyMeasurementError(EdgeGraphError):
    """A measurement was too noisy to be used where certainty was asked for."""

    exit_code = 3


USER_ERRORS = (Exception, SystemExit)
"""What the user's code may raise; `sys.exit` in it ends what was asked of it, and not EdgeGraph."""


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
    if isinstance(error, KeyError | SystemExit):
        return f"{type(error).__name__}: {message}"
    return message


def positive_integer(value: object, name: str) -> int:
    """Return a value that must be a positive integer, NumPy's included.

    Example:
        >>> positive_integer(True, "batch")
        Traceback (most recent call last):
        edgegraph.errors.InputError: batch must be a positive integer, not True
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(f"{name} must be a positive integer, not {value!r}")
    return int(value)
