"""What naming modules leaves as it was."""

from __future__ import annotations

import threading
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

import edgegraph as eg
from edgegraph.compiler.scopes import module_scopes
from tests.compiler.named_nets import (
    BLOCKS,
    Net,
    Tied,
    X,
    jaxpr_layers,
    layers,
    nnx_jitted,
    path_attributes,
    workload,
)
from tests.workload.nets import INPUT_SHAPE, Classifier


def methods() -> dict[tuple[type, str], Any]:
    """Return every attribute of every NNX module class."""
    waiting: list[type] = [nnx.Module]
    found: dict[tuple[type, str], Any] = {}
    while waiting:
        owner = waiting.pop()
        found.update({(owner, name): member for name, member in vars(owner).items()})
        waiting += owner.__subclasses__()
    return found


def test_nothing_else_is_traced_differently() -> None:
    for subject in (
        workload(Net),
        workload(lambda rngs: Net(rngs, apply=nnx_jitted)),
        workload(Tied, jnp.ones((2, 3), jnp.int32)),
        eg.Workload.train_step(Classifier, optax.adam(1e-3), input_shape=INPUT_SHAPE),
    ):
        call = subject.call(2)
        plain = jax.jit(call.function).trace(*call.abstract).jaxpr
        with module_scopes():
            named = jax.jit(call.function).trace(*call.abstract).jaxpr
        assert str(named.effects) == str(plain.effects)
        assert named.in_avals == plain.in_avals
        assert structure(named.jaxpr) == structure(plain.jaxpr)


def structure(jaxpr: Any) -> list[Any]:
    """Return primitives, shapes and parameters, looking into functions that several calls share."""
    found = []
    for equation in jaxpr.eqns:
        inner = {name: p.jaxpr for name, p in equation.params.items() if hasattr(p, "jaxpr")}
        found.append(
            (
                equation.primitive.name,
                [str(v.aval) for v in (*equation.invars, *equation.outvars)],
                {name: structure(jaxpr) for name, jaxpr in inner.items()},
                {
                    n: str(p)
                    for n, p in equation.params.items()
                    if n not in inner and "jaxpr" not in n
                },
            )
        )
    return found


def test_the_text_of_the_jaxpr_is_the_same() -> None:
    call = workload(Net).call(2)
    plain = str(jax.jit(call.function).trace(*call.abstract).jaxpr)
    with module_scopes():
        assert str(jax.jit(call.function).trace(*call.abstract).jaxpr) == plain


def test_classes_and_modules_are_left_as_they_were() -> None:
    before = methods()
    net = Net(nnx.Rngs(0))
    with module_scopes():
        assert methods() != before
        jax.jit(lambda x: net(x)).trace(X)
    assert methods() == before
    assert path_attributes(net) == []


@pytest.mark.parametrize("carry", [True, False])
def test_also_after_an_exception(carry: bool) -> None:
    class Broken(Net):
        def __call__(self, x: jax.Array) -> jax.Array:
            super().__call__(x)
            raise ZeroDivisionError

    before = methods()
    net = Broken(nnx.Rngs(0))
    with pytest.raises(ZeroDivisionError), module_scopes(carry=carry):
        jax.jit(lambda x: net(x)).trace(X)
    assert methods() == before
    assert path_attributes(net) == []
    assert layers(lambda x: Net.__call__(net, x), X) == {
        ((layer or "").replace("Net", "Broken"), primitive) for layer, primitive in BLOCKS
    }


def test_a_trace_without_scopes_has_no_names() -> None:
    call = workload(Net).call(2)
    with module_scopes():
        jax.jit(call.function).trace(*call.abstract)
    jaxpr = jax.jit(call.function).trace(*call.abstract).jaxpr
    assert {str(equation.source_info.name_stack) for equation in jaxpr.eqns} == {""}


def test_other_threads_see_no_names() -> None:
    net = Net(nnx.Rngs(0))
    found: list[set[str]] = []

    def trace() -> None:
        jaxpr = jax.jit(lambda x: net(x)).trace(X).jaxpr
        found.append({str(equation.source_info.name_stack) for equation in jaxpr.eqns})

    with module_scopes():
        thread = threading.Thread(target=trace)
        thread.start()
        thread.join()
        trace()
    assert found[0] == {""}
    assert "Net/blocks_0/dense" in found[1]


def test_threads_can_trace_at_once() -> None:
    before = methods()
    found: dict[int, set[Any]] = {}

    def trace(number: int) -> None:
        found[number] = jaxpr_layers(workload(Net))

    threads = [threading.Thread(target=trace, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number] == found[0] and found[0] >= BLOCKS for number in range(4))
    assert methods() == before


def test_scopes_nest() -> None:
    before = methods()
    net = Net(nnx.Rngs(0))
    with module_scopes(), module_scopes():
        jaxpr = jax.jit(lambda x: net(x)).trace(X).jaxpr
    assert "Net/last" in {str(equation.source_info.name_stack) for equation in jaxpr.eqns}
    assert methods() == before
