"""Programs that others compiled: files, texts and dump folders."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph.analysis.findings.registry import COMPILED_ONLY
from edgegraph.cli import main
from edgegraph.compiler.program import memory_use, named_arguments
from edgegraph.errors import FormatError, InputError
from edgegraph.reporting.answer import headline
from edgegraph.reporting.words import device_line, measurement_line
from tests.compiler.dumped import Dumped, dump
from tests.corpus.files import AHEAD_OF_TIME
from tests.hlo.test_read import TEXT


@pytest.fixture(scope="module")
def dumped(tmp_path_factory: pytest.TempPathFactory) -> Dumped:
    return dump(tmp_path_factory.mktemp("dumps"))


def test_the_largest_module_of_a_dump_is_taken(dumped: Dumped) -> None:
    for folder in (dumped.text, dumped.protobuf):
        program = eg.read_hlo(folder)
        assert (program.name, program.stage) == ("jit_step", "optimized")
        assert program.notes[0].startswith("module_")
        assert (
            "one of 2 modules, the largest; --module chooses another: module_" in program.notes[0]
        )
        assert "before_optimizations" in program.notes[1]
        assert eg.open(folder).serialized == program.serialized


def test_memory_is_what_xla_says_of_the_executable(dumped: Dumped) -> None:
    """Donated, so that argument and output share a buffer."""
    theirs = memory_use(dumped.statistics)
    for folder in (dumped.text, dumped.protobuf):
        memory = eg.read_hlo(folder).memory
        assert memory is not None
        assert memory.alias_bytes > 0
        for name in ("argument_bytes", "output_bytes", "temp_bytes", "alias_bytes", "peak_bytes"):
            assert getattr(memory, name) == getattr(theirs, name), name


def test_the_models_own_counts_are_of_the_module_before(dumped: Dumped) -> None:
    program = eg.read_hlo(dumped.text)
    before = program.module_before
    assert before is not None
    assert not before.schedule
    assert eg.analyze(program).totals.macs == 64 * 64 * 64


def test_another_module_is_chosen_by_name_or_number(dumped: Dumped) -> None:
    names = {eg.read_hlo(dumped.text, module=name).name for name in dumped.other}
    assert names == {"jit_other"}
    with pytest.raises(FormatError, match=r"no single module 'jit_none'; choose with module= or"):
        eg.open(dumped.text, module="jit_none")


def test_a_folder_without_hlo(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(FormatError, match="holds no HLO; expected a folder that --xla_dump_to"):
        eg.read_hlo(tmp_path)


def test_text_is_read_as_text() -> None:
    assert eg.read_hlo(TEXT).name == "small"
    with pytest.raises(FormatError, match=r"cut off") as caught:
        eg.read_hlo(TEXT * 200 + TEXT[:30], module="201")
    assert len(str(caught.value)) <= 200
    with pytest.raises(InputError, match="No such file"):
        eg.read_hlo("no_such.hlo")


def test_a_module_of_a_text_with_several() -> None:
    both = TEXT + TEXT.replace("small", "other")
    assert eg.analyze(both, module="other").workload == "other"
    with pytest.raises(FormatError, match=r"2 modules; choose one .*--module: 1 small, 2 other"):
        eg.open(both)


@pytest.mark.parametrize(
    ("name", "kind", "device"),
    [
        ("cnn.a100.txt.gz", "gpu", "no device: name the GPU it was compiled for, such as --device"),
        ("cnn.tpu_v5e.txt.gz", "tpu", "no device: name the TPU it was compiled for"),
    ],
)
def test_a_dump_of_another_device_gets_no_roofs_of_this_host(
    name: str, kind: str, device: str
) -> None:
    path = AHEAD_OF_TIME / name
    analysis = eg.analyze(path)
    assert (analysis.target, analysis.device) == (kind, None)
    assert analysis.totals.expected_time_s is analysis.totals.compute_time_s is None
    assert device_line(analysis).startswith(device)


def test_a_dump_gets_the_roofs_of_a_device_that_is_named() -> None:
    path = AHEAD_OF_TIME / "cnn.a100.txt.gz"
    analysis = eg.analyze(path, device="a100-sxm-80")
    assert analysis.device == eg.devices()["a100-sxm-80"]
    # NVIDIA's data sheet: 2.039 TB/s.
    moved = analysis.totals.main_memory_bytes
    assert moved is not None
    assert analysis.totals.memory_time_s == pytest.approx(moved / 2.039e12, rel=0.01)
    with pytest.raises(InputError, match="no device is called 'a1000'"):
        eg.analyze(path, device="a1000")


def test_what_is_compressed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(TEXT.encode()))
    assert eg.read_hlo(path).name == "small"


CHAIN = """HloModule chain

