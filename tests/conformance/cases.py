"""One HLO instruction as text, and the arrays it works on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from hypothesis import strategies as st

FLOATS = (
    "f32", "bf16", "f16", "f64", "f8e4m3fn", "f8e5m2", "f8e4m3", "f8e3m4", "f8e4m3b11fnuz",
    "f8e4m3fnuz", "f8e5m2fnuz", "f8e8m0fnu", "f4e2m1fn",
)  # fmt: skip
INTEGERS = (
    "s32", "s8", "u8", "s16", "u16", "u32", "s64", "u64", "s4", "u4", "s2", "u2", "s1", "u1"
)  # fmt: skip
COMPLEX = ("c64", "c128")
NUMBERS = FLOATS + INTEGERS + COMPLEX
ANY = (*NUMBERS, "pred")

SUB_BYTE_BITS = {"s4": 4, "u4": 4, "f4e2m1fn": 4, "s2": 2, "u2": 2, "s1": 1, "u1": 1}

NEWER = {"atan": "none", "collective-reduce": "0.12", "shuffle": "0.12"}
"""Opcodes that not every XLA knows, with the first jax of 0.10 to 0.12 whose XLA does."""

EXTENTS = (0, 1, 2, 3, 4, 5, 8)


@dataclass(frozen=True)
class Array:
    """The shape of an array.

    Attributes:
        packed: Whether the layout says that elements of less than a byte share bytes. Optimised
            modules say so; before that XLA has not decided, and counts a byte for each. They do.
    """

    dtype: str
    dims: tuple[int, ...] = ()
    packed: bool = False

    def __str__(self) -> str:
        text = f"{self.dtype}[{','.join(map(str, self.dims))}]"
        if not self.packed or self.dtype not in SUB_BYTE_BITS:
            return text
        order = ",".join(map(str, reversed(range(len(self.dims)))))
        return f"{text}{{{order}:E({SUB_BYTE_BITS[self.dtype]})}}"

    def resized(self, *dims: int) -> Array:
        return Array(self.dtype, dims, self.packed)


Shape = Array | str


@dataclass(frozen=True)
class Case:
    """An instruction whose operands are parameters.

    Attributes:
        opcode: Its opcode.
        result: Shape of its result.
        operands: Shapes of its operands.
        attributes: What follows the operands. In it and in `computations`, ``@`` makes names
            unique in the module.
        computations: Computations that it calls, called ones first.
        before: Instructions ``name@ = ...`` that make its operands, instead of parameters.
        inside: What stands in the parentheses instead of operands.
        trips: How often a loop runs.
        macs: Multiply-accumulates, where they say more than XLA's FLOPs.
    """

    opcode: str
    result: Shape
    operands: tuple[Shape, ...] = ()
    attributes: str = ""
    computations: tuple[str, ...] = ()
    before: tuple[Case, ...] = ()
    inside: str | None = None
    trips: int | None = None
    macs: int | None = None


def braces(numbers: Iterable[object]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def tuple_of(shapes: Iterable[Shape]) -> str:
    return "(" + ", ".join(map(str, shapes)) + ")"


def block(name: str, lines: Sequence[str]) -> str:
    """Write a computation; its last line is the root."""
    return "\n  ".join([f"{name} {{", *lines[:-1], f"ROOT {lines[-1]}"]) + "\n}\n"


def instructions(
    cases: Sequence[Case], prefix: str = "x"
) -> tuple[list[str], list[str], list[str]]:
    """Write instructions one after the other.

    Returns:
        Lines for their parameters and for themselves; their names ``x0``, ``x1``, ...; and the
        computations that they call.
    """
    names = [f"{prefix}{position}" for position in range(len(cases))]
    lines: list[str] = []
    computations: list[str] = []
    numbers = count()
    for name, case in zip(names, cases, strict=True):
        lines += _write(case, name, numbers, computations)
    return lines, names, computations


def _write(case: Case, name: str, numbers: count[int], computations: list[str]) -> list[str]:
    lines: list[str] = []
    operands: list[str] = []
    for position, before in enumerate(case.before):
        operands.append(f"{name}_{position}")
        lines += _write(before, operands[-1], numbers, computations)
    for shape in case.operands:
        number = next(numbers)
        operands.append(f"p_{name}_{number}")
        lines.append(f"{operands[-1]} = {shape} parameter({number})")
    inside = ", ".join(operands) if case.inside is None else case.inside
    if case.opcode == "parameter":
        inside = str(next(numbers))
    attributes = case.attributes.replace("@", f"_{name}")
    computations += [text.replace("@", f"_{name}") for text in case.computations]
    lines.append(f"{name} = {case.result} {case.opcode}({inside}){attributes}")
    return lines


def module(*cases: Case) -> str:
    """Write a module of these instructions; several become a tuple."""
    lines, names, computations = instructions(cases)
    if len(cases) != 1:
        results = tuple_of(case.result for case in cases)
        lines.append(f"all = {results} tuple({', '.join(names)})")
    return f"HloModule m\n\n{''.join(computations)}\nENTRY {block('main', lines)}"


@st.composite
def arrays(
    draw: st.DrawFn,
    dtypes: Sequence[str] = ANY,
    *,
    rank: tuple[int, int] = (0, 4),
    extents: Sequence[int] = EXTENTS,
) -> Array:
    """Draw an array, of few elements."""
    dims = draw(st.lists(st.sampled_from(extents), min_size=rank[0], max_size=rank[1]))
    return Array(draw(st.sampled_from(dtypes)), tuple(dims), draw(st.booleans()))


def subsets(numbers: int, *, least: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw some of the numbers below `numbers`, in order."""
    chosen = st.sets(st.integers(0, numbers - 1), min_size=least) if numbers else st.just(set())
    return chosen.map(lambda found: tuple(sorted(found)))


def binary(dtype: str, opcode: str, name: str = "f@") -> str:
    """Write a function of two scalars."""
    scalar = f"{dtype}[]"
    return block(
        name,
        [
            f"a@ = {scalar} parameter(0)",
            f"b@ = {scalar} parameter(1)",
            f"c@ = {scalar} {opcode}(a@, b@)",
        ],
    )
