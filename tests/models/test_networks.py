"""Every network against its published figures, traced abstractly: no weight is ever made."""

from __future__ import annotations

import jax
import pytest

import edgegraph as eg
from models.published import (
    ALEXNET_CONVOLUTION_WEIGHTS,
    ALEXNET_LAYER_MACS,
    ALEXNET_WEIGHTS,
    GPT2_PARAMS,
    NETWORKS,
    Published,
)
from models.transformer import transformer_decode
from tests.models.macs import products
from tests.models.zoo import LINEN, build, cases, count, function_name


@pytest.mark.parametrize(("network", "flavor"), cases())
def test_parameters_and_macs_are_the_published_ones(network: Published, flavor: str) -> None:
    workload = build(network.spec, flavor)
    assert workload.name == function_name(network)
    call = workload.call(1)
    assert call.abstract[2].shape == (1, *network.input_shape)
    assert count(call.abstract[0]) == network.params
    counted = products(workload)
    assert sum(product.macs for product in counted) == network.macs
    valid = sum(product.valid_tap_macs for product in counted)
    assert valid == (network.valid_tap_macs or network.macs)


@pytest.mark.parametrize("flavor", ["nnx", "linen"])
def test_every_layer_of_the_lectures_alexnet_is_as_in_the_lecture(flavor: str) -> None:
    workload = build("models.alexnet:alexnet", flavor)
    macs = [product.macs for product in products(workload)]
    assert macs == list(ALEXNET_LAYER_MACS.values())
    params = workload.call(1).abstract[0]
    kernels = {layer: count(params[layer]["kernel"]) for layer in ALEXNET_LAYER_MACS}
    assert {name: kernels[name] for name in ALEXNET_CONVOLUTION_WEIGHTS} == (
        ALEXNET_CONVOLUTION_WEIGHTS
    )
    assert sum(kernels.values()) == ALEXNET_WEIGHTS


def test_the_transformer_has_gpt2s_parameters_at_gpt2s_sizes() -> None:
    workload = transformer_decode(context=1024, width=768, depth=12, heads=12, vocabulary=50_257)
    assert count(workload.call(1).abstract[0]) == GPT2_PARAMS


@pytest.mark.parametrize(("network", "flavor"), cases())
def test_bfloat16_reaches_parameters_products_and_outputs(network: Published, flavor: str) -> None:
    workload = build(network.spec, flavor, dtype="bfloat16")
    call = workload.call(1)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(call.abstract[0])} == {"bfloat16"}
    outputs = jax.eval_shape(call.function, *call.abstract)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(outputs)} == {"bfloat16"}
    for product in products(workload):
        assert {*product.operands, product.result} == {"bfloat16"}, product.scope


@pytest.mark.parametrize("spec", ["models.resnet:resnet18", "models.vit:vit_b16"])
def test_macs_grow_with_the_batch(spec: str) -> None:
    one, four = (sum(p.macs for p in products(build(spec), batch=batch)) for batch in (1, 4))
    assert four == 4 * one


@pytest.mark.parametrize("spec", ["models.vit:vit_b16", "models.vgg:vgg16"])
def test_no_weights_are_made_for_counting(spec: str) -> None:
    before = sum(array.nbytes for array in jax.live_arrays())
    workload = build(spec)
    products(workload)
    after = sum(array.nbytes for array in jax.live_arrays())
    assert after - before < 1_000_000


@pytest.mark.parametrize("name", LINEN)
def test_linen_and_nnx_name_and_shape_their_parameters_alike(name: str) -> None:
    (spec,) = (network.spec for network in NETWORKS if function_name(network) == name)
    nnx, linen = (build(spec, flavor).call(1).abstract[0] for flavor in ("nnx", "linen"))
    assert jax.tree.map(lambda leaf: leaf.shape, nnx) == jax.tree.map(
        lambda leaf: leaf.shape, linen
    )


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        (
            "models.cnn:small_cnn",
            {"flavor": "torch"},
            "small_cnn has no flavor 'torch'",
        ),
        ("models.cnn:small_cnn", {"dtype": "float64"}, "dtype 'float64' is not one of the zoo's"),
        ("models.mlp:mlp_train", {"optimizer": "adam"}, "optimizer 'adam' is not one of the zoo's"),
        ("models.mlp:mlp", {"widths": (784,)}, r"widths=\(784,\) has no layer"),
    ],
)
def test_wrong_arguments_are_refused(spec: str, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(eg.EdgeGraphError, match=message):
        build(spec, **arguments)
