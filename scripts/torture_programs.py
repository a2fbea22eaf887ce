"""The programs that `scripts.torture` puts commands through, as a file of their own there."""

from __future__ import annotations

PROGRAMS = """
import jax
import jax.numpy as jnp
import numpy as np
import edgegraph as eg


def net(batch_hangs=0, batch_eats=0, touched=False):
    def function(x, w):
        while x.shape[0] == batch_hangs:
            pass
        eaten = []
        while x.shape[0] == batch_eats:
            eaten.append(np.ones(1 << 24) if touched else np.empty(1 << 36))
        with jax.named_scope("dense"):
            return jax.nn.relu(x @ w) ** 3

    w = jax.ShapeDtypeStruct((16, 16), "float32")
    return eg.Workload.from_function(
        function, lambda batch: (jax.ShapeDtypeStruct((batch, 16), "float32"), w), name="net"
    )


def sized(name="sized"):
    def arguments(batch, length):
        return (jax.ShapeDtypeStruct((batch, length), "float32"),)

    return eg.Workload.from_function(jnp.tanh, arguments, name=name)


def stepped():
    return sized("stepped")


def trained():
    def loss(weights, x):
        for weight in weights:
            x = jnp.tanh(jax.nn.relu(x @ weight) @ weight.T)
        return x.sum()

    def step(weights, x):
        return jax.tree.map(jnp.subtract, weights, jax.grad(loss)(weights, x))

    weights = [jax.ShapeDtypeStruct((16, 16), "float32")] * 3
    return eg.Workload.from_function(
        step, lambda batch: (weights, jax.ShapeDtypeStruct((batch, 16), "float32")), name="trained"
    )


def hangs():
    return net(batch_hangs=2)


def eats():
    return net(batch_eats=2)


def eats_and_touches():
    return net(batch_eats=2, touched=True)
"""
