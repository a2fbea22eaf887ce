"""Every opcode: what an instruction costs is what XLA says of a module of that instruction."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph import xla
from edgegraph.cost.cost import UNKNOWN
from edgegraph.errors import FormatError
from tests.conformance.cases import NEWER, Case, module
from tests.conformance.control import STRATEGIES as CONTROL
from tests.conformance.harness import (
    EXAMPLES,
    Total,
    alone,
    check,
    packed,
    price,
    stated_difference,
    xla_total,
)
from tests.conformance.opcodes import OPCODES, STRATEGIES


@cache
def is_known(opcode: str) -> bool:
    """Ask the installed XLA whether it knows an opcode."""
    try:
        xla.parse_text(f"HloModule m ENTRY e {{ ROOT x = () {opcode} }}")
    except FormatError as error:
        return "Unknown opcode" not in str(error)
    return True


def test_every_opcode_is_covered() -> None:
    assert len(OPCODES) == len(set(OPCODES)) == 136
    assert STRATEGIES.keys() == set(OPCODES)
    assert {opcode for opcode in OPCODES if not is_known(opcode)} <= NEWER.keys()


@pytest.mark.parametrize("opcode", [opcode for opcode in OPCODES if opcode not in CONTROL])
def test_an_instruction_costs_what_xla_says(opcode: str) -> None:
    """Several of one opcode stand in a module, lest one be taken for the other."""
    if not is_known(opcode):
        pytest.skip(f"{opcode}: first jax whose XLA knows it: {NEWER[opcode]}")

    @EXAMPLES
    @given(st.lists(STRATEGIES[opcode], min_size=1, max_size=3))
    def holds(cases: list[Case]) -> None:
        priced = price(xla.parse_text(module(*cases)))
        for number, case in enumerate(cases):
            ours = priced.cost(f"x{number}")
            theirs = alone(case)
            difference = stated_difference(priced, f"x{number}", case, theirs)
            assert ours == theirs + difference

    holds()


@pytest.mark.parametrize("opcode", sorted(CONTROL.keys() - {"custom-call"}))
def test_what_runs_computations_costs_what_they_cost(opcode: str) -> None:
    @EXAMPLES
    @given(STRATEGIES[opcode])
    def holds(case: Case) -> None:
        check(xla.parse_text(packed(module(case))), case.trips)

    holds()


def test_a_custom_call_is_unknown_where_xla_says_minus_one() -> None:
    @EXAMPLES
    @given(STRATEGIES["custom-call"])
    def holds(case: Case) -> None:
        serialized = xla.parse_text(module(case))
        assert price(serialized).costs["x0"].cost == UNKNOWN
        assert xla_total(serialized) == Total(flops=-1, bytes=-1)

    holds()
