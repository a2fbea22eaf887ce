"""Make the part of the corpus that comes from real JAX programs.

Every program is kept as XLA is given it (``lowered``) and as XLA gives it back for this host
(``optimized``), as a serialized module that is compressed with gzip. Python's own paths are cut
out of the stack frames. What XLA writes differs from version to version: make the corpus anew
when a newer one does something new.

    python -m tests.corpus.make_corpus [--only NAME] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import gzip
import re
from collections.abc import Iterable
from pathlib import Path

import jax

from edgegraph import xla
from edgegraph.hlo.schema import HloModuleProto
from tests.corpus.files import FOLDER, REAL
from tests.corpus.programs import DEVICES, PROGRAMS

STAGES = ("lowered", "optimized")

_HOME = re.compile(r"^.*(?=/(?:site-packages|lib/python3)[^/]*/)")
"""Where a library is installed."""


def names() -> list[str]:
    """Name all files that the script makes."""
    return [f"{name}.{stage}.pb.gz" for name in PROGRAMS for stage in STAGES]


def make(folder: Path, programs: Iterable[str]) -> None:
    """Compile programs and write them to a folder.

    Args:
        folder: Where to.
        programs: Which ones.
    """
    for name in programs:
        function, arguments = PROGRAMS[name]()
        jitted = function if hasattr(function, "lower") else jax.jit(function)
        lowered = jitted.lower(*arguments)
        modules = xla.lowered_module(lowered), xla.compiled_module(lowered.compile())
        for stage, module in zip(STAGES, modules, strict=True):
            content = gzip.compress(_without_paths(module), mtime=0)
            (folder / f"{name}.{stage}.pb.gz").write_bytes(content)


def _without_paths(serialized: bytes) -> bytes:
    """Name files by their place in the library or in this project."""
    module = HloModuleProto.FromString(serialized)
    root = str(FOLDER.parents[1])
    known = module.stack_frame_index.file_names
    known[:] = [_HOME.sub("", file).replace(root, "") for file in known]
    return bytes(module.SerializeToString())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=PROGRAMS, action="append", help="make these alone")
    parser.add_argument("--folder", type=Path, default=REAL, help="where to write")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", DEVICES)
    make(options.folder, options.only or PROGRAMS)


if __name__ == "__main__":
    main()
