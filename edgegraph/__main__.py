"""Run the command line with ``python -m edgegraph``, or as ``edgegraph``."""

from __future__ import annotations

import os
import sys

from edgegraph.errors import INTERRUPTED, NOTHING


def main() -> int:
    """Run one command, and return its exit code; Ctrl-C also counts while this is loaded."""
    try:
        from edgegraph.cli import main as run
    except KeyboardInterrupt:
        print(f"edgegraph: interrupted; kept: {NOTHING}", file=sys.stderr, flush=True)
        os._exit(INTERRUPTED)
    return run()


if __name__ == "__main__":
    sys.exit(main())
