"""A module that is handed to another is one row, under the path of its parameters."""

from __future__ import annotations

from typing import Any

import optax
import pytest
from flax import linen as nn

import edgegraph as eg

DENSE = 2 * 8 * 8
"""MACs of 2 rows through a layer of 8 by 8."""


class Twice(nn.Module):
    """Runs what it is given before and after a layer of its own."""

    given: nn.Module

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return self.given(nn.Dense(8, name="own")(self.given(x)))


class Pair(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.Dense(8, name="two")(nn.Dense(8, name="one")(x))


class Lends(nn.Module):
    """Runs a module, and hands it to another."""

    kind: type[nn.Module] = nn.Dense

    def setup(self) -> None:
        self.lent = self.kind(8) if self.kind is nn.Dense else self.kind()
        self.twice = Twice(self.lent)

    def __call__(self, x: Any) -> Any:
        return self.twice(self.lent(x))


class CalledAlike(nn.Module):
    """Has a layer of its own that is called like another's."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.Dense(8, name="lent")(x)


class Alike(nn.Module):
    def setup(self) -> None:
        self.lent = nn.Dense(8)
        self.twice = CalledAlike()

    def __call__(self, x: Any) -> Any:
        return self.twice(self.lent(x))


def rows(module: nn.Module) -> dict[str, tuple[Any, Any]]:
    workload = eg.Workload.from_flax(module, (8,))
    rows = eg.analyze(workload, batch=2).layer_records
    return {row.layer: (row.macs, row.params) for row in rows if row.macs}


def test_a_layer_that_is_lent_is_one_row() -> None:
    assert rows(Lends()) == {
        "Lends": (4 * DENSE, 2 * 72),
        "Lends/lent": (3 * DENSE, 72),
        "Lends/twice": (DENSE, 72),
        "Lends/twice/own": (DENSE, 72),
    }


def test_what_is_inside_a_module_that_is_lent_goes_with_it() -> None:
    found = rows(Lends(kind=Pair))
    assert found["Lends/lent"] == (6 * DENSE, 144)
    assert found["Lends/lent/one"] == found["Lends/lent/two"] == (3 * DENSE, 72)
    assert found["Lends/twice"] == (DENSE, 72)


def test_a_layer_of_its_own_that_is_called_alike_stays() -> None:
    found = rows(Alike())
    assert found["Alike/lent"] == found["Alike/twice/lent"] == (DENSE, 72)


def test_gradients_are_its_own_too() -> None:
    step = eg.Workload.train_step(Lends(), optax.sgd(0.1), input_shape=(8,))
    layers = eg.analyze(step, batch=2).layers
    lent = layers[layers.layer == "Lends/lent"].set_index("phase").macs
    assert lent["forward"] == 3 * DENSE
    # The gradient of its weights three times, and that of its input where it has one: twice.
    assert lent["backward"] == pytest.approx(5 * DENSE)
    assert not layers.layer.str.startswith("Lends/twice/lent").any()
