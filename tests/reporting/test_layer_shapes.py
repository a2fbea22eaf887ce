"""What goes into layers and comes out of them."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.cli import main
from edgegraph.reporting.layer_shapes import layer_shapes
from models.cnn import small_cnn

BY_HAND = {
    "SmallCNN": ("f32[2,28,28,1]", "f32[2,10]"),
    "SmallCNN/conv1": ("f32[2,28,28,1]", "f32[2,28,28,32]"),
    "SmallCNN/conv2": ("f32[2,14,14,32]", "f32[2,14,14,64]"),
    "SmallCNN/dense1": ("f32[2,3136]", "f32[2,256]"),
    "SmallCNN/dense2": ("f32[2,256]", "f32[2,10]"),
}


def test_of_a_network_they_are_those_of_its_description() -> None:
    found = layer_shapes(eg.analyze(small_cnn(), batch=2, target="device:rpi5"))
    assert {layer: found[layer, "forward"] for layer in BY_HAND} == BY_HAND


def test_of_several_the_largest_stand_first_and_parameters_nowhere() -> None:
    def run(params: dict[str, jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
        with jax.named_scope("join"):
            return jnp.tanh(x @ params["kernel"] + y)

    args = ({"kernel": jnp.ones((64, 8))}, jnp.ones((4, 64)), jnp.ones(8))
    analysis = eg.analyze(run, args=args, stage="lowered")
    assert layer_shapes(analysis)["join", "forward"] == ("f32[4,64] + f32[8]", "f32[4,8]")


def test_the_table_shows_them_at_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    file = str(eg.analyze(small_cnn(), target="device:rpi5").save(tmp_path / "a.edgegraph"))
    assert main(["show", file, "--shapes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.strip().startswith("conv2"))
    assert row.split()[-2:] == ["f32[1,14,14,32]", "f32[1,14,14,64]"]
    assert max(map(len, lines)) <= 80
    assert main(["show", file, "--shapes", "--ops"]) == 2
    assert "leave --ops and --by out" in capsys.readouterr().err
