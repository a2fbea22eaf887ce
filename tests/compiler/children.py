"""What goes wrong in a compiler's process; imports no jax, so that it starts at once."""

from __future__ import annotations

import os
import signal
import sys

from edgegraph.child import Progress
from edgegraph.errors import CompileError


def abort(payload: bytes, report: Progress) -> bytes:
    sys.stderr.write("F0000 compiler.cc:1] Check failed: chip != nullptr\n")
    sys.stderr.flush()
    os.abort()


def hang(payload: bytes, report: Progress) -> bytes:
    while True:
        signal.pause()


def refuse(payload: bytes, report: Progress) -> bytes:
    raise CompileError("RESOURCE_EXHAUSTED: it does not fit into 16 GB")
