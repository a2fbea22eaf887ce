"""Python objects that people hold: each as it is, with what it was given."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax import export

import edgegraph as eg
from edgegraph.compiler.objects import opened
from edgegraph.errors import InputError

SIDE = jax.ShapeDtypeStruct((256, 256), "float32")
FAST = {"xla_cpu_enable_fast_math": True}


@functools.partial(jax.jit, donate_argnums=0, static_argnames=("times", "text"))
def step(p: Any, g: Any, times: int, *, rate: Any, text: str = "") -> Any:
    return p - rate * g * times


STEP: dict[str, Any] = {"args": (SIDE, SIDE, 3), "kwargs": {"rate": 0.1, "text": "never traced"}}


@pytest.fixture(scope="module")
def traced() -> Any:
    return step.trace(*STEP["args"], **STEP["kwargs"])


@pytest.fixture(scope="module")
def lowered(traced: Any) -> Any:
    return traced.lower()


@pytest.fixture(scope="module")
def compiled(lowered: Any) -> Any:
    return lowered.compile()


def test_a_jitted_step_donates_its_parameters() -> None:
    program = eg.compile(step, *STEP["args"], kwargs=STEP["kwargs"])
    assert program.memory is not None
    # 256 * 256 float32 are 262,144 bytes; the new parameters take the place of the old ones.
    assert program.memory.alias_bytes == 262_144
    assert program.memory.peak_bytes == 524_288 + 4  # and the rate
    assert program.name == "step"


@pytest.mark.parametrize("kind", ["traced", "lowered", "compiled"])
def test_every_stage_of_jax_is_taken_as_it_is(kind: str, request: pytest.FixtureRequest) -> None:
    stage, of_jax = request.getfixturevalue(kind), request.getfixturevalue("compiled")
    program = eg.compile(stage)
    assert (program.name, program.target, program.batch) == ("step", "cpu", None)
    assert program.memory is not None
    assert program.memory.alias_bytes == of_jax.memory_analysis().alias_size_in_bytes == 262_144
    assert program.xla_cost["flops"] == of_jax.cost_analysis()["flops"]
    assert program.concrete is not None
    p, g, rate = map(np.asarray, program.concrete())
    result = program.executable(*program.concrete())
    np.testing.assert_allclose(result, p - rate * g * 3, rtol=1e-5, atol=1e-5)


def test_they_are_analysed_and_timed(compiled: Any) -> None:
    measure = eg.Measurement(trace=False, settings=eg.MeasurementSettings.quick())
    analysis = eg.analyze(compiled, measure=measure, name="mine")
    assert analysis.workload == "mine"
    assert analysis.latency is not None
    assert analysis.layer_latencies == ()  # where it was not traced here, layers are not known
    assert analysis.totals["flops"] == compiled.cost_analysis()["flops"]


def test_options_and_unused_arguments_are_those_of_the_jit() -> None:
    fast = jax.jit(lambda x, unused: jnp.exp(x), compiler_options=FAST)
    program = eg.compile(fast, SIDE, SIDE, options={"xla_cpu_enable_fast_min_max": True})
    assert dict(program.options) == FAST | {"xla_cpu_enable_fast_min_max": True}
    assert program.memory is not None
    assert program.memory.argument_bytes == 262_144  # jax.jit drops what is not used


def test_an_exported_function_is_a_workload() -> None:
    batch = export.symbolic_shape("b, 4")
    exported = export.export(jax.jit(jnp.tanh))(jax.ShapeDtypeStruct(batch, "float32"))
    assert eg.compile(exported, batch=3, stage="lowered").xla_cost["transcendentals"] == 3 * 4


def test_jits_of_others_by_their_lower() -> None:
    model = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
    x = jnp.arange(8.0).reshape(2, 4)
    program = eg.compile(nnx.jit(lambda model, x: model(x)), model, x, name="net")
    assert program.concrete is not None
    out = jax.tree.leaves(program.executable(*program.concrete()))
    assert any(leaf.shape == (2, 3) and np.allclose(leaf, model(x)) for leaf in out)
    assert program.jaxpr.jaxpr.eqns
    assert any("Linear" in str(each.source_info.name_stack) for each in program.jaxpr.jaxpr.eqns)


class Lowers:
    """As `equinox.filter_jit` makes them: `lower` alone, around a `jax.stages.Lowered`."""

    def __call__(self, x: Any) -> Any:
        raise AssertionError("it is never called")

    def lower(self, x: Any) -> Any:
        held = Lowers()
        held.lowered = jax.jit(jnp.sin, donate_argnums=0).lower(x)  # type: ignore[attr-defined]
        return held


def test_a_lower_alone_will_do() -> None:
    program = eg.compile(Lowers(), jnp.full((5,), 7.0))
    assert program.concrete is not None
    np.testing.assert_array_equal(program.concrete()[0], np.full(5, 7.0))
    assert program.memory is not None
    assert program.memory.alias_bytes == 20
    assert eg.open(Lowers().lower(SIDE)).name == "sin"


def test_open_makes_a_workload_for_studies() -> None:
    workload = eg.open(step, **STEP)
    call = workload.call(1)
    assert [leaf.shape for leaf in jax.tree.leaves(call.abstract)] == [(256, 256), (256, 256), ()]
    assert jax.eval_shape(call.function, *call.abstract).shape == (256, 256)
    assert not workload.batched


def test_wrong_ones_say_what_they_are(traced: Any, lowered: Any, compiled: Any) -> None:
    refused: list[tuple[Any, str]] = [
        (lambda: opened(step), r"without arguments; pass them as args"),
        (lambda: opened(traced, (1,)), "a Traced has its arguments' shapes; leave"),
        (lambda: opened(42, ()), "cannot compile 42; expected a Workload, or a function"),
        (lambda: opened(linen.Dense(3)), "Dense is a Flax module; give Workload.from_flax"),
        (lambda: eg.compile(jax.jit(jnp.sin), "a"), "the argument 'a' is a str, which jax.jit"),
        (lambda: eg.compile(lowered, target="tpu:v5e"), "lowered for this machine already"),
        (lambda: eg.compile(compiled, stage="lowered"), "'step' is compiled already, for 'cpu'"),
        (lambda: eg.open(lowered).call(1).function(), "cannot be changed; give the function"),
    ]
    for make, message in refused:
        with pytest.raises(InputError, match=message) as caught:
            make()
        assert "\n" not in str(caught.value)
