from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from edgegraph import xla
from edgegraph.errors import FormatError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.module import Alias, Collective
from edgegraph.hlo.schema import HloModuleProto, Proto
from tests import programs
from tests.hlo.texts import (
    by_name,
    damaged,
)

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


def collective(attributes: str, opcode: str = "all-reduce") -> Collective:
    add = " to_apply=add" if opcode == "all-reduce" else ""
    text = f"""HloModule m
    add {{
      a = f32[] parameter(0)
      b = f32[] parameter(1)
      ROOT c = f32[] add(a, b)
    }}
    ENTRY e {{
      x = f32[8] parameter(0)
      ROOT y = f32[8] {opcode}(x), {attributes}{"," if add else ""}{add}
    }}"""
    found = decode(xla.parse_text(text)).computations["e"].instructions[-1].collective
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("groups", "size"),
    [
        ("{}", None),
        ("{{0,1,2,3}}", 4),
        ("{{0,1},{2,3}}", 2),
        ("{{0,1,2},{3}}", 3),
        ("[2,4]<=[8]", 4),
        ("[4,2]<=[2,4]T(1,0)", 2),
        ("mesh['x'=8] {'x'}", 8),
        ("mesh['x'=2,'y'=4] {'y'}", 4),
        ("mesh['x'=2,'y'=4] {'x','y'}", 8),
        ("mesh['x'=8,'y'=2] {'x':(2)2}", 2),
        ("mesh['x'=8,'y'=2] {'x':(2)2,'y'}", 4),
    ],
)
def test_group_sizes(groups: str, size: int | None) -> None:
    assert collective(f"replica_groups={groups}").group_size == size


def test_channels_and_global_ids() -> None:
    plain = collective("replica_groups={{0,1}}")
    assert (plain.channel_id, plain.use_global_device_ids) == (None, False)
    devices = collective("replica_groups={{0,1}}, channel_id=3, use_global_device_ids=true")
    assert (devices.channel_id, devices.use_global_device_ids) == (3, True)


def test_pairs_of_a_permute() -> None:
    ring = collective("source_target_pairs={{0,1},{1,2},{2,0}}", "collective-permute")
    assert ring.source_target_pairs == ((0, 1), (1, 2), (2, 0))


DOT = "dot(x, y), lhs_contracting_dims={1}, rhs_contracting_dims={0}"


CONVOLUTION = "convolution(x, y), dim_labels=bf_io->bf"


CALL = 'custom-call(x, y), custom_call_target="__cublas$gemm"'


ALGORITHMS = (
    "dot_any_f8_any_f8_f32", "dot_any_f8_any_f8_f32_fast_accum", "dot_f16_f16_f16",
    "dot_f16_f16_f32", "dot_bf16_bf16_bf16", "dot_bf16_bf16_f32", "dot_bf16_bf16_f32_x3",
    "dot_bf16_bf16_f32_x6", "dot_bf16_bf16_f32_x9", "dot_tf32_tf32_f32", "dot_tf32_tf32_f32_x3",
    "dot_f32_f32_f32", "dot_f64_f64_f64",
)  # fmt: skip


def precision(op: str, attribute: str = "") -> str | None:
    text = f"""HloModule m
      ENTRY e {{ x = f32[2,2] parameter(0)
                 y = f32[2,2] parameter(1)
                 ROOT p = f32[2,2] {op}{attribute} }}"""
    module = decode(xla.parse_text(text))
    return module.computations[module.entry].instructions[-1].precision


@pytest.mark.parametrize("op", [DOT, CONVOLUTION, CALL])
def test_operand_precision(op: str) -> None:
    assert precision(op) is None
    assert precision(op, ", operand_precision={default,default}") is None
    assert precision(op, ", operand_precision={high,high}") == "high"
    assert precision(op, ", operand_precision={highest,highest}") == "highest"
    assert precision(op, ", operand_precision={highest,high}") == "high"
    assert precision(op, ", operand_precision={highest,default}") is None


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms(name: str) -> None:
    assert precision(DOT, f", algorithm={name}") == name


def test_other_ops_have_none() -> None:
    assert precision("add(x, y)") is None


def frames(proto: Proto, links: list[tuple[str, int]]) -> None:
    """Replace the stack frames by `links` of file and parent."""
    index = proto.stack_frame_index
    index.Clear()
    index.function_names.append("f")
    for number, (file, parent) in enumerate(links, 1):
        index.file_names.append(file)
        index.file_locations.add(file_name_id=number, function_name_id=1, line=10 * number)
        index.stack_frames.add(file_location_id=number, parent_frame_id=parent)
    for computation in proto.computations:
        for instruction in computation.instructions:
            instruction.metadata.stack_frame_id = 1


def test_source_is_the_users_line_not_the_librarys() -> None:
    path = Path(programs.__file__)
    lines = path.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if 'name="conv2"' in text)
    module = programs.module(programs.small_cnn, 2)
    convolutions = [
        i for i in by_name(module).values() if i.opcode == "convolution" and "/conv2/" in i.op_name
    ]
    assert {i.source for i in convolutions} == {f"{path}:{line}"}
    innermost = module.stack_frames[convolutions[0].stack_frame_id - 1]
    assert "flax" in innermost.file


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([("/home/me/model.py", 0)], "/home/me/model.py:10"),
        ([("/env/lib/python3.13/site-packages/x/y.py", 2), ("train.py", 0)], "train.py:20"),
        ([("/src/flax/linen/module.py", 2), ("/src/jax/_src/api.py", 3), ("m.py", 0)], "m.py:30"),
        ([("/site-packages/x.py", 2), ("/site-packages/y.py", 0)], "/site-packages/x.py:10"),
        ([("/site-packages/x.py", 1)], "/site-packages/x.py:10"),
        ([("/site-packages/x.py", 2), ("/site-packages/y.py", 1)], "/site-packages/x.py:10"),
    ],
    ids=["own", "installed", "checkout", "only library", "own parent", "circle"],
)  # fmt: skip
def test_source_walks_up_the_stack(links: list[tuple[str, int]], expected: str) -> None:
    module = decode(damaged(lambda proto: frames(proto, links)))
    assert {i.source for i in by_name(module).values()} == {expected}


def test_source_falls_back_on_the_metadata_and_may_be_unknown() -> None:
    def change(proto: Proto) -> None:
        proto.stack_frame_index.Clear()
        first, second, *_ = proto.computations[0].instructions
        first.metadata.Clear()
        second.metadata.Clear()
        second.metadata.source_file, second.metadata.source_line = "old.py", 7

    instructions = decode(damaged(change)).computations
    first, second, *_ = next(iter(instructions.values())).instructions
    assert (first.source, second.source) == (None, "old.py:7")


BROKEN: dict[str, tuple[Callable[[Proto], object], str]] = {
    "frame parent": (
        lambda p: p.stack_frame_index.stack_frames.add(file_location_id=1, parent_frame_id=999),
        "its location or its parent",
    ),
    "frame place": (
        lambda p: p.stack_frame_index.stack_frames.add(file_location_id=999),
        "its location or its parent",
    ),
    "frame file": (lambda p: p.stack_frame_index.ClearField("file_names"), "its file"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_a_frame_that_points_nowhere_is_refused(
    change: Callable[[Proto], object], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        decode(damaged(change))
