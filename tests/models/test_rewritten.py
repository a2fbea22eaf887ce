"""Every network, its rules forced, keeps its layers and MACs, and goes through JAX as before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import export

import edgegraph as eg
from edgegraph.rewrites.decisions import load_decisions, rewritten_workload, save_decisions
from edgegraph.rewrites.rewriter import find_sites, rewritten
from edgegraph.rewrites.rule import forms
from models.published import NETWORKS
from tests.models.zoo import TRAINED, build

SPECS = [each.spec for each in NETWORKS] + [f"{each.spec}_train" for each in TRAINED]
QUICK = "models.cnn:small_cnn_train"
LONG = {
    "efficientnet_b0", "efficientnet_b0_train", "mixer_b16", "mobilenet_v1_train", "mobilenet_v2",
    "mobilenet_v2_train", "resnet18_train", "resnet50", "resnet50_train", "transformer_decode",
    "vit_b16",
}  # fmt: skip
"""Ten seconds to minutes each: with EDGEGRAPH_ALL_NETWORKS=1 only."""


def marks(spec: str) -> list[pytest.MarkDecorator]:
    if spec == QUICK:
        return []
    kept = os.environ.get("EDGEGRAPH_ALL_NETWORKS") or spec.split(":")[1] not in LONG
    left_out = pytest.mark.skipif(not kept, reason="set EDGEGRAPH_ALL_NETWORKS=1 to run it")
    return [pytest.mark.slow, left_out]


def forced(workload: eg.Workload) -> dict[str, str]:
    """Choose the first form that needs no permission, for every site that has one."""
    call = workload.call(1)
    return {
        found.site.signature: next(rule.name for rule, _ in forms(found.site, ()))
        for found in find_sites(
            jax.make_jaxpr(call.function)(*call.abstract),
            lambda site: any(True for _ in forms(site, ())),
        )
    }


def shapes(tree: Any) -> list[tuple[tuple[int, ...], Any]]:
    return [(each.shape, each.dtype) for each in jax.tree.leaves(tree)]


def macs(analysis: eg.Analysis) -> dict[tuple[str, str], int | None]:
    return {(row.layer, row.phase): row.macs for row in analysis.layer_records}


def total(tree: Any) -> jax.Array:
    leaves = [each for each in jax.tree.leaves(tree) if jnp.issubdtype(each.dtype, jnp.floating)]
    return sum((jnp.sum(each) for each in leaves), jnp.zeros(()))


@pytest.mark.parametrize(
    "spec",
    [pytest.param(spec, marks=marks(spec), id=spec.split(":")[1]) for spec in SPECS],
)
def test_a_rewritten_network(spec: str, tmp_path: Path) -> None:
    workload = build(spec)
    decisions = forced(workload)
    loaded = load_decisions(save_decisions(decisions, tmp_path / "a.rewrites"))
    assert loaded.decisions == decisions
    before, after = (
        eg.analyze(each, batch=1, stage="lowered")
        for each in (workload, rewritten_workload(workload, decisions))
    )
    assert after.totals.macs == before.totals.macs
    assert macs(before).items() <= macs(after).items()
    coverage = [each.totals.flops_coverage for each in (before, after)]
    assert coverage[1] == pytest.approx(coverage[0], abs=0.01)
    assert {row.layer for row in before.layer_records} <= {row.layer for row in after.layer_records}
    call = workload.call(1)
    form = rewritten(call.function, decisions)
    expected = jax.eval_shape(call.function, *call.abstract)
    assert shapes(jax.eval_shape(form, *call.abstract)) == shapes(expected)
    if spec.endswith("_train"):
        return
    floats = [jnp.issubdtype(each.dtype, jnp.floating) for each in jax.tree.leaves(call.abstract)]
    leaves, tree = jax.tree.flatten(call.abstract)

    def of_floats(*changing: Any) -> jax.Array:
        given = iter(changing)
        filled = [
            next(given) if known else jnp.zeros(leaf.shape, leaf.dtype)
            for leaf, known in zip(leaves, floats, strict=True)
        ]
        return total(form(*jax.tree.unflatten(tree, filled)))

    changing = [leaf for leaf, known in zip(leaves, floats, strict=True) if known]
    gradients = jax.eval_shape(jax.grad(of_floats, range(len(changing))), *changing)
    assert shapes(gradients) == shapes(changing)
    axes = (*[None] * (len(call.abstract) - 1), 0)
    batched = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), call.abstract[-1]
    )
    two = jax.eval_shape(jax.vmap(form, axes), *call.abstract[:-1], batched)
    assert [each[0] for each in shapes(two)] == [(2, *shape) for shape, _ in shapes(expected)]
    exported = export.export(jax.jit(form))(*call.abstract)
    assert [(each.shape, each.dtype) for each in exported.out_avals] == shapes(expected)
