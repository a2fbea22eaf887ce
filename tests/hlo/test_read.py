from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from edgegraph import xla
from edgegraph.errors import FormatError, InputError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.read import read_module
from edgegraph.hlo.schema import HloModuleProto, HloProto
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
    module = decode(read_module(file))
    assert [i.opcode for i in module.computations["main"].instructions] == [
        "parameter", "parameter", "dot",
    ]  # fmt: skip


def test_the_text_of_a_compiled_program_is_the_program(file: Path) -> None:
    serialized = programs.compiled(programs.small_cnn, 2)
    text = xla._hlo().HloModule.from_serialized_hlo_module_proto(serialized).to_string()
    file.write_text(text, encoding="utf-8")
    module = read_module(str(file))
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
        assert read_module(file) == serialized


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
        (b"hello\nworld\n", "no line starts with 'HloModule'"),
        (b'module @jit_f attributes {} {\n  func.func public @main() {\n}}', "MLIR"),
        (TEXT[:-20].encode(), "line 6, column"),
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


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*missing\.txt: No such file"):
        read_module(tmp_path / "missing.txt")
    with pytest.raises(InputError, match="Is a directory"):
        read_module(tmp_path)
