"""Instructions that run computations of their own: fusions, calls, branches and loops."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.conformance import elementwise, movement, products, reductions
from tests.conformance.cases import NEWER, Case, Shape, arrays, block, instructions, tuple_of

_ANYWHERE = {**elementwise.STRATEGIES, **movement.STRATEGIES, **reductions.STRATEGIES} | {
    "convolution": products.STRATEGIES["convolution"],
    "dot": products.STRATEGIES["dot"],
    "reduce": reductions.reduce(movement.POSITIVE),
}
_NOT_INSIDE = {"domain", "dynamic-reshape", "opt-barrier", "parameter", "scan"}
INNER = sorted(_ANYWHERE.keys() - _NOT_INSIDE - NEWER.keys())


@dataclass(frozen=True)
class Body:
    """A computation that runs some instructions on its parameters and gives all their results."""

    lines: tuple[str, ...]
    parameters: tuple[Shape, ...]
    result: str
    computations: tuple[str, ...]

    def block(self, name: str) -> str:
        return block(name, self.lines)


@st.composite
def bodies(draw: st.DrawFn, name: str = "b", *, most: int = 4) -> Body:
    opcodes = draw(st.lists(st.sampled_from(INNER), min_size=1, max_size=most))
    cases = [draw(_ANYWHERE[opcode]) for opcode in opcodes]
    lines, names, computations = instructions(cases, f"{name}@")
    result = tuple_of(case.result for case in cases)
    lines.append(f"{name}@all = {result} tuple({', '.join(names)})")
    parameters = tuple(shape for case in cases for shape in case.operands)
    return Body(tuple(lines), parameters, result, tuple(computations))


@st.composite
def called(draw: st.DrawFn, opcode: str, kinds: tuple[str, ...] = ("",)) -> Case:
    body = draw(bodies())
    calls = "calls" if opcode == "fusion" else "to_apply"
    kind = draw(st.sampled_from(kinds))
    computations = (*body.computations, body.block("f@"))
    attributes = f"{kind}, {calls}=f@"
    return Case(opcode, body.result, body.parameters, attributes, computations)


@st.composite
def conditional(draw: st.DrawFn) -> Case:
    """Branches that each work on constants of their own, and return the same."""
    by_index = draw(st.booleans())
    number = draw(st.integers(1, 4)) if by_index else 2
    computations: list[str] = []
    operands: list[str] = []
    for branch in range(number):
        body = draw(bodies(f"b{branch}"))
        computations += body.computations
        state = tuple_of(body.parameters)
        lines = [f"s{branch}@ = {state} parameter(0)", *_from_tuple(body, f"s{branch}@")]
        lines.append(f"r{branch}@ = f32[3] iota(), iota_dimension=0")
        computations.append(block(f"f{branch}@", lines))
        operands.append(state)
    names = [f"f{branch}@" for branch in range(number)]
    choice = "s32[]" if by_index else "pred[]"
    which = "true_computation={}, false_computation={}"
    which = f"branch_computations={{{', '.join(names)}}}" if by_index else which.format(*names)
    return Case("conditional", "f32[3]", (choice, *operands), f", {which}", tuple(computations))


def _from_tuple(body: Body, state: str, first: int = 0) -> list[str]:
    """Take the parameters of a body out of a tuple."""
    lines = []
    for line in body.lines:
        start, is_parameter, number = line.partition(" parameter(")
        if is_parameter:
            index = int(number.rstrip(")")) + first
            line = f"{start} get-tuple-element({state}), index={index}"
        lines.append(line)
    return lines


def loop(body: Body, trips: int) -> Case:
    """A loop that runs `body` again and again."""
    state = tuple_of(["s32[]", *body.parameters])
    names = [line.split(" ")[0] for line in body.lines if " parameter(" in line]
    lines = [
        f"s@ = {state} parameter(0)",
        "n@ = s32[] get-tuple-element(s@), index=0",
        "one@ = s32[] constant(1)",
        "next@ = s32[] add(n@, one@)",
        *_from_tuple(body, "s@", 1),
        f"again@ = {state} tuple({', '.join(['next@', *names])})",
    ]
    condition = [
        f"c@ = {state} parameter(0)",
        "m@ = s32[] get-tuple-element(c@), index=0",
        f"end@ = s32[] constant({trips})",
        "more@ = pred[] compare(m@, end@), direction=LT",
    ]
    zero = Case("constant", "s32[]", inside="0")
    return Case(
        "while",
        state,
        attributes=", condition=c@, body=f@",
        computations=(*body.computations, block("f@", lines), block("c@", condition)),
        before=(Case("tuple", state, body.parameters, before=(zero,)),),
        trips=trips,
    )


@st.composite
def custom_call(draw: st.DrawFn) -> Case:
    members = draw(st.lists(arrays(), max_size=3))
    result = tuple_of(members) if draw(st.booleans()) else str(draw(arrays()))
    return Case("custom-call", result, tuple(members), ', custom_call_target="mystery"')


KINDS = tuple(f", kind={kind}" for kind in ("kLoop", "kInput", "kOutput", "kCustom"))

STRATEGIES: dict[str, st.SearchStrategy[Case]] = {
    "call": called("call"),
    "conditional": conditional(),
    "custom-call": custom_call(),
    "fusion": called("fusion", KINDS),
    "while": st.builds(loop, bodies(), st.integers(0, 9)),
}
