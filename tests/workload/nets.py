"""Two networks, each in linen and NNX, with the same names and sizes."""

from __future__ import annotations

from typing import Any

import jax
from flax import linen, nnx


class Classifier(nnx.Module):
    """conv 3x3x4, two dense blocks in a list, and a head."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(1, 4, (3, 3), rngs=rngs)
        self.blocks = nnx.List([Block(36, rngs=rngs) for _ in range(2)])
        self.head = nnx.Linear(36, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.conv(x).reshape(x.shape[0], -1)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Block(nnx.Module):
    """A dense layer, batch normalisation, ReLU."""

    def __init__(self, features: int, *, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(features, features, rngs=rngs)
        self.norm = nnx.BatchNorm(features, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.relu(self.norm(self.dense(x)))


class LinenClassifier(linen.Module):
    """The same in linen."""

    def setup(self) -> None:
        self.conv = linen.Conv(4, (3, 3))
        self.blocks = [LinenBlock(36) for _ in range(2)]
        self.head = linen.Dense(10)

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = self.conv(x).reshape(x.shape[0], -1)
        for block in self.blocks:
            x = block(x, train)
        out: jax.Array = self.head(x)
        return out


class LinenBlock(linen.Module):
    """The same in linen."""

    features: int

    @linen.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = linen.Dense(self.features, name="dense")(x)
        return linen.relu(linen.BatchNorm(use_running_average=not train, name="norm")(x))


INPUT_SHAPE = (3, 3, 1)

# conv 3*3*1*4 + 4; each block 36*36 + 36 and twice 36 for the norm; head 36*10 + 10.
PARAMS = 40 + 2 * (1332 + 72) + 370


class Dropper(nnx.Module):
    """A dense layer and dropout."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(8, 8, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.drop(self.dense(x))


class LinenDropper(linen.Module):
    """The same in linen."""

    @linen.compact
    def __call__(self, x: jax.Array, deterministic: bool = True) -> jax.Array:
        x = linen.Dense(8, name="dense")(x)
        out: jax.Array = linen.Dropout(0.5)(x, deterministic=deterministic)
        return out


def shapes(tree: Any) -> Any:
    """Return shape and dtype of every leaf."""
    return jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree)


def paths(tree: Any) -> set[str]:
    """Return the paths of all leaves."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]
    }
