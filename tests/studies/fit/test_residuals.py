"""The table of what is saved is JAX's own account of it, with layers, and costs by hand."""

from __future__ import annotations

import io
from collections import Counter
from contextlib import redirect_stdout
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.ad_checkpoint import checkpoint_name, print_saved_residuals

import edgegraph as eg
from edgegraph.compiler.derivatives import Differentiated, look_at_derivatives
from edgegraph.studies.fit.residuals import saved_residuals
from models.published import Published
from tests.models.zoo import TRAINED, build, function_name

_SHORT = {"float": "f", "bfloat": "bf", "int": "i", "uint": "u"}


def _says(workload: eg.Workload, batch: int) -> Counter[str]:
    """Return how often each shape stands in what JAX prints."""
    said: list[str] = []

    def look(found: Differentiated) -> None:
        def value(*primals: Any) -> Any:
            made = found.function(*primals)
            return made[0] if found.has_aux else made

        with redirect_stdout(io.StringIO()) as out:
            print_saved_residuals(value, *found.primals)
        lines = [line.split(" ", 1) for line in out.getvalue().splitlines()]
        said.extend(shape for shape, source in lines if source != "from a literal")

    look_at_derivatives(workload, batch, look)
    return Counter(said)


def _shown(dtype: str, shape: tuple[int, ...]) -> str:
    letters = dtype.rstrip("0123456789")
    short = _SHORT.get(letters, letters) + dtype[len(letters) :]
    return f"{short}[{','.join(map(str, shape))}]"


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(
            each,
            id=function_name(each),
            marks=[pytest.mark.slow] if function_name(each) not in ("small_cnn", "mlp") else [],
        )
        for each in TRAINED
    ],
)
def test_it_lists_what_jax_lists(network: Published) -> None:
    workload = build(f"{network.spec}_train")
    found = saved_residuals(workload, batch=2)
    assert Counter(_shown(each.dtype, each.shape) for each in found) == _says(workload, 2)


def _step(loss: Any, *shapes: tuple[int, ...]) -> eg.Workload:
    def step(*arguments: Any) -> Any:
        return jax.value_and_grad(loss)(*arguments)

    return eg.Workload.from_function(
        step, lambda batch: tuple(jax.ShapeDtypeStruct(s, "float32") for s in shapes), name="step"
    )


def test_two_dense_layers_by_hand() -> None:
    """Hidden layer of 8 x 32 for 8 x 16 inputs: 2 * 8 * 16 * 32 FLOPs make it once more."""

    def loss(weights: Any, inputs: Any) -> Any:
        with jax.named_scope("Net/hidden"):
            hidden = checkpoint_name(inputs @ weights[0], "hidden")
        with jax.named_scope("Net/out"):
            return jnp.sum((jnp.sin(hidden) @ weights[1]) ** 2)

    workload = eg.Workload.from_function(
        lambda *a: jax.grad(loss)(*a),
        lambda batch: (
            tuple(jax.ShapeDtypeStruct(s, "float32") for s in ((16, 32), (32, 4))),
            jax.ShapeDtypeStruct((batch, 16), "float32"),
        ),
        name="dense",
    )
    found = saved_residuals(workload, batch=8, device=eg.devices()["tpu-v5e"])
    by_source = {each.source: each for each in found}
    assert by_source["constant"].shape == (8, 16)
    assert by_source["argument"].shape == (32, 4)
    cosine = by_source["cos"]
    assert (cosine.layer, cosine.bytes) == ("Net/out", 4 * 8 * 32)
    assert cosine.flops == 2 * 8 * 16 * 32  # cosines count as transcendentals, not as FLOPs
    assert cosine.time_s is not None
    assert cosine.time_s > 0


def test_names_and_scans() -> None:
    """What a scan saves in its body is of the body's layer, for all iterations together."""

    def loss(weights: Any, inputs: Any) -> Any:
        def body(x: Any, w: Any) -> Any:
            with jax.named_scope("block"):
                return checkpoint_name(jnp.tanh(x @ w), "out"), None

        return jnp.sum(jax.lax.scan(body, inputs, weights)[0])

    found = saved_residuals(_step(loss, (5, 8, 8), (4, 8)), batch=1)
    stacked = [each for each in found if each.shape == (5, 4, 8)]
    assert stacked
    assert "block" in {each.layer for each in stacked}
