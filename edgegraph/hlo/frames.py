"""Where in the code an op stands: which frames of Python made it, from the program's own outwards.

JAX keeps the frames of every equation but for its own. Those of the wrappers that modules and
transformations put around functions say nothing of a program and are left out, as is what called
EdgeGraph. Of a run of frames in libraries, the function that was called from outside stays, and,
where the op stands in the library itself, the function in which it does. Where the program has no
code but a library's (``mjx.step``), that library counts as its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from edgegraph.hlo.module import Module, StackFrame

_OWN_CODE = str(Path(__file__).resolve().parents[1])

_OWN_ANYWHERE = re.compile(
    r"[/\\]edgegraph[/\\](?:analysis|cli|compiler|doors|gate|measure|rewrites|studies|workload)[/\\]"
)
"""Of a result that was saved elsewhere: the rooms that call the code of others."""

_COMMAND_LINE = re.compile(r"[/\\]edgegraph[/\\]cli[/\\]")

_LIBRARY = re.compile(
    r"""[/\\](?:site|dist)-packages[/\\]
      | [/\\]lib[/\\]python3[^/\\]*[/\\]
      | [/\\](?:jax|optax)[/\\]_src[/\\]
      | [/\\]flax[/\\](?:linen|nnx|core)[/\\]
      | ^<frozen
    """,
    re.VERBOSE,
)
"""Installed packages, the standard library, and the libraries' own checkouts."""

_WRAPPERS = re.compile(
    r"""[/\\]flax[/\\](?:core|linen[/\\](?:module|transforms)|nnx[/\\](?!nn[/\\])|\w+\.py$)
      | [/\\]equinox[/\\](?:_|internal[/\\])
      | [/\\]haiku[/\\]_src[/\\](?:module|transform|stateful|lift|layer_stack)\.
      | [/\\](?:jaxtyping|beartype|chex|wrapt)[/\\]
      | [/\\]lib[/\\]python3[^/\\]*[/\\](?!(?:site|dist)-packages[/\\])
      | ^<frozen
    """,
    re.VERBOSE,
)
"""What calls the functions of a program, and does nothing of its own."""

_PACKAGE = re.compile(r"(?:site|dist)-packages[/\\]([^/\\]+)")


@lru_cache(maxsize=4096)
def is_edgegraph(file: str) -> bool:
    """Return whether a file is EdgeGraph's own."""
    return file.startswith((f"{_OWN_CODE}/", f"{_OWN_CODE}\\")) or bool(_OWN_ANYWHERE.search(file))


@lru_cache(maxsize=4096)
def is_library(file: str) -> bool:
    """Return whether a file is of an installed library, of Python, or of EdgeGraph."""
    return is_edgegraph(file) or _LIBRARY.search(file) is not None


class CallPaths:
    """The frames of a program that are worth a row, for each of its frames, outermost first.

    Frames are numbers from 1 on, as `Instruction.stack_frame_id` has them. Equal frames of one
    caller are one: the first of them. A function stands in a path once, for where XLA puts one
    call into another it writes the frames of the outer one again.
    """

    def __init__(self, module: Module) -> None:
        self._frames = module.stack_frames
        used = {
            each.stack_frame_id
            for computation in module.computations.values()
            for each in computation.instructions
        }
        chains = {number: self._chain(number) for number in used}
        firsts = [self._frames[chain[0] - 1].file for chain in chains.values() if chain]
        files = {self._frames[at - 1].file for chain in chains.values() for at in chain}
        self._libraries = {file for file in files if is_library(file)}
        if self._libraries == files:
            own = {_package(file) for file in firsts}
            self._libraries = {file for file in files if _package(file) not in own}
        self._same: dict[tuple[int, str, str, int], int] = {}
        self._paths = {number: self._path(chains[number]) for number in sorted(used)}

    def of(self, number: int | None) -> tuple[int, ...]:
        """Return the path to a frame, itself at the end; empty where nothing is known."""
        if number is None or not 0 < number <= len(self._frames):
            return ()
        if number not in self._paths:
            self._paths[number] = self._path(self._chain(number))
        return self._paths[number]

    def frame(self, number: int) -> StackFrame:
        """Return a frame by its number."""
        return self._frames[number - 1]

    def function(self, number: int) -> tuple[str, str]:
        """Return what tells the function of a frame from others: its file and its name."""
        frame = self.frame(number)
        return frame.file, frame.function

    def _chain(self, number: int) -> list[int]:
        """List the frames around one, the outermost first, but for callers and wrappers."""
        chain: dict[int, None] = {}
        # A file may link frames in a circle.
        while 0 < number <= len(self._frames) and number not in chain:
            chain[number] = None
            number = self._frames[number - 1].parent
        outwards = list(chain)[::-1]
        ours = [at for at in outwards if is_edgegraph(self.frame(at).file)]
        # Between frames of the command line stand those of the library that reads it.
        callers = [at for at in ours if _COMMAND_LINE.search(self.frame(at).file)][-1:] or ours[:1]
        if callers:
            outwards = outwards[outwards.index(callers[0]) + 1 :]
        functions: set[tuple[str, str]] = set()
        kept = []
        for at in outwards:
            function = self.function(at)
            if function not in functions and not _is_wrapper(function[0]):
                functions.add(function)
                kept.append(at)
        return kept

    def _path(self, chain: Sequence[int]) -> tuple[int, ...]:
        path: list[int] = []
        for number in self._without_inner(chain):
            place = (path[-1] if path else 0, *self.function(number), self.frame(number).line)
            path.append(self._same.setdefault(place, number))
        return tuple(path)

    def _without_inner(self, chain: Sequence[int]) -> Iterator[int]:
        """Leave out what libraries call of themselves."""
        for library, run in groupby(chain, lambda at: self.frame(at).file in self._libraries):
            frames = list(run)
            if not library:
                yield from frames
                continue
            # A decorator's wrapper is called first, and is not what anyone calls it by.
            named = (at for at in frames if "<locals>" not in self.frame(at).function)
            called = next(named, frames[0])
            yield called
            if frames[-1] == chain[-1] != called:
                yield frames[-1]


@lru_cache(maxsize=4096)
def _is_wrapper(file: str) -> bool:
    return is_edgegraph(file) or _WRAPPERS.search(file) is not None


def _package(file: str) -> str:
    """Name the installed package that a file is of; the file itself where it is of none."""
    found = _PACKAGE.search(file)
    return file if found is None else found[1]


def common_path(paths: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """Return what paths begin with alike."""
    held = list(paths)
    if not held:
        return ()
    first, last = min(held), max(held)
    count = 0
    while count < min(len(first), len(last)) and first[count] == last[count]:
        count += 1
    return first[:count]
