"""What contradicts itself in a computation is refused, with the instruction and the reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgegraph import xla
from edgegraph.errors import FormatError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.schema import HloModuleProto, Proto
from edgegraph.hlo.validation import MAX_TAPS
from tests.hlo.texts import called, damaged, entry


def nest(proto: Proto) -> None:
    """Put the entry computation into a chain of 300 calls."""
    inner = entry(proto)
    for level in range(300):
        outer = proto.computations.add(name=f"level{level}", id=(1 << 40) + level, root_id=1 << 20)
        call = outer.instructions.add(name=f"call{level}", opcode="call", id=1 << 20)
        call.shape.CopyFrom(inner.instructions[0].shape)
        call.called_computation_ids.append(inner.id)
        for number, parameter in enumerate(
            [i for i in inner.instructions if i.opcode == "parameter"]
        ):
            copy = outer.instructions.add()
            copy.CopyFrom(parameter)
            copy.id, copy.name = number + 1, f"p{level}.{number}"
            call.operand_ids.append(copy.id)
        del outer.instructions[0]
        outer.instructions.append(call)
        inner = outer


BROKEN: dict[str, tuple[Callable[[Proto], object], str]] = {
    "parameter numbers": (
        lambda p: setattr(called(p, "parameter"), "parameter_number", 9),
        "parameters are numbered",
    ),
    "loop without body": (
        lambda p: called(p, "while").called_computation_ids.__delitem__(0),
        "calls 1 computations",
    ),
    "fusion without operands": (
        lambda p: called(p, "fusion").ClearField("operand_ids"),
        "operands and parameters do not match",
    ),
    "dot of one": (lambda p: called(p, "dot").operand_ids.__delitem__(0), "it has 1 operands"),
    "dot dimensions": (
        lambda p: called(p, "dot").dot_dimension_numbers.lhs_contracting_dimensions.append(5),
        "do not fit shape",
    ),
    "tuple index": (
        lambda p: setattr(called(p, "get-tuple-element"), "tuple_index", 50),
        "no element 50",
    ),
    "deep calls": (nest, "nest deeper than 200"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_a_computation_that_contradicts_itself_is_refused(
    change: Callable[[Proto], object], message: str
) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        decode(damaged(change))
    assert "\n" not in str(caught.value)


CONVOLUTION = """HloModule m ENTRY e {
  x = f32[1,8,8,1] parameter(0)
  k = f32[3,3,1,1] parameter(1)
  ROOT y = f32[1,6,6,1] convolution(x, k), window={size=3x3}, dim_labels=b01f_01io->b01f }"""


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("stride", 0, "stride 0"),
        ("window_dilation", -1, "dilations -1 and 1"),
        ("size", MAX_TAPS + 1, "size of at most 1,048,576"),
        ("size", MAX_TAPS, None),
    ],
)
def test_a_window_has_steps_and_a_size_that_can_be_walked_over(
    field: str, value: int, message: str | None
) -> None:
    proto = HloModuleProto.FromString(xla.parse_text(CONVOLUTION))
    window = called(proto, "convolution").window
    setattr(window.dimensions[0], field, value)
    if message is None:
        assert decode(proto.SerializeToString()).computations
        return
    with pytest.raises(FormatError, match=f"HLO convolution 'y': its window has .*{message}"):
        decode(proto.SerializeToString())


def test_a_window_over_holes_of_too_many_pairs_is_refused() -> None:
    proto = HloModuleProto.FromString(xla.parse_text(CONVOLUTION))
    axis = called(proto, "convolution").window.dimensions[0]
    # 6 outputs x 2^20 taps stay below 2^24 pairs; 2^20 x 2^20 do not.
    axis.size, axis.stride, axis.base_dilation = MAX_TAPS, 2, 2
    assert decode(proto.SerializeToString()).computations
    called(proto, "convolution").shape.dimensions[1] = MAX_TAPS
    with pytest.raises(FormatError, match="steps over holes to 1048576 places"):
        decode(proto.SerializeToString())
