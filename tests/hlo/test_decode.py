from __future__ import annotations

import contextlib
import json
import random
import re
from collections.abc import Callable

import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegraph import xla
from edgegraph.errors import FormatError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.module import BITS_BY_DTYPE, Module, Shape
from edgegraph.hlo.schema import Proto
from tests import programs
from tests.hlo.texts import (
    IDS,
    PROGRAMS,
    STAGES,
    by_name,
    called,
    damaged,
    entry,
    instruction_lines,
    module_and_text,
    proto_bytes,
)
from tests.refusals import one_line


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("program", range(len(PROGRAMS)), ids=IDS)
def test_a_decoded_module_says_what_xlas_text_says(program: int, stage: str) -> None:
    module, text = module_and_text(program, stage)
    lines, instructions = instruction_lines(text), by_name(module)
    assert instructions.keys() == lines.keys()
    assert len(lines) == module.instruction_count
    for name, line in lines.items():
        i = instructions[name]
        operands = str(i.parameter_number) if i.opcode == "parameter" else ", ".join(i.operands)
        if i.opcode != "constant":
            assert line.startswith(f"{written_shape(i.shape)} {i.opcode}({operands})"), line
        compare_backend_config(i.backend_config, line)
        if stage == "compiled":
            op_name = re.search(r'op_name="((?:[^"\\]|\\.)*)"', line)
            assert i.op_name == (re.sub(r"\\(.)", r"\1", op_name[1]) if op_name else ""), line
            frame = re.search(r"stack_frame_id=(\d+)", line)
            assert i.stack_frame_id == (int(frame[1]) if frame else 0)


def written_shape(shape: Shape) -> str:
    """Write a shape with its layout, as XLA does."""
    if shape.dtype == "tuple":
        return "(" + ", ".join(map(written_shape, shape.elements)) + ")"
    space = f":S({shape.memory_space})" if shape.memory_space else ""
    order = ",".join(map(str, shape.layout or ()))
    return f"{shape}{{{order}{space}}}" if order or space else str(shape)


def compare_backend_config(ours: str, line: str) -> None:
    """Compare as JSON, whose keys XLA's text sorts, or else literally."""
    found = re.search(r"backend_config=", line)
    assert bool(ours) == bool(found), line
    if found and ours.startswith('{"'):
        theirs, _ = json.JSONDecoder().raw_decode(line, found.end())
        assert json.loads(ours) == theirs, line
    elif found:
        quoted = '"' + ours.replace('"', '\\"') + '"'
        assert line.startswith((ours, quoted), found.end()), line


def test_a_module_keeps_the_bytes_it_was_decoded_from() -> None:
    assert decode(proto_bytes()).serialized == proto_bytes()


ASYNCHRONOUS = """
HloModule fetch, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%gather (p: f32[8]) -> f32[16] {
  %p = f32[8]{0} parameter(0)
  ROOT %all = f32[16]{0} all-gather(%p), replica_groups={{0,1}}, dimensions={0}
}

ENTRY %main (x: f32[8], y: f32[8,8]) -> f32[16] {
  %x = f32[8]{0} parameter(0)
  %y = f32[8,8]{0,1:T(8,128)S(1)} parameter(1)
  %start = ((f32[8]{0}), f32[16]{0}, u32[]) async-start(%x), calls=%gather
  %copy = (f32[8]{0:S(1)}, f32[8]{0}, u32[]) copy-start(%x), control-predecessors={%start}
  %work = f32[8,8]{0,1:T(8,128)S(1)} negate(%y)
  %copied = f32[8]{0:S(1)} copy-done(%copy)
  %reduced = f32[8]{0} all-reduce(%copied), to_apply=%add
  ROOT %done = f32[16]{0} async-done(%start), control-predecessors={%reduced, %work}
}
"""


def test_a_module_of_a_device_that_is_not_here() -> None:
    module = decode(xla.parse_text(ASYNCHRONOUS))
    instructions = by_name(module)
    assert module.name == "fetch"
    assert module.entry == "main"
    assert module.schedule["main"] == (
        "x", "y", "start", "copy", "work", "copied", "reduced", "done",
    )  # fmt: skip
    assert instructions["start"].called == ("gather",)
    assert instructions["copy"].control_predecessors == ("start",)
    assert instructions["done"].control_predecessors == ("reduced", "work")
    assert instructions["y"].shape == Shape(
        dtype="f32", dimensions=(8, 8), layout=(0, 1), memory_space=1
    )
    copy = instructions["copy"].shape
    assert [element.memory_space for element in copy.elements] == [1, 0, 0]
    assert copy.bytes == 32 + 32 + 4


