"""Lines and functions against a profile, read by jax.profiler and the text of the HLO alone."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import edgegraph as eg
from edgegraph.compiler.program import Program
from edgegraph.results.analysis import Analysis
from edgegraph.results.records import CodeRecord
from tests import plain_programs
from tests.plain_programs import line_of

CONTROL_FLOW = ("while", "conditional")
HOLDING = ("fusion", "call", "while")
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%([\w.-]+) = .*?[\]})] ([\w-]+)\((.*)$")
COMPUTATION = re.compile(r"^(?:ENTRY )?%([\w.-]+) .*\{$")

Lines = frozenset[str]


@dataclass(frozen=True)
class Instruction:
    """What the text says of an instruction."""

    opcode: str
    called: tuple[str, ...]
    source: str | None


def table(text: str, name: str) -> Mapping[int, str]:
    """Return the numbered lines of a table of the text."""
    body = text.partition(f"\n{name}\n")[2].partition("\n\n")[0]
    return {int(row.split(" ", 1)[0]): row.split(" ", 1)[1] for row in body.splitlines() if row}


def numbers(row: str) -> Mapping[str, int]:
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", row)}


def sources(text: str) -> Callable[[int], str | None]:
    """Return what finds ``file:line`` of the innermost frame that is no library's."""
    files, locations = table(text, "FileNames"), table(text, "FileLocations")
    frames = table(text, "StackFrames")

    def source(number: int) -> str | None:
        while number in frames:
            frame = numbers(frames[number])
            where = numbers(locations[frame["file_location_id"]])
            file = files[where["file_name_id"]].strip('"')
            if "site-packages" not in file:
                return f"{file}:{where['line']}"
            number = frame.get("parent_frame_id", 0)
        return None

    return source


def kernels(text: str, timed: Set[str]) -> Mapping[str, Lines]:
    """Return the lines that each op of a program stands on, those of a fusion all together.

    A call is a kernel, too, unless ops in it are `timed`.
    """
    source = sources(text)
    computations: dict[str, dict[str, Instruction]] = {}
    inside: dict[str, Instruction] = {}
    for row in text.splitlines():
        head, found = COMPUTATION.match(row), INSTRUCTION.match(row)
        if head:
            inside = computations.setdefault(head[1], {})
        elif found:
            called = re.findall(r"(?:calls|to_apply|body|condition)=%([\w.-]+)", row)
            frame = re.search(r"stack_frame_id=(\d+)", row)
            inside[found[1]] = Instruction(
                opcode=found[2],
                called=tuple(called) if found[2] in HOLDING else (),
                source=source(int(frame[1])) if frame else None,
            )

    def lines(instruction: Instruction) -> set[str]:
        if not instruction.called:
            return {instruction.source} - {None}  # type: ignore[return-value]  # None is taken out
        held = [each for name in instruction.called for each in computations[name].values()]
        found = {line for each in held if each.opcode != "constant" for line in lines(each)}
        own = instruction.opcode == "while" and instruction.source is not None
        return found | {instruction.source} if own else found  # type: ignore[arg-type]  # not None

    return {
        name: frozenset(lines(each))
        for held in computations.values()
        for name, each in held.items()
        if not (each.opcode == "call" and timed & computations[each.called[0]].keys())
    }


def profile(program: Program, arguments: Sequence[Any], folder: Path) -> Path:
    """Run a program under JAX's profiler; return the file that it wrote."""
    assert program.executable is not None
    jax.block_until_ready(program.executable(*arguments))
    with jax.profiler.trace(str(folder)):
        for _ in range(2):
            jax.block_until_ready(program.executable(*arguments))
    (file,) = folder.glob("**/*.xplane.pb")
    return file


def profiled(file: Path) -> Mapping[str, float]:
    """Return the time in which any thread worked for each op in the second call, in ns."""
    spans: dict[str, list[tuple[float, float]]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of jaxlib's own bindings on 3.13
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            for line in plane.lines:
                for event in line.events:
                    op = dict(event.stats).get("hlo_op")
                    if op is not None:
                        span = (event.start_ns, event.start_ns + event.duration_ns)
                        spans.setdefault(str(op), []).append(span)
    return {name: covered(sorted(each)[len(each) // 2 :]) for name, each in spans.items()}


def covered(spans: Sequence[tuple[float, float]]) -> float:
    whole, end = 0.0, 0.0
    for first, last in spans:
        whole += max(0.0, last - max(first, end))
        end = max(end, last)
    return whole


def confirmed(
    analysis: Analysis, text: str, times: Mapping[str, float], most: int = 5
) -> Mapping[str, tuple[float, float, float]]:
    """Return the share of the lines that take most, and the least and most that a profile allows.

    A kernel that holds several lines may have spent all its time on any of them, or none.
    """
    held = {name: lines for name, lines in kernels(text, times.keys()).items() if name in times}
    whole = sum(times[name] for name in held if not name.startswith(CONTROL_FLOW))
    by_source: dict[str, float] = {}
    for row in analysis.records_by("line"):
        assert isinstance(row, CodeRecord)
        if row.leaf and row.source is not None:
            by_source[row.source] = by_source.get(row.source, 0.0) + (row.share or 0.0)
    largest = sorted(by_source, key=by_source.__getitem__, reverse=True)[:most]
    found = {}
    for line in largest:
        among = {name for name, lines in held.items() if line in lines}
        alone = {name for name in among if len(held[name]) == 1}
        # A loop's own time is of its line; the profile has it with that of what it runs.
        alone -= {name for name in among if name.startswith(CONTROL_FLOW)}
        least_s, most_s = (sum(times[name] for name in names) for names in (alone, among))
        found[line] = (by_source[line], least_s / whole, most_s / whole)
    return found


def settle(positions: jax.Array, masses: jax.Array) -> jax.Array:
    """Step bodies with what physics steps have: a sort, products, a solve, a transform, a loop."""
    order = jnp.argsort(positions[:, 0])
    sorted_ = positions[order]
    near = plain_programs.forces(sorted_[:128])
    stiffness = jnp.tanh(masses @ masses.T)
    solved = jnp.linalg.solve(stiffness + 99.0 * jnp.eye(len(masses)), positions[: len(masses)])
    field = jnp.abs(jnp.fft.fft2(masses))

    def relax(x: jax.Array, _: Any) -> tuple[jax.Array, None]:
        return x - 0.1 * jnp.sin(x) * jnp.exp(-x * x), None

    relaxed = jax.lax.scan(relax, positions, None, length=20)[0]
    whole: jax.Array = near.sum() + solved.sum() + field.sum() + relaxed.sum()
    return whole


def test_the_lines_that_take_most_are_those_of_a_profile_read_by_other_means(
    tmp_path: Path,
) -> None:
    numbers = np.random.default_rng(0)
    arguments = [
        jnp.asarray(numbers.normal(size=shape), jnp.float32) for shape in ((50_000, 3), (256, 256))
    ]
    program = eg.compile(settle, *arguments)
    file = profile(program, arguments, tmp_path)
    trace = eg.read_trace(file, program, warm_up=1)
    analysis = eg.analyze(program, trace=trace)
    found = confirmed(analysis, program.executable.as_text(), profiled(file))
    assert len(found) == 5
    for line, (share, least, most) in found.items():
        assert 0.85 * least - 0.02 <= share <= 1.05 * most + 0.02, line
    assert sum(share for share, _, _ in found.values()) > 0.8
    functions = {row.layer: row.share for row in analysis.records_by("function")}
    relaxed, _, _ = found[line_of(settle, "jnp.sin(x)")]
    assert functions["settle/settle.relax"] == pytest.approx(relaxed)
