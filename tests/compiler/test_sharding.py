"""How arguments are spread over a mesh: by the batch, and kernels two by two."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

import edgegraph as eg
from edgegraph.compiler.sharding import DeviceMesh, sharded
from edgegraph.errors import InputError
from models.cnn import small_cnn
from models.mlp import mlp_train


def spec(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def partitions(
    workload: eg.Workload, mesh: DeviceMesh, batch: int = 8, **more: Any
) -> dict[str, P]:
    found, _ = jax.tree_util.tree_flatten_with_path(sharded(workload, batch, mesh, **more).abstract)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.sharding.spec
        for path, leaf in found
    }


def attention(w: dict[str, Any], x: Any) -> Any:
    """One block of a transformer, its heads apart."""
    q, k, v = (jnp.einsum("btd,dhk->bthk", x, w[name]) for name in ("q", "k", "v"))
    scores = jax.nn.softmax(jnp.einsum("bthk,bshk->bhts", q, k))
    x = x + jnp.einsum("bthk,hkd->btd", jnp.einsum("bhts,bshk->bthk", scores, v), w["out"])
    return x + jax.nn.gelu(x @ w["up"]) @ w["down"]


KERNELS = {
    "q": spec(16, 4, 4), "k": spec(16, 4, 4), "v": spec(16, 4, 4), "out": spec(4, 4, 16),
    "up": spec(16, 64), "down": spec(64, 16),
}  # fmt: skip
BLOCK = eg.Workload.from_function(attention, lambda batch: (KERNELS, spec(batch, 3, 16)))
MEGATRON = {
    "0/q": P(None, "tensor"), "0/k": P(None, "tensor"), "0/v": P(None, "tensor"),
    "0/out": P("tensor"), "0/up": P(None, "tensor"), "0/down": P("tensor"),
}  # fmt: skip
"""Figure 3 of Megatron-LM: heads and the hidden layer are split, then summed over."""


def test_data_parallel_splits_the_axis_that_grows_with_the_batch() -> None:
    found = partitions(BLOCK, DeviceMesh(data=4))
    assert found == {path: P() for path in MEGATRON} | {"1": P("data")}


def test_a_transformer_is_split_as_megatron_does() -> None:
    assert partitions(BLOCK, DeviceMesh(tensor=4)) == MEGATRON | {"1": P()}
    assert partitions(BLOCK, DeviceMesh(data=2, tensor=2)) == MEGATRON | {"1": P("data")}


def test_the_kernels_of_a_scan_are_split_behind_its_own_axis() -> None:
    def run(w: Any, x: Any) -> Any:
        return jax.lax.scan(lambda x, w: (attention(w, x), None), x, w)[0]

    stacked = {name: spec(5, *kernel.shape) for name, kernel in KERNELS.items()}
    workload = eg.Workload.from_function(run, lambda batch: (stacked, spec(batch, 3, 16)))
    found = partitions(workload, DeviceMesh(tensor=4))
    assert found == {path: P(None, *part) for path, part in MEGATRON.items()} | {"1": P()}


def test_what_the_chips_do_not_divide_stays_whole() -> None:
    assert set(partitions(BLOCK, DeviceMesh(tensor=3)).values()) == {P()}


def test_convolutions_are_split_by_channels() -> None:
    found = partitions(small_cnn(), DeviceMesh(tensor=2))
    split = {path.split("/")[1]: part for path, part in found.items() if part != P()}
    assert split["conv1"] == P(None, None, None, "tensor")
    assert split["conv2"] == P(None, None, "tensor")
    assert split["dense1"] == P(None, "tensor")
    assert split["dense2"] == P("tensor")


def test_the_state_of_the_optimizer_goes_with_its_parameter() -> None:
    found = partitions(mlp_train(optimizer="adamw"), DeviceMesh(tensor=4))
    kernels = [path for path, part in found.items() if part == P(None, "tensor")]
    assert len(kernels) == 3  # the parameter and its two moments
    assert all(path.endswith("dense1/kernel") for path in kernels)


def test_the_caller_may_say_how() -> None:
    def partition(path: str, shape: tuple[int, ...]) -> P | None:
        return P("data") if path == "0/up" else None

    assert partitions(BLOCK, DeviceMesh(data=2), partition=partition)["0/up"] == P("data")
    with pytest.raises(InputError, match=r"partition of .* is 'data'; give a jax"):
        partitions(BLOCK, DeviceMesh(data=2), partition=lambda path, shape: "data")


def test_bad_meshes_are_refused() -> None:
    with pytest.raises(InputError, match="mesh axis must be a positive integer, not 0"):
        DeviceMesh(data=0)
    with pytest.raises(InputError, match="3 chips do not divide the batch of 8"):
        partitions(BLOCK, DeviceMesh(data=3))
    with pytest.raises(InputError, match="compiled for chips that are not here"):
        eg.compile(BLOCK, batch=8, mesh=DeviceMesh(data=2))
    with pytest.raises(InputError, match="a mesh has no effect on a function"):
        eg.compile(lambda x: x, spec(2), mesh=DeviceMesh(data=2))


def test_the_chips_of_a_mesh_are_the_product_of_its_sides() -> None:
    assert DeviceMesh(data=4, tensor=3).chips == 12
    assert str(DeviceMesh(data=4, tensor=3)) == "data 4 x tensor 3"
    assert str(DeviceMesh()) == "one chip"
