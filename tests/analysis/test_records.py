"""Where products stand under the roofs of devices that are not here, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph import xla
from edgegraph.compiler import program
from edgegraph.device.catalogue import find_device
from edgegraph.results.analysis import OpRecord
from models.alexnet import alexnet
from models.cnn import small_cnn
from tests import analyses

FLOPS = 2 * 256 * 512 * 128


def record(device: str, attribute: str, tmp_path: Path, dtype: str = "f32") -> OpRecord:
    """Analyse a dot of 256x512 and 512x128 on a device."""
    path = tmp_path / "dot.hlo"
    path.write_text(f"""HloModule m, is_scheduled=true
      ENTRY e {{ x = {dtype}[256,512] parameter(0)
                 y = {dtype}[512,128] parameter(1)
                 ROOT dot = f32[256,128] dot(x, y), lhs_contracting_dims={{1}},
                   rhs_contracting_dims={{0}}{attribute} }}""")
    analysis = eg.analyze(eg.read_hlo(path), device=find_device(device))
    return next(op for op in analysis.op_records if op.opcode == "dot")


@pytest.mark.parametrize(
    ("device", "attribute", "dtype", "passes", "peak"),
    [
        ("a100", "", "tf32", 1, 156e12),
        ("a100", ", operand_precision={highest,highest}", "f32", 1, 19.5e12),
        ("a100", ", algorithm=dot_bf16_bf16_f32_x3", "bf16", 3, 312e12),
        ("v100", "", "f32", 1, 80 * 128 * 1.53e9),
        ("tpu:v5e", "", "bf16", 1, 197e12),
        ("tpu:v5e", ", operand_precision={high,high}", "bf16", 3, 197e12),
        ("tpu:v5e", ", operand_precision={highest,highest}", "bf16", 6, 197e12),
    ],
)
def test_f32_products(
    device: str, attribute: str, dtype: str, passes: int, peak: float, tmp_path: Path
) -> None:
    dot = record(device, attribute, tmp_path)
    assert (dot.flops, dot.dtype, dot.roof, dot.passes) == (FLOPS, dtype, dtype, passes)
    assert dot.compute_time_s == pytest.approx(FLOPS * passes / peak)


def test_a_dtype_without_a_peak_is_told_beside_the_roof(tmp_path: Path) -> None:
    dot = record("v100", "", tmp_path, dtype="bf16")
    assert (dot.dtype, dot.roof) == ("bf16", "f16")


def test_the_frame_tells_the_dtype_of_ops_and_of_no_container() -> None:
    def run(x: object) -> object:
        return x @ x.T + 1  # type: ignore[attr-defined]  # a jax array

    import jax

    ops = eg.analyze(run, args=(jax.ShapeDtypeStruct((64, 32), "float32"),)).ops
    containers = set(ops.parent.dropna())
    assert ops[ops.name.isin(containers)].dtype.isna().all()
    assert set(ops[ops.opcode == "dot"].dtype) == {"f32"}
    assert set(ops.passes) == {1}


def test_the_working_set_of_a_kernel_is_what_it_touches_once(tmp_path: Path) -> None:
    dot = record("a100", "", tmp_path)
    assert dot.working_set_bytes == 4 * (256 * 512 + 512 * 128 + 256 * 128)


POOL_BYTES = 4 * (28 * 28 * 32 + 14 * 14 * 32)
"""Of SmallCNN the first pool reads conv1's output and writes a quarter of it: the most at once."""


def test_the_lectures_alexnet() -> None:
    found = eg.analyze(alexnet(), batch=1, stage="lowered").activation_memory
    assert found is not None
    assert found.in_out.bytes == found.liveness.bytes == 4 * 440_928
    assert found.in_out.layer == "AlexNet/conv1"
    assert found.in_out.opcode == "convolution"


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_small_cnn_at_either_stage(stage: str) -> None:
    found = eg.analyze(small_cnn(), batch=1, stage=stage).activation_memory
    assert found is not None
    assert found.in_out == found.inplace_depthwise == found.liveness
    assert (found.liveness.bytes, found.liveness.opcode) == (POOL_BYTES, "reduce-window")


def test_an_optimised_module_from_a_file_has_none(tmp_path: Path) -> None:
    path = tmp_path / "module.pb"
    path.write_bytes(analyses.small_cnn(1).serialized_module)
    assert eg.analyze(eg.read_hlo(path)).activation_memory is None


def test_a_module_from_before_optimisation_has_it_from_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "module.pb"
    path.write_bytes(eg.compile(small_cnn(), batch=1, stage="lowered").serialized)
    found = eg.analyze(eg.read_hlo(path)).activation_memory
    assert found is not None
    assert found.liveness.bytes == POOL_BYTES


def test_a_program_without_activations_has_none() -> None:
    assert eg.analyze(lambda: 1.0, args=(), name="one").activation_memory is None


def test_very_large_compiled_programs_are_not_lowered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(program, "MOST_INSTRUCTIONS", 3)
    monkeypatch.setattr(xla, "lowered_module", lambda lowered: pytest.fail("it was"))
    assert eg.analyze(small_cnn(), batch=1).activation_memory is None


def test_the_layer_of_the_peak_is_named() -> None:
    found = eg.analyze(small_cnn(), batch=1).live_memory
    assert found is not None
    assert found.peak_layer is not None
    assert found.peak_layer.startswith("SmallCNN")
