"""EdgeGraph's own analysis of the zoo, before optimisation: nothing is compiled or run."""

from __future__ import annotations

import math
from functools import cache

import pytest

import edgegraph as eg
from models.published import ALEXNET_LAYER_MACS, NETWORKS, Published
from tests.models.macs import products
from tests.models.zoo import LINEN, TRAINED, build, cases, function_name

PRODUCTS = ("convolution", "dot")


@cache
def analysis(spec: str, flavor: str = "nnx", batch: int = 1) -> eg.Analysis:
    return eg.analyze(build(spec, flavor), batch=batch, stage="lowered")


@pytest.mark.parametrize(("network", "flavor"), cases())
def test_totals_are_the_published_ones(network: Published, flavor: str) -> None:
    result = analysis(network.spec, flavor)
    assert result.totals.params == network.params
    assert result.totals.param_bytes == 4 * network.params
    assert result.totals.macs == network.macs


@pytest.mark.parametrize(("network", "flavor"), cases())
def test_the_products_flops_are_twice_the_valid_tap_macs(network: Published, flavor: str) -> None:
    records = analysis(network.spec, flavor).op_records
    flops = sum(record.flops or 0 for record in records if record.opcode in PRODUCTS)
    assert flops == 2 * (network.valid_tap_macs or network.macs)


@pytest.mark.parametrize("name", LINEN)
def test_linen_and_nnx_have_the_same_layers(name: str) -> None:
    (spec,) = (network.spec for network in NETWORKS if function_name(network) == name)
    nnx, linen = (
        {
            record.layer: (record.params, record.macs, record.flops, record.transcendentals)
            for record in analysis(spec, flavor).layer_records
        }
        for flavor in ("nnx", "linen")
    )
    assert nnx == linen


def test_small_cnn_is_as_xla_says() -> None:
    result = analysis("models.cnn:small_cnn", batch=32)
    assert result.totals.flops == 278_659_392
    macs = {record.layer: record.macs for record in result.layer_records}
    assert macs["SmallCNN/conv1"] == 7_225_344
    assert macs["SmallCNN/conv2"] == 115_605_504
    assert macs["SmallCNN/dense1"] == 25_690_112
    assert macs["SmallCNN/dense2"] == 81_920


@pytest.mark.parametrize("flavor", ["nnx", "linen"])
def test_alexnets_layers_are_the_lectures(flavor: str) -> None:
    macs = {
        record.layer.removeprefix("AlexNet/"): record.macs
        for record in analysis("models.alexnet:alexnet", flavor).layer_records
        if record.macs
    }
    del macs["AlexNet"]
    assert macs == ALEXNET_LAYER_MACS


@pytest.mark.parametrize("network", NETWORKS, ids=function_name)
def test_everything_that_costs_flops_has_a_layer(network: Published) -> None:
    totals = analysis(network.spec).totals
    assert totals.flops_coverage == pytest.approx(1.0, abs=1e-3)
    assert not totals.lower_bound
    assert totals.xla_flops is not None
    assert math.isclose(totals.flops, totals.xla_flops, rel_tol=1e-4)


@pytest.mark.parametrize("network", TRAINED, ids=function_name)
def test_a_train_step_has_its_phases(network: Published) -> None:
    result = analysis(f"{network.spec}_train", batch=2)
    macs = {"forward": 0, "backward": 0, "update": 0}
    flops = dict(macs)
    for record in result.op_records:
        if record.parent is None:
            flops[record.phase] += record.flops or 0
        if record.opcode in PRODUCTS:
            macs[record.phase] += (record.flops or 0) // 2
    forward = [product.valid_tap_macs for product in products(build(network.spec), batch=2)]
    assert macs == {"forward": sum(forward), "backward": 2 * sum(forward) - forward[0], "update": 0}
    # Plain gradient descent scales each gradient and adds it.
    assert flops["update"] == 2 * network.params
    assert result.totals.params == network.params
