"""Modules that are made in one place and run in another keep one row each."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from flax import nnx

import edgegraph as eg
from edgegraph.analysis.owners import parameter_owners
from edgegraph.hlo.parameters import ParameterName
from edgegraph.hlo.sources import Sources

BATCH, STEPS = 2, 5


@pytest.mark.parametrize(
    ("path", "scopes", "expected"),
    [
        ("conv1", ["Net", "Net/conv1"], "Net/conv1"),
        ("norm", ["Net/b0/norm", "Net/norm"], "Net/norm"),
        ("unused", ["Net", "loss", "optimizer"], "Net/unused"),
        ("", ["Net"], "Net"),
        ("alone", [], "alone"),
    ],
)
def test_parameter_owners(path: str, scopes: list[str], expected: str) -> None:
    parameters = {0: ParameterName(path=path, leaf="w")}
    assert parameter_owners(Sources([]), parameters, scopes) == {0: expected}


class Passing(nn.Module):
    """Runs a module that was made here, by another."""

    kind: str

    @nn.compact
    def __call__(self, x: jax.Array) -> Any:
        match self.kind:
            case "sequential":
                x = nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(4)])(x)
                return nn.Sequential([nn.Dense(8, name="named")])(x)
            case "rnn":
                return nn.RNN(nn.LSTMCell(8))(x)
            case "both ways":
                return nn.Bidirectional(nn.RNN(nn.GRUCell(8)), nn.RNN(nn.GRUCell(8)))(x)
            case "weights":
                return nn.WeightNorm(nn.Dense(8))(x)
            case _:
                return nn.SpectralNorm(nn.Dense(8))(x, update_stats=False)


CELL = {"ii": (128, 16), "hi": (72, 8), "if": (128, 16), "hf": (72, 8), "ig": (128, 16)}
CELL |= {"hg": (72, 8), "io": (128, 16), "ho": (72, 8)}
GATES = {"ir": (136, 16), "hr": (64, 8), "iz": (136, 16), "hz": (64, 8), "in": (136, 16)}
GATES |= {"hn": (72, 8)}


def dense(inputs: int, outputs: int) -> tuple[int, int]:
    """Return the parameters of a dense layer, and the MACs of a batch."""
    return (inputs + 1) * outputs, BATCH * inputs * outputs


EXPECTED: dict[str, dict[str, tuple[int, int]]] = {
    "sequential": {
        "Sequential_0/Dense_0": dense(16, 8),
        "Sequential_0/Dense_1": dense(8, 4),
        "Sequential_1/named": dense(4, 8),
    },
    "rnn": {
        f"RNN_0/LSTMCell_0/{gate}": (params, BATCH * STEPS * inputs * 8)
        for gate, (params, inputs) in CELL.items()
    },
    "both ways": {
        f"Bidirectional_0/RNN_{k}/GRUCell_{k}/{gate}": (params, BATCH * STEPS * inputs * 8)
        for k in range(2)
        for gate, (params, inputs) in GATES.items()
    },
    "weights": {"WeightNorm_0/Dense_0": dense(16, 8), "WeightNorm_0/(own)": (8, 0)},
    # The norm multiplies its kernel with two vectors, four times.
    "spectrum": {"SpectralNorm_0/Dense_0": dense(16, 8), "SpectralNorm_0/(own)": (0, 392)},
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_module_that_another_runs_has_one_row(kind: str) -> None:
    shape = (STEPS, 16) if kind in ("rnn", "both ways") else (16,)
    workload = eg.Workload.from_flax(Passing(kind), shape)
    layers = eg.analyze(workload, batch=BATCH, stage="lowered").layers
    leaves = layers[layers.leaf & ((layers.params > 0) | (layers.macs > 0))]
    rows = zip(leaves.layer, leaves.params, leaves.macs, strict=True)
    assert {layer.removeprefix("Passing/"): (p, m) for layer, p, m in rows} == EXPECTED[kind]


class Adapted(nnx.Module):
    """A layer with another beside it, that both hold."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.base = nnx.Linear(16, 8, rngs=rngs)
        self.adapter = nnx.LoRA(16, 2, 8, base_module=self.base, rngs=rngs)

    def __call__(self, x: jax.Array) -> Any:
        return self.adapter(x)


def test_a_module_that_two_hold_stands_where_it_runs() -> None:
    workload = eg.Workload.from_flax(Adapted, (16,))
    layers = eg.analyze(workload, batch=BATCH, stage="lowered").layers.set_index("layer")
    found = layers.loc[["Adapted/adapter/base", "Adapted/adapter/(own)"]]
    assert found.params.tolist() == [17 * 8, 16 * 2 + 2 * 8]
    assert found.macs.tolist() == [BATCH * 16 * 8, BATCH * (16 * 2 + 2 * 8)]


def test_parameters_of_no_module_stand_where_they_are_read() -> None:
    def net(p: Any, x: jax.Array) -> Any:
        with jax.named_scope("first"):
            x = jnp.tanh(x @ p["w1"])
        with jax.named_scope("second"):
            return x @ p["w2"].T

    shapes = {"w1": (16, 8), "w2": (4, 8)}
    p = {name: jax.ShapeDtypeStruct(shape, "float32") for name, shape in shapes.items()}
    x = jax.ShapeDtypeStruct((BATCH, 16), "float32")
    for stage in ("lowered", "optimized"):
        layers = eg.analyze(net, args=(p, x), stage=stage).layers.set_index("layer")
        assert layers.params.to_dict() == {"first": 16 * 8, "second": 4 * 8}
