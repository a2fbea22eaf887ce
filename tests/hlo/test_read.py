from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph import xla
from edgegraph.errors import EdgeGraphError, FormatError, InputError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.read import read_module
from edgegraph.hlo.schema import HloModuleProto, HloProto
from edgegraph.reporting.words import measurement_line
from tests import programs

TEXT = """HloModule small

ENTRY %main (x: f32[8,4], w: f32[4,2]) -> f32[8,2] {
  %x = f32[8,4]{1,0} parameter(0)
  %w = f32[4,2]{1,0} parameter(1)
  ROOT %y = f32[8,2]{1,0} dot(%x, %w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}
"""


def wrapped(module: bytes) -> bytes:
    return bytes(HloProto(hlo_module=module).SerializeToString())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dump.anything"


def test_text(file: Path) -> None:
    file.write_text("// written by XLA\n\n" + TEXT)
    module = read_module(file).module
    assert [i.opcode for i in module.computations["main"].instructions] == [
        "parameter", "parameter", "dot",
    ]  # fmt: skip


def test_the_text_of_a_compiled_program_is_the_program(file: Path) -> None:
    serialized = programs.compiled(programs.small_cnn, 2)
    text = xla._hlo().HloModule.from_serialized_hlo_module_proto(serialized).to_string()
    file.write_text(text, encoding="utf-8")
    module = read_module(str(file)).module.serialized
    assert dict(xla.cost_analysis(module)) == dict(xla.cost_analysis(serialized))
    ours = decode(serialized).computations.values()
    names = {instruction.name for c in ours for instruction in c.instructions}
    theirs = decode(module).computations.values()
    assert names == {instruction.name for c in theirs for instruction in c.instructions}


def test_modules_come_out_byte_for_byte(file: Path) -> None:
    serialized = programs.compiled(programs.scan, 5)
    snapshot = wrapped(wrapped(serialized))
    for data in (serialized, wrapped(serialized), gzip.compress(snapshot)):
        file.write_bytes(data)
        assert read_module(file).module.serialized == serialized


CRASHING = TEXT.replace("parameter(1)", "parameter(7)")


def without_operand() -> bytes:
    proto = HloModuleProto.FromString(programs.compiled(programs.scan, 5))
    next(
        i for c in proto.computations for i in c.instructions if i.opcode == "dot"
    ).operand_ids.append(99)
    return bytes(proto.SerializeToString())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\t", "the file is empty"),
        (TEXT[:-20].encode(), "the text is cut off: it ends in line 6"),
        (b"Memory Space: default\nTotal bytes: 64\n", "this is XLA's report on memory, no program"),
        (b'{"a": 1}', "this is JSON; expected HLO text or"),
        (TEXT.replace("dot(", "dott(").encode(), "unknown opcode|expects opcode"),
        (CRASHING.encode(), "XLA cannot read it"),
        (b"\x00\x01\x02\xff" * 50, "cut off, damaged or not HLO"),
        (bytes(range(256)) * 10, "cut off, damaged or not HLO"),
        (gzip.compress(TEXT.encode())[:-9], "gzip stream is cut off"),
        (b"\x1f\x8b rubbish", "gzip stream"),
        (programs.compiled(programs.scan, 5)[:-100], "cut off, damaged or not HLO"),
        (wrapped(programs.compiled(programs.scan, 5))[:-100], "cut off, damaged or not HLO"),
        (wrapped(wrapped(wrapped(programs.compiled(programs.scan, 5)))), "not HLO"),
        (without_operand(), "operand id 99"),
    ],
    ids=range(15),
)  # fmt: skip
def test_what_is_no_hlo_gets_one_clear_line(file: Path, data: bytes, message: str) -> None:
    file.write_bytes(data)
    with pytest.raises(FormatError, match=message) as caught:
        read_module(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Memory Space: default\n" * 99,
            "this is XLA's report on memory, no program; name the mod",
        ),
        ("some\nwords\n" * 99, "it is cut off, damaged or not HLO; expected HLO text"),
        ("x" * 9999, "'xxx.*'... is neither a file nor HLO text"),
    ],
)
def test_text_that_is_no_hlo_is_not_taken_for_a_name(text: str, said: str) -> None:
    with pytest.raises(EdgeGraphError, match=said) as caught:
        eg.read_hlo(text)
    assert len(str(caught.value)) <= 200


