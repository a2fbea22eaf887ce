"""Plans of small steps: within their memory, with the loss and gradients of the step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen
from jax.flatten_util import ravel_pytree

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.studies.fit.apply import apply_plan
from edgegraph.studies.fit.result import FULL, LayerPlan
from edgegraph.studies.fit.run import fit
from tests.studies.device_comparisons import dense


class Block(linen.Module):
    """A residual block, plain or as the body of a scan."""

    @linen.compact
    def __call__(self, x: jax.Array, _: Any = None) -> tuple[jax.Array, None]:
        """Widen, bend, narrow, add."""
        hidden = linen.gelu(linen.Dense(64)(linen.LayerNorm()(x)))
        return x + linen.Dense(16)(hidden), None


class Net(linen.Module):
    """Blocks one after another, unrolled, scanned or already under `nn.remat`."""

    kind: str

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return logits."""
        if self.kind == "scanned":
            scan = linen.scan(
                Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=4
            )
            x, _ = scan()(x, None)
        else:
            block = linen.remat(Block) if self.kind == "remat" else Block
            for _ in range(4):
                x, _ = block()(x)
        return linen.Dense(10)(x)


def step(kind: str) -> eg.Workload:
    return eg.Workload.train_step(Net(kind), optax.sgd(0.1), input_shape=(16,), name=kind)


@pytest.mark.parametrize("kind", ["unrolled", "scanned", "remat"])
def test_a_plan_computes_the_same(kind: str) -> None:
    workload = step(kind)
    made = fit(workload, target="device:rpi5", memory="1GB", batches=[64])
    full = next(point for point in made.points if point.plan == FULL)
    assert any(layer.checkpointed for layer in full.layers)
    plain, planned = workload.call(64), apply_plan(workload, full.layers).call(64)
    values = plain.concrete()
    results = [ravel_pytree(jax.jit(each.function)(*values))[0] for each in (plain, planned)]
    # Of plain gradient descent, all results together: parameters after the step, and the loss.
    difference = jnp.linalg.norm(results[0] - results[1]) / jnp.linalg.norm(results[0])
    assert difference < 1e-6
    scopes = jax.jit(planned.function).lower(*planned.abstract).as_text()
    assert "optimization_barrier" in scopes


def test_a_scanned_step_fits_where_it_did_not() -> None:
    """XLA's own figure: the scan saves less from one iteration to the next."""
    workload = step("scanned")
    plain, *_ = fit(workload, target="device:rpi5", memory="1GB", batches=[4096]).points
    assert plain.peak_bytes is not None
    made = fit(workload, target="device:rpi5", memory=plain.peak_bytes * 2 // 3, batches=[4096])
    best = made.best
    assert best is not None
    assert best.peak_bytes is not None
    assert best.peak_bytes <= made.limit_bytes
    again = eg.compile(made.workload, batch=4096).memory
    assert again is not None
    assert again.peak_bytes == best.peak_bytes
    assert "examples/s" in made.conclusions[0]


def test_nothing_fits_into_nothing() -> None:
    made = fit(step("unrolled"), target="device:rpi5", memory="1kB", batches=[8])
    assert made.best is None
    assert made.conclusions == ("nothing that was tried fits into 1 kB",)
    with pytest.raises(InputError, match="no plan of unrolled fits"):
        _ = made.workload


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(InputError, match="takes no derivative"):
        fit(dense(), target="device:rpi5", batches=[1])
    strange = LayerPlan(layer="x", count=3, checkpointed=False, kept=(), kept_bytes=0,
                        working_bytes=0, time_s=0.0)  # fmt: skip
    with pytest.raises(eg.EdgeGraphError, match="plan this step anew"):
        eg.compile(apply_plan(step("unrolled"), (strange,)), batch=8, stage="lowered")
