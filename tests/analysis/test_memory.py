"""What a program holds in memory, by layer, against published figures and arithmetic by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph import xla
from edgegraph.analysis import memory
from models.alexnet import alexnet
from models.cnn import small_cnn
from tests import analyses

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
    monkeypatch.setattr(memory, "MOST_INSTRUCTIONS", 3)
    monkeypatch.setattr(xla, "lowered_module", lambda lowered: pytest.fail("it was"))
    assert eg.analyze(small_cnn(), batch=1).activation_memory is None


def test_the_layer_of_the_peak_is_named() -> None:
    found = eg.analyze(small_cnn(), batch=1).live_memory
    assert found is not None
    assert found.peak_layer is not None
    assert found.peak_layer.startswith("SmallCNN")