ENTRY e {
  x = f32[1048576]{0} parameter(0)
  a = f32[1048576]{0} sine(x)
  b = f32[1048576]{0} add(a, x)
  c = bf16[1048576]{0} convert(b)
  d = f32[1048576]{0} convert(c)
  ROOT e = f32[1048576]{0} copy(d)
}
"""


def test_text_before_optimisation_claims_no_bound() -> None:
    """In fact all of it runs as one kernel, which moves 8 MiB: none of these ops does."""
    found = eg.analyze(CHAIN, device="h100-sxm")
    assert found.stage == "lowered"
    assert found.totals.flops == 3 << 20  # XLA counts one for each sum and each conversion
    assert found.totals.bound is None
    assert set(found.ops["bound"].isna()) == set(found.layers["bound"].isna()) == {True}
    assert not {finding.rule for finding in found.findings} & COMPILED_ONLY
    assert "if nothing were fused (an upper estimate, not measured)" in headline(found)
    assert "at least" not in headline(found)
    assert not [line for line in measurement_line(found) if line.startswith("roofline")]
    scheduled = eg.analyze(CHAIN.replace("chain", "chain, is_scheduled=true"), device="h100-sxm")
    assert scheduled.totals.bound == "memory"
    assert "dtype-conversions" in {finding.rule for finding in scheduled.findings}


def test_a_file_is_compared_on_devices_of_the_catalogue() -> None:
    program = eg.read_hlo(CHAIN.replace("chain", "chain, is_scheduled=true"))
    compared = eg.compare_devices(program, devices=["device:h100-sxm", "device:rpi5", "tpu:v5e"])
    h100, rpi5, tpu = compared.rows
    assert (h100.batch, h100.error, rpi5.error) == (None, None, None)
    # NVIDIA: 3.35 TB/s. Every op but the parameter reads and writes 4 MiB, conversions 4 and 2.
    moved = (2 + 3 + 1.5 + 1.5 + 2) * (4 << 20)
    assert h100.memory_time_s == pytest.approx(moved / 3.35e12, rel=0.01)
    assert tpu.error == (
        "chain is compiled already; name a device of the catalogue, such as device:tpu-v5e"
    )


def test_the_command_line_takes_folders_and_devices(
    dumped: Dumped, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, cnn = str(dumped.text), str(AHEAD_OF_TIME / "cnn.a100.txt.gz")
    assert main(["analyze", folder, "--module", "jit_other", "--device", "rpi5"]) == 0
    shown = capsys.readouterr().out
    assert ": at least " in shown
    assert "Raspberry Pi 5" in shown
    assert main(["diff", folder, cnn]) == 0
    assert main(["export", folder, "-o", str(tmp_path / "a.csv")]) == 0
    assert main(["check", folder, "--max-flops", "1"]) == 1
    assert main(["plot", "memory", folder, "-o", str(tmp_path / "a.png")]) == 0
    capsys.readouterr()
    assert main(["analyze", cnn, "--batch", "4"]) == 2
    assert "--batch has no effect on the file" in capsys.readouterr().err
    assert main(["analyze", "models.cnn:small_cnn", "--no-measure", "--device", "rpi5"]) == 2
    assert "--target device:NAME gives it the roofs" in capsys.readouterr().err


def test_what_reading_a_file_finds_out_is_not_found_out_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = eg.read_hlo(TEXT)

    def refuse(*given: object) -> None:
        raise AssertionError("this was known")

    with monkeypatch.context() as patched:
        patched.setattr("edgegraph.compiler.program.decode", refuse)
        patched.setattr("edgegraph.xla.cost_analysis", refuse)
        assert program.xla_cost["flops"] > 0
        assert replace(program, name="renamed").module is program.module
    named = replace(program, serialized=named_arguments(program.serialized, ("first", "second")))
    entry = named.module.computations[named.module.entry].instructions
    assert [each.op_name for each in entry if each.opcode == "parameter"] == ["first", "second"]