def test_what_ends_xlas_process_does_not_end_ours(file: Path) -> None:
    file.write_text(CRASHING)
    with pytest.raises(FormatError, match=r"XLA cannot read it: .+\(Check failed: .+\)"):
        read_module(file)


PIPELINED = """HloModule pipelined, is_scheduled=true

body {
  p = (u32[], (f32[8]{0}, u32[], token[]), f32[8]{0}) parameter(0)
  i = u32[] get-tuple-element(p), index=0
  r = (f32[8]{0}, u32[], token[]) get-tuple-element(p), index=1
  x = f32[8]{0} get-tuple-element(p), index=2
  done = (f32[8]{0}, token[]) recv-done(r), channel_id=1
  d = f32[8]{0} get-tuple-element(done), index=0
  y = f32[8]{0} add(x, d)
  a = token[] after-all()
  r2 = (f32[8]{0}, u32[], token[]) recv(a), channel_id=1
  one = u32[] constant(1)
  ip = u32[] add(i, one)
  ROOT t = (u32[], (f32[8]{0}, u32[], token[]), f32[8]{0}) tuple(ip, r2, y)
}
cond {
  p = (u32[], (f32[8]{0}, u32[], token[]), f32[8]{0}) parameter(0)
  i = u32[] get-tuple-element(p), index=0
  n = u32[] constant(5)
  ROOT c = pred[] compare(i, n), direction=LT
}
ENTRY e {
  x = f32[8]{0} parameter(0)
  z = u32[] constant(0)
  a = token[] after-all()
  r = (f32[8]{0}, u32[], token[]) recv(a), channel_id=1
  t = (u32[], (f32[8]{0}, u32[], token[]), f32[8]{0}) tuple(z, r, x)
  w = (u32[], (f32[8]{0}, u32[], token[]), f32[8]{0}) while(t), condition=cond, body=body
  r3 = (f32[8]{0}, u32[], token[]) get-tuple-element(w), index=1
  dn = (f32[8]{0}, token[]) recv-done(r3), channel_id=1
  ROOT o = f32[8]{0} get-tuple-element(w), index=2
}
"""


def test_a_receive_that_a_loop_hands_on_costs_what_xla_says_of_the_text() -> None:
    """XLA refuses the protobuf of such a module, but not its text."""
    private, client = xla._analysis()
    theirs = private(client, xla._hlo().hlo_module_from_text(PIPELINED))
    program = eg.read_hlo(PIPELINED)
    assert program.xla_cost == theirs
    assert theirs["bytes accessed"] > 0
    # Five times 8 additions and one of the counter, and as many comparisons and one more.
    assert eg.analyze(program).totals.flops == 5 * (8 + 1) + 6
    assert eg.open(program.serialized).xla_cost == theirs


ELIDED = """HloModule m

ENTRY e {
  x = f32[30000,10000]{1,0} parameter(0)
  c = f32[30000,10000]{1,0} constant({...})
  ROOT y = f32[30000,10000]{1,0} add(x, c)
}
"""


def test_constants_that_were_left_out_are_not_made_up() -> None:
    """XLA would fill 1.2 GB at random."""
    program = eg.read_hlo(ELIDED)
    assert len(program.serialized) < 10_000
    (_, constant, _) = program.module.computations["e"].instructions
    assert (constant.name, constant.opcode, constant.literal) == ("c", "constant", None)
    # XLA's own figures of the same text with a small constant, scaled to this one.
    small = xla.parse_text(ELIDED.replace("30000,10000", "3,1").replace("{...}", "{{1},{2},{3}}"))
    theirs = xla.cost_analysis(small)
    for key in ("flops", "bytes accessed"):
        assert program.xla_cost[key] == theirs[key] * 10**8
    assert program.notes == (
        "1 constant has no values in the file ({...}); shapes and costs are known",
    )
    assert "note: 1 constant has no values" in "\n".join(measurement_line(eg.analyze(program)))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*missing\.txt: No such file"):
        read_module(tmp_path / "missing.txt")
    with pytest.raises(InputError, match="Is a directory"):
        read_module(tmp_path)
