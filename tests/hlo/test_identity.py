"""What does the same, and what only looks so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from edgegraph import xla
from edgegraph.cost.xla_cost import XlaPricer
from edgegraph.hlo import schema
from edgegraph.hlo.decode import decode
from edgegraph.hlo.identity import (
    ATTRIBUTES,
    NAMES,
    Labels,
    decoded,
    label_instructions,
    module_digest,
    written,
)
from edgegraph.hlo.module import Instruction, Module

PROGRAM = """HloModule m
ENTRY e {
  x = f32[4,8] parameter(0)
  y = f32[8,4] parameter(1)
  d = f32[4,4] dot(x, y), lhs_contracting_dims={1}, rhs_contracting_dims={0}, metadata={op_name="a"}
  ROOT n = f32[4,4] negate(d)
}
"""


def module(*changes: tuple[str, str]) -> Module:
    text = PROGRAM
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return decode(xla.parse_text(text))


def proto(of: Module, name: str) -> schema.Proto:
    (found,) = (
        each
        for computation in schema.HloModuleProto.FromString(of.serialized).computations
        for each in computation.instructions
        if each.name == name
    )
    return found


RENAMED = (("d = ", "product = "), ("negate(d)", "negate(product)"), ('"a"', '"another"'))
CONTRACTED = (
    ("lhs_contracting_dims={1}", "lhs_contracting_dims={0}"),
    ("rhs_contracting_dims={0}", "rhs_contracting_dims={1}"),
    ("f32[4,8]", "f32[8,4]"),
    ("y = f32[8,4]", "y = f32[4,8]"),
)


def test_names_do_not_count() -> None:
    one, other = module(), module(*RENAMED)
    assert written(proto(one, "d")) == written(proto(other, "product"))
    assert module_digest(one) == module_digest(other)
    labels = Labels()
    before, after = (label_instructions(each, labels, exact=True) for each in (one, other))
    assert before["d"] == after["product"]


def test_attributes_count() -> None:
    one, other = module(), module(*CONTRACTED)
    assert written(proto(one, "d")) != written(proto(other, "d"))
    assert module_digest(one) != module_digest(other)
    labels = Labels()
    for exact in (True, False):
        before, after = (label_instructions(each, labels, exact=exact) for each in (one, other))
        assert before["d"] != after["d"]
        assert before["n"] == after["n"]


def test_what_is_priced_once_is_what_does_the_same() -> None:
    one, other = module(), module(*CONTRACTED)
    (dot,) = (i for i in one.computations["e"].instructions if i.opcode == "dot")
    pricer = XlaPricer(one)
    assert pricer.key(dot) == pricer.key(replace(dot, op_name="elsewhere"))
    assert XlaPricer(other).price("d").flops == pricer.price("d").flops == 2 * 4 * 4 * 8


def test_the_order_of_keys_in_a_configuration_does_not_count() -> None:
    """XLA writes them in any order, from compilation to compilation."""
    one, same, other = (
        module(("negate(d)", f"negate(d), backend_config={config}"))
        for config in ('{"a":1,"b":{"c":2}}', '{"b":{"c":2},"a":1}', '{"a":2,"b":{"c":2}}')
    )
    assert module_digest(one) == module_digest(same) != module_digest(other)
    labels = Labels()
    found = [label_instructions(each, labels, exact=True)["n"] for each in (one, same, other)]
    assert found[0] == found[1] != found[2]


def test_names_are_fields_of_the_message() -> None:
    known = {field.name for field in schema.HloInstructionProto.DESCRIPTOR.fields}
    assert set(NAMES) <= known


def test_attributes_are_those_of_a_decoded_instruction() -> None:
    """All fields are names, wiring, or say what it does; a new one has to be put to one of them."""
    names = {"name", "op_name", "source", "stack_frame_id"}
    wiring = {"operands", "called", "control_predecessors", "parameter_number"}
    backend = {"backend_config", "output_aliases", "one_kernel"}
    said = {"opcode", "shape", *ATTRIBUTES}
    fields = set(Instruction.__struct_fields__)
    assert fields == names | wiring | backend | said
    assert len(fields) == len(names) + len(wiring) + len(backend) + len(said)


@pytest.mark.parametrize(
    "change",
    [
        lambda i: replace(i, dimensions=(1,)),
        lambda i: replace(i, literal=3),
        lambda i: replace(i, precision="highest"),
    ],
)
def test_decoded_tells_attributes_apart(change: Callable[[Instruction], Instruction]) -> None:
    (dot,) = (i for i in module().computations["e"].instructions if i.opcode == "dot")
    assert decoded(dot) == decoded(replace(dot, name="other", op_name="b", operands=("y", "x")))
    assert decoded(dot) != decoded(change(dot))
