from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from edgegraph import xla
from edgegraph.errors import FormatError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.module import Alias
from edgegraph.hlo.schema import HloModuleProto

CUSTOM_CALL = """HloModule m
ENTRY e {
  a = f32[8] parameter(0)
  b = (f32[4], f32[8]) parameter(1)
  ROOT c = (f32[8], f32[8]) custom-call(a, b), custom_call_target="t",
    output_to_operand_aliasing={{0}: (0, {}), {1}: (1, {1})}
}"""


def donating() -> bytes:
    def run(x: Any, y: Any) -> Any:
        return x @ y, x + y

    x = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    return xla.compiled_module(jax.jit(run, donate_argnums=1).lower(x, x).compile())


def test_custom_call_says_which_operands_it_writes_over() -> None:
    module = decode(xla.parse_text(CUSTOM_CALL))
    (call,) = [i for i in module.computations["e"].instructions if i.opcode == "custom-call"]
    assert call.output_aliases == (
        Alias(output_index=(0,), operand=0),
        Alias(output_index=(1,), operand=1, operand_index=(1,)),
    )


def test_module_says_which_arguments_are_donated() -> None:
    (donation,) = decode(donating()).donated
    assert donation.operand == 1
    assert len(donation.output_index) == 1


def test_nothing_is_aliased_by_default() -> None:
    module = decode(xla.parse_text("HloModule m ENTRY e { ROOT x = f32[8] parameter(0) }"))
    assert module.donated == ()
    assert module.computations["e"].instructions[0].output_aliases == ()


@pytest.mark.parametrize(
    ("field", "value"), [("operand_index", 2), ("operand_index", -1), ("index", 7)]
)
def test_alias_that_points_nowhere_is_refused(field: str, value: int) -> None:
    proto = HloModuleProto.FromString(xla.parse_text(CUSTOM_CALL))
    alias = proto.computations[0].instructions[2].output_operand_aliasing[1]
    if field == "index":
        alias.operand_shape_index[:] = [value]
    else:
        alias.operand_index = value
    with pytest.raises(FormatError, match="custom-call 'c': alias of"):
        decode(proto.SerializeToString())


def test_donation_that_points_nowhere_is_refused() -> None:
    proto = HloModuleProto.FromString(donating())
    proto.input_output_alias.entries[0].parameter_number = 9
    with pytest.raises(FormatError, match="donation: alias of operand 9, which is not there"):
        decode(proto.SerializeToString())
