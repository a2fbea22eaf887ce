"""The zoo's networks, for the tests of this folder."""

from __future__ import annotations

import importlib
import math
from typing import Any

import jax
import pytest

import edgegraph as eg
from models.published import NETWORKS, Published

LINEN = ("small_cnn", "mlp", "alexnet", "alexnet_torchvision", "resnet18", "mobilenet_v2")
"""The networks that have a linen form."""

UNTRAINED = ("vit_b16", "transformer_prefill", "transformer_decode")
"""The networks that have no train step."""


def function_name(network: Published) -> str:
    return network.spec.partition(":")[2]


def cases(networks: tuple[Published, ...] = NETWORKS) -> list[Any]:
    """Return every network in every flavour, as test parameters."""
    return [
        pytest.param(network, flavor, id=f"{function_name(network)}-{flavor}")
        for network in networks
        for flavor in ("nnx", "linen")
        if flavor == "nnx" or function_name(network) in LINEN
    ]


TRAINED = tuple(network for network in NETWORKS if function_name(network) not in UNTRAINED)


def build(spec: str, flavor: str = "nnx", **arguments: Any) -> eg.Workload:
    """Call a network's function; networks without a linen form take no flavour."""
    module, _, name = spec.partition(":")
    if flavor != "nnx":
        arguments["flavor"] = flavor
    workload = getattr(importlib.import_module(module), name)(**arguments)
    assert isinstance(workload, eg.Workload)
    return workload


def count(tree: Any) -> int:
    """Count the elements of all leaves."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
