from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from edgegraph.studies.improve.proof import largest, moved_by_one_ulp


def test_one_unit_in_the_last_place() -> None:
    moved = moved_by_one_ulp({"x": jnp.ones(2), "n": jnp.ones(2, jnp.int32)})
    np.testing.assert_array_equal(moved["x"], np.nextafter(np.float32(1), np.float32(2)))
    np.testing.assert_array_equal(moved["n"], 1)


def test_largest() -> None:
    assert largest(jnp.array([-3.0, 2.0, jnp.nan])) == 3.0
    assert largest(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])) == 2.0
    assert largest(jnp.zeros(0)) == 0.0