def test_every_element_type_by_xlas_own_name() -> None:
    names = [name for name in BITS_BY_DTYPE if name not in ("token", "opaque")]
    parameters = "\n".join(f"  p{k} = {name}[3] parameter({k})" for k, name in enumerate(names))
    text = f"HloModule m\nENTRY e {{\n{parameters}\n  ROOT t = token[] after-all()\n}}"
    instructions = by_name(decode(xla.parse_text(text)))
    assert [instructions[f"p{k}"].shape.dtype for k in range(len(names))] == names
    assert instructions["t"].shape.dtype == "token"


def test_equal_values_are_one_object() -> None:
    module = programs.module(programs.small_cnn, 2)
    shapes: dict[str, Shape] = {}
    for instruction in by_name(module).values():
        written = written_shape(instruction.shape)
        assert shapes.setdefault(written, instruction.shape) is instruction.shape


def test_a_schedule_is_the_order_of_xlas_text() -> None:
    function, arguments = programs.small_cnn(2)
    compiled = jax.jit(function).lower(*arguments).compile()
    module = decode(xla.compiled_module(compiled))
    text = compiled.as_text() or ""
    entry = text[text.index("ENTRY") :]
    assert module.schedule[module.entry] == tuple(instruction_lines(entry))


BROKEN: dict[str, tuple[Callable[[Proto], object], str]] = {
    "no entry": (lambda p: p.ClearField("entry_computation_id"), "entry computation id 0"),
    "no computations": (lambda p: p.ClearField("computations"), "no computation"),
    "no root": (lambda p: setattr(entry(p), "root_id", 77), "root id 77"),
    "no operand": (lambda p: called(p, "dot").operand_ids.append(77), "operand id 77"),
    "operand after user": (lambda p: entry(p).instructions.reverse(), "operand id"),
    "callee after caller": (
        lambda p: called(p, "while").called_computation_ids.__setitem__(0, p.entry_computation_id),
        "called computation id",
    ),
    "no predecessor": (
        lambda p: called(p, "dot").control_predecessor_ids.append(77),
        "control predecessor id 77",
    ),
    "taken computation": (
        lambda p: setattr(entry(p), "name", p.computations[0].name),
        "name or id is missing or taken",
    ),
    "taken instruction": (
        lambda p: setattr(entry(p).instructions[0], "name", entry(p).instructions[1].name),
        "name or id is taken",
    ),
    "no opcode": (lambda p: setattr(called(p, "dot"), "opcode", ""), "no name or no opcode"),
    "unknown type": (
        lambda p: setattr(called(p, "dot").shape, "element_type", 99),
        "unknown element type number 99",
    ),
    "negative size": (
        lambda p: called(p, "dot").shape.dimensions.__setitem__(0, -1),
        r"f32\[-1, 8\] is not one with fixed",
    ),
    "too many elements": (
        lambda p: called(p, "dot").shape.dimensions.__setitem__(slice(None), [1 << 32, 1 << 31]),
        "more than 2.63 elements",
    ),
    "half a schedule": (
        lambda p: p.schedule.entries[0].value.instruction_ids.append(77),
        "each of the",
    ),
    "schedule backwards": (
        lambda p: [entry.value.instruction_ids.reverse() for entry in p.schedule.entries],
        "runs before its operands",
    ),
    "schedule of nothing": (lambda p: p.schedule.entries.add(key=77), "no computation with id 77"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_a_module_that_contradicts_itself_is_refused(
    change: Callable[[Proto], object], message: str
) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        decode(damaged(change))
    assert "\n" not in str(caught.value)


def test_an_unfinished_module_is_refused() -> None:
    for end in (0, 1, 10, len(proto_bytes()) // 2, len(proto_bytes()) - 1):
        with pytest.raises(FormatError):
            decode(proto_bytes()[:end])


def consistent(module: Module) -> None:
    """Assert what later code relies on."""
    seen: set[str] = set()
    for name, computation in module.computations.items():
        known: set[str] = set()
        for instruction in computation.instructions:
            assert known.issuperset(instruction.operands)
            assert seen.issuperset(instruction.called)
            assert instruction.shape.bytes >= 0
            known.add(instruction.name)
        assert computation.root in known
        assert set(module.schedule.get(name, known)) == known
        seen.add(name)
    assert module.entry in seen


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 6), cut=st.booleans())
def test_damaged_bytes_decode_or_raise_format_errors(seed: int, changes: int, cut: bool) -> None:
    rng = random.Random(seed)
    data = bytearray(proto_bytes())
    for _ in range(changes):
        data[rng.randrange(len(data))] = rng.randrange(256)
    if cut:
        del data[rng.randrange(len(data)) :]
    try:
        module = decode(bytes(data))
    except FormatError as error:
        one_line(error)
    else:
        consistent(module)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_format_errors(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        consistent(decode(data))
