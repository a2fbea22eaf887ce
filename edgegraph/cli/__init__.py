"""The command line, one small file per command."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from edgegraph.errors import EdgeGraphError

PACKAGE = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the entry point of ``edgegraph``.

    Args:
        arguments: What stands behind ``edgegraph`` on the command line; this process's own
            where None.

    Returns:
        The exit code: 0 done, 1 a gate failed, 2 bad input, 3 the measurement is too noisy under
        ``--strict``, 130 interrupted.
    """
    from edgegraph.cli.app import app

    # Programs run on this host. JAX would else start every platform that is installed, and the
    # compilers for devices that are not here complain about that at length.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    with warnings.catch_warnings():
        plain = warnings.formatwarning
        warnings.formatwarning = _format_warning
        try:
            app(args=arguments, prog_name="edgegraph")
        except EdgeGraphError as error:
            print(f"edgegraph: error: {' '.join(str(error).split())}", file=sys.stderr)
            return error.exit_code
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 0
        finally:
            warnings.formatwarning = plain
    return 0


def _format_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Return the text of a warning: one plain line for EdgeGraph's own, Python's for all others."""
    if Path(filename).is_relative_to(PACKAGE):
        return f"edgegraph: warning: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"
