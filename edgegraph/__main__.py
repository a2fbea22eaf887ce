"""Run the command line with ``python -m edgegraph``."""

import sys

from edgegraph.cli import main

if __name__ == "__main__":
    sys.exit(main())
