"""What is cut first: see the tests of scripts; here, what a layer's equations weigh."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from edgegraph.studies.regress.cuts import candidates


def test_the_largest_comes_first_and_reshapes_never_alone() -> None:
    def net(x: jax.Array) -> jax.Array:
        return (jnp.sin(x) @ x.T).reshape(-1) + jnp.ones(256)

    found = list(candidates(jax.make_jaxpr(net)(jnp.ones((16, 64))), [], ""))
    single = [each.what for each in found if not each.whole]
    assert single[0] == "dot_general"
    assert "reshape" not in single
    assert "broadcast_in_dim" not in single
