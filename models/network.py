"""From a network's definition to Workloads: the forward pass and the train step."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import optax

import edgegraph as eg
from models.pipeline import ImagePipeline

Flavor = Literal["nnx", "linen"]
Optimizer = Literal["sgd", "momentum", "adamw"]

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: optax.sgd(0.01),
    "momentum": lambda: optax.sgd(0.01, momentum=0.9),
    "adamw": lambda: optax.adamw(0.001),
}
DTYPES = ("float32", "bfloat16")

FEWEST_CLASSES = 10
"""Labels of a pipeline are drawn below this, so that they are in range of every network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network before it has a flavour and a dtype.

    Attributes:
        name: The name of the Workload; its train step is called ``<name>_train``.
        nnx: Builds the NNX module from keyword arguments ``dtype`` and ``rngs``.
        linen: ``module:class`` of the linen module, built from the keyword argument ``dtype``;
            None where there is none. A name, so that linen is imported only where it is used.
        sizes: Further keyword arguments of both.
        input_shape: Shape of one example, without the batch.
        input_dtype: dtype of the input; that of the parameters where None.
        integers_below: Integer inputs are drawn from 0 up to this, exclusive.
    """

    name: str
    nnx: Callable[..., Any]
    linen: str | None = None
    sizes: Mapping[str, Any]
    input_shape: tuple[int, ...]
    input_dtype: str | None = None
    integers_below: int = 2

    def module(self, flavor: str, dtype: str) -> Any:
        """Return what makes the weights once they are needed.

        Returns:
            A function that makes the NNX module, or the linen module, which has no weights.

        Raises:
            eg.EdgeGraphError: There is no such flavour of this network, or no such dtype.
        """
        if dtype not in DTYPES:
            raise eg.EdgeGraphError(
                f"dtype {dtype!r} is not one of the zoo's: use {' or '.join(DTYPES)}"
            )
        if flavor == "nnx":
            return lambda rngs: self.nnx(**self.sizes, dtype=dtype, rngs=rngs)
        if flavor == "linen" and self.linen is not None:
            home, _, name = self.linen.partition(":")
            return getattr(importlib.import_module(home), name)(**self.sizes, dtype=dtype)
        flavors = "nnx" if self.linen is None else "nnx or linen"
        raise eg.EdgeGraphError(f"{self.name} has no flavor {flavor!r}: use {flavors}")

    def forward(self, *, flavor: str = "nnx", dtype: str = "float32") -> eg.Workload:
        """Make the Workload of the forward pass; parameters and arithmetic are of `dtype`.

        Raises:
            eg.EdgeGraphError: There is no such flavour of this network, or no such dtype.
        """
        workload = eg.Workload.from_flax(
            self.module(flavor, dtype),
            input_shape=self.input_shape,
            dtype=self.input_dtype or dtype,
            name=self.name,
            integers_below=self.integers_below,
        )
        return replace(workload, prepare=self.pipeline(self.input_dtype or dtype))

    def train_step(
        self, *, optimizer: str = "sgd", flavor: str = "nnx", dtype: str = "float32"
    ) -> eg.Workload:
        """Make the Workload of one train step: forward, backward, update, batch statistics.

        The loss is the softmax cross entropy with integer labels.

        Raises:
            eg.EdgeGraphError: There is no such optimiser, flavour or dtype.
        """
        if optimizer not in OPTIMIZERS:
            raise eg.EdgeGraphError(
                f"optimizer {optimizer!r} is not one of the zoo's: use {', '.join(OPTIMIZERS)}"
            )
        workload = eg.Workload.train_step(
            self.module(flavor, dtype),
            OPTIMIZERS[optimizer](),
            input_shape=self.input_shape,
            dtype=dtype,
            name=f"{self.name}_train",
        )
        return replace(workload, prepare=self.pipeline(dtype, labels=True))

    def pipeline(self, dtype: str, *, labels: bool = False) -> ImagePipeline | None:
        """Return the host's input pipeline of a network for images; None for all others."""
        if len(self.input_shape) != 3:
            return None
        height, width, channels = self.input_shape
        return ImagePipeline(
            shape=(height, width, channels),
            dtype=dtype,
            classes=FEWEST_CLASSES if labels else None,
        )
