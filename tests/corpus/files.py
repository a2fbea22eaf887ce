"""The files of the corpus.

``real`` is made by `tests.corpus.make_corpus` for this host; ``ahead_of_time`` was compiled for
devices that are not here; ``handwritten`` shows the syntax of GPU and TPU modules.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

from edgegraph import xla

FOLDER = Path(__file__).parent
REAL = FOLDER / "real"
AHEAD_OF_TIME = FOLDER / "ahead_of_time"
HANDWRITTEN = FOLDER / "handwritten"

FILES = {
    path.relative_to(FOLDER).as_posix(): path
    for folder in (REAL, AHEAD_OF_TIME, HANDWRITTEN)
    for path in sorted(folder.iterdir())
}
"""All files by name."""


@cache
def serialized(name: str) -> bytes:
    """Return a file's HloModuleProto; the file is ours, so XLA may parse it in this process."""
    content = FILES[name].read_bytes()
    if name.endswith(".gz"):
        content = gzip.decompress(content)
    return content if ".pb" in name else xla.parse_text(content.decode())
