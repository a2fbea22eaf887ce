"""Shapes of inputs at the command line, and what becomes of them."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import pytest

from edgegraph.cli import main
from edgegraph.cli.inputs import parse_inputs, parse_shape
from edgegraph.errors import InputError

NETS = """
from flax import nnx

class Two(nnx.Module):
    def __init__(self, width: int = 8, *, rngs):
        self.a = nnx.Linear(16, width, rngs=rngs)
        self.b = nnx.Linear(4, width, rngs=rngs)

    def __call__(self, x, z, scale: float = 1.0, train: bool = False):
        return scale * self.a(x) + self.b(z)

class Batches(nnx.Module):
    def __init__(self, *, rngs):
        self.table = nnx.Embed(100, 8, rngs=rngs)
        self.b = nnx.Linear(4, 8, rngs=rngs)

    def __call__(self, batch):
        return self.table(batch["ids"]).mean(1) + self.b(batch["x"])
"""


def test_shapes_are_one_several_or_by_name() -> None:
    assert (parse_shape("28x28x1"), parse_shape("784")) == ((28, 28, 1), (784,))
    assert parse_inputs(["28x28x1"]) == (28, 28, 1)
    assert parse_inputs(["16", "4"]) == [(16,), (4,)]
    assert parse_inputs(["x=16", "ids=i32[7]"]) == {
        "x": (16,), "ids": jax.ShapeDtypeStruct((7,), "int32"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["x=16", "4"], "give every input a name"),
        (["x=16", "x=4"], "gives 'x' twice"),
        (["x"], "is not a shape"),
        (["x=f32[a]"], "is not a shape"),
        (["3 x=16"], "is not NAME=SHAPE"),
    ],
)
def test_what_is_no_input_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_inputs(texts)


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(NETS, "utf-8")
    return path


@pytest.mark.parametrize(
    ("options", "macs"),
    [
        ("Two --input 16 --input 4", 8 * 16 + 8 * 4),
        ("Two --input z=4 --input x=16", 8 * 16 + 8 * 4),
        ("Two --input 16 --input 4 --set width=2 --set scale=3", 2 * 16 + 2 * 4),
        ("Two --input 16 --input 4 --set train=true", 8 * 16 + 8 * 4),
        ("Batches --input ids=i32[7] --input x=4", 8 * 4),
    ],
)
def test_inputs_reach_the_model(
    nets: Path, options: str, macs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *rest = options.split()
    assert main(["analyze", f"{nets}:{name}", *rest, "--stage", "lowered", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["totals"]["macs"] == macs
    changes = "; --set train=true changes it" * (name == "Two")  # which alone takes it
    assert told["notes"][0] == f"the model runs in evaluation mode{changes}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("Two --input x=16 --input q=4", "is called with x, z, scale, train, and not with q"),
        ("Two --input 16 --input 4 --set depth=3", "takes no 'depth'"),
        ("Two --input 16 --input 4 --dtype int8", "is no cast but a quantisation"),
    ],
)
def test_what_a_model_does_not_take_is_refused(
    nets: Path, options: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *rest = options.split()
    assert main(["analyze", f"{nets}:{name}", *rest, "--stage", "lowered"]) == 2
    assert said in capsys.readouterr().err


def test_products_say_in_what_they_run(nets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [f"{nets}:Two", "--input", "16", "--input", "4", "--dtype", "bfloat16"]
    assert main(["analyze", *given, "--stage", "lowered"]) == 0
    assert "products: 2 products in bf16" in capsys.readouterr().out
