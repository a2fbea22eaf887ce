"""The whole way, from a workload to its analysis, against XLA and arithmetic by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen as nn
from jax import lax

import edgegraph as eg
from edgegraph.analysis.analyze import Measurement, MeasurementKeywords, requested_measurement
from edgegraph.errors import InputError
from edgegraph.results.analysis import Analysis
from models.cnn import small_cnn
from models.mlp import mlp
from tests import programs
from tests.analyses import DEVICE

FLAVORS: tuple[Literal["nnx", "linen"], ...] = ("nnx", "linen")
COUNTS = ("macs", "flops", "transcendentals", "bytes_read", "bytes_written")


class Mlp(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for number, width in enumerate((512, 512, 10), start=1):
            x = nn.Dense(width, name=f"dense{number}")(x)
            x = nn.relu(x) if number < 3 else x
        return x


def train_step(module: nn.Module, shape: tuple[int, ...]) -> eg.Workload:
    return eg.Workload.train_step(module, optax.adamw(1e-3), input_shape=shape)


def scan() -> eg.Workload:
    function, arguments = programs.scan(12)
    return eg.Workload.from_function(function, lambda batch: arguments, name="scan")


SUBJECTS: dict[str, Callable[[], eg.Workload]] = {
    "small_cnn": small_cnn,
    "mlp": mlp,
    "small_cnn_train": lambda: train_step(programs.SmallCNN(), (28, 28, 1)),
    "mlp_train": lambda: train_step(Mlp(), (784,)),
    "scan": scan,
}


@cache
def analysis(name: str, batch: int = 32) -> Analysis:
    return eg.analyze(SUBJECTS[name](), batch=batch, device=DEVICE)


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("name", [name for name in SUBJECTS if name != "scan"])
def test_totals_equal_xla_s(name: str, batch: int) -> None:
    totals = analysis(name, batch).totals
    assert totals.flops == pytest.approx(totals.xla_flops, rel=1e-4)
    assert totals.transcendentals == pytest.approx(totals.xla_transcendentals or 0, rel=1e-4)
    assert totals.bytes_read + totals.bytes_written == pytest.approx(totals.xla_bytes, rel=1e-4)


@pytest.mark.parametrize("name", SUBJECTS)
def test_layers_and_what_has_none_add_up_to_the_totals(name: str) -> None:
    found = analysis(name)
    for rows in (
        [row for row in found.layer_records if row.depth == 0],
        [row for row in found.layer_records if row.leaf],
    ):
        for column in COUNTS:
            assert sum(getattr(row, column) for row in rows) == found.totals[column], column
        for column in ("compute_time_s", "memory_time_s"):
            assert sum(getattr(row, column) for row in rows) == pytest.approx(found.totals[column])
        if found.totals.params is not None:
            assert sum(row.params or 0 for row in rows) == found.totals.params
        assert sum(row.ops for row in rows) == found.totals.ops


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_container_is_the_sum_of_what_runs_in_it(name: str) -> None:
    ops = analysis(name).ops
    inside = ops[ops.parent.notna()].groupby("parent")[list(COUNTS)].sum()
    containers = ops.set_index("name").loc[inside.index, list(COUNTS)]
    assert (inside == containers).all(axis=None)


@pytest.mark.parametrize("flavor", FLAVORS)
def test_small_cnn_at_batch_32_is_what_the_papers_say(flavor: Literal["nnx", "linen"]) -> None:
    found = eg.analyze(small_cnn(flavor=flavor), batch=32, device=DEVICE)
    layers = found.layers.set_index("layer")
    assert found.totals.flops == 278_659_392
    expected = {"conv1": 7_225_344, "conv2": 115_605_504, "dense1": 25_690_112, "dense2": 81_920}
    assert {name: layers.macs[f"SmallCNN/{name}"] for name in expected} == expected
    assert found.totals.params == 824_458


def test_the_two_flavors_cost_the_same_layer_by_layer() -> None:
    nnx, linen = (eg.analyze(small_cnn(flavor=flavor), batch=32).layers for flavor in FLAVORS)
    columns = ["layer", "params", "macs", "flops", "bytes_read", "bytes_written"]
    assert nnx[columns].equals(linen[columns])


def test_dense1_is_memory_bound_alone_and_conv2_compute_bound_in_a_batch() -> None:
    alone = analysis("small_cnn", 1).layers.set_index("layer")
    batched = analysis("small_cnn", 32).layers.set_index("layer")
    assert alone.bound["SmallCNN/dense1"] == "memory"
    assert batched.bound["SmallCNN/conv2"] == "compute"
    # 10 GB/s of main memory: dense1's 3136 x 256 weights, its bias, its input and its output.
    weights = 4 * 3136 * 256
    assert alone.memory_time_s["SmallCNN/dense1"] == pytest.approx(weights / 10e9, rel=0.01)


def test_a_train_step_has_three_phases() -> None:
    layers = analysis("small_cnn_train").layers
    assert set(layers.phase) == {"forward", "backward", "update"}
    top = layers[layers.depth == 0]
    forward, backward = (
        int(top[(top.phase == phase) & (top.layer == "SmallCNN")].macs.iloc[0])
        for phase in ("forward", "backward")
    )
    # Twice the forward pass, less the gradient towards the image, which nobody needs. XLA drops
    # the op_name of conv1's weight gradient: it is found by the parameter that it updates.
    assert backward == 2 * forward - 7_225_344


def test_a_scan_over_layers_costs_what_unrolled_layers_cost() -> None:
    function, arguments = programs.scan(12)

    def unrolled(x: jax.Array, weights: jax.Array) -> jax.Array:
        for i in range(12):
            x = jnp.tanh(x @ weights[i])
        return x

    loop = eg.analyze(function, args=arguments).totals
    flat = eg.analyze(unrolled, args=arguments).totals
    assert (loop.macs, loop.transcendentals) == (flat.macs, flat.transcendentals)
    assert loop.xla_flops is not None
    assert loop.xla_flops < flat.flops / 10


def test_lowered_counts_before_optimisation_and_compiles_nothing() -> None:
    found = eg.analyze(small_cnn(), batch=32, stage="lowered", device=DEVICE)
    assert (found.stage, found.compile_s, found.memory) == ("lowered", None, None)
    assert found.totals.macs == 148_602_880
    layers = found.layers.set_index("layer")
    assert layers.macs["SmallCNN/dense1"] == 25_690_112


def test_of_branches_the_most_expensive_counts_and_the_range_is_reported() -> None:
    function, arguments = programs.branches()
    totals = eg.analyze(function, args=arguments, device=DEVICE).totals
    # One branch adds 1 to 16 x 16 elements, the other multiplies 16 x 16 matrices.
    assert totals.flops - totals.flops_lowest == 2 * 16**3 - 16 * 16
    assert totals.bytes_lowest <= totals.bytes_read + totals.bytes_written
    assert not totals.lower_bound
    plain = analysis("small_cnn").totals
    assert plain.flops_lowest == plain.flops


def test_a_function_with_arguments() -> None:
    found = eg.analyze(lambda x: lax.exp(x), args=(jnp.ones((4, 8)),), name="exp")
    assert found.totals.transcendentals == 32
    assert found.layers.layer.tolist() == ["(unattributed)"]
    assert found.totals.flops_coverage == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subject": small_cnn}, "without arguments"),
        ({"subject": 7}, "cannot open a value of type int; expected"),
        ({"subject": small_cnn(), "batch": 0}, "batch must be a positive integer, not 0"),
        ({"subject": small_cnn(), "target": "abacus"}, "abacus"),
        ({"subject": small_cnn(), "stage": "lowered", "measure": True}, "measure"),
    ],
)
def test_what_cannot_be_analysed_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        eg.analyze(**arguments)  # type: ignore[arg-type]  # wrong on purpose


def test_progress_is_reported() -> None:
    said: list[str] = []
    eg.analyze(small_cnn(), progress=lambda message, fraction: said.append(message))
    assert said[0] == "small_cnn: compiling"


def test_what_is_known_before_anything_runs_is_handed_on() -> None:
    seen: list[Analysis] = []
    workload = mlp(widths=(16, 8))
    settings = eg.MeasurementSettings(warm_up_s=0.0, minimum_s=0.0, limit_s=0.5)
    measured = eg.analyze(
        workload, batch=2, measure=True, trace=False, settings=settings, counted=seen.append
    )
    (counted,) = seen
    assert counted.latency is None
    assert measured.latency is not None
    assert counted.totals.flops == measured.totals.flops
    alone = eg.analyze(workload, batch=2, counted=seen.append)
    assert (counted.layer_records, counted.findings) == (alone.layer_records, alone.findings)
    assert len(seen) == 1  # what is not measured is not handed on


def test_a_depth_that_is_none_is_refused_before_anything_is_compiled() -> None:
    with pytest.raises(
        InputError, match="depth -1 is not a depth; expected a non-negative integer"
    ):
        eg.analyze(None, args=(), measure=True, depth=-1)  # never called


@pytest.mark.parametrize(
    ("measurement", "runs", "takes_trace"),
    [
        (Measurement(), True, True),
        (Measurement(trace=False), True, False),
        (Measurement(latency=False), False, False),
        (Measurement(latency=False, trace=True), True, True),
        (Measurement(latency=False, throughput=True), True, False),
        (Measurement(latency=False, cold=True), True, False),
        (Measurement(latency=False, cores=1), True, False),
    ],
)
def test_what_is_asked_says_whether_the_program_runs(
    measurement: Measurement, runs: bool, takes_trace: bool
) -> None:
    assert (measurement.runs, measurement.takes_trace) == (runs, takes_trace)


def test_keywords_mean_what_the_object_says() -> None:
    quick = eg.MeasurementSettings.quick()
    keywords: MeasurementKeywords = {"depth": 1, "cold": True, "settings": quick}
    assert requested_measurement(True, keywords) == Measurement(depth=1, cold=True, settings=quick)
    assert requested_measurement(False, {}) == Measurement(latency=False)
    given = Measurement(cores=2)
    assert requested_measurement(given, {}) is given


def test_an_object_and_keywords_are_not_taken_together() -> None:
    with pytest.raises(InputError, match="got a Measurement and cold, depth"):
        eg.analyze(jnp.sin, args=(jnp.ones(2),), measure=Measurement(), cold=True, depth=1)


def test_an_unknown_keyword_is_refused_like_one_of_any_function() -> None:
    with pytest.raises(TypeError, match=r"analyze\(\) got an unexpected keyword argument 'warm'"):
        eg.analyze(jnp.sin, args=(jnp.ones(2),), warm=True)  # type: ignore[call-arg]


def test_what_cannot_be_measured_is_refused_before_anything_is_compiled() -> None:
    with pytest.raises(InputError, match="depth 'deep' is not a depth"):
        Measurement(depth="deep")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="trace_dir='logs' keeps a trace, but none is taken"):
        Measurement(trace=False, trace_dir="logs")


def test_one_object_asks_for_everything() -> None:
    few = eg.MeasurementSettings(
        warm_up_calls=1, warm_up_s=0.0, minimum_samples=5, minimum_s=0.0, limit_s=1.0
    )
    wanted = eg.Measurement(latency=False, throughput=True, settings=few)
    found = eg.analyze(lambda x: x @ x, args=(jnp.ones((8, 8)),), measure=wanted)
    assert found.throughputs
    assert (found.latency, found.layer_latencies, found.op_trace) == (None, (), None)


def test_trips_that_are_given_make_a_loop_of_unknown_length_count_in_full() -> None:
    def grow(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda v: v.sum() < 100.0, lambda v: v * 1.5, x)

    x = jax.ShapeDtypeStruct((8,), "float32")
    once = eg.analyze(grow, args=(x,), stage="lowered")
    (loop,) = once.unpriced
    assert once.totals.lower_bound
    found = eg.analyze(grow, args=(x,), stage="lowered", trips={loop: 16})
    # 16 times 8 products; 17 times 7 sums and a comparison.
    assert (found.totals.flops, found.totals.lower_bound) == (16 * 8 + 17 * 8, False)
    sources = {op.executions_source for op in found.op_records if op.executions == 16}
    assert (found.unpriced, sources) == ({}, {"given"})


def test_what_is_compiled_is_not_compiled_anew() -> None:
    program = eg.compile(lambda x: x + 1, jax.ShapeDtypeStruct((8,), "float32"), name="f")
    assert eg.analyze(program, target="cpu", stage="optimized", options={}).totals["flops"] == 8
    asked = {"batch": 4, "target": "tpu:v5e", "stage": "lowered", "options": {"a": 1}}
    for name, value in asked.items():
        choice: dict[str, Any] = {name: value}
        with pytest.raises(InputError, match=f"^{name}=.* has no effect on 'f', which is compiled"):
            eg.analyze(program, **choice)


def test_what_a_callback_prints_is_not_on_stdout_and_its_time_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prints(x: jax.Array) -> jax.Array:
        jax.debug.print("hello {}", x[0])
        return x + 1

    quick = eg.MeasurementSettings(limit_s=0.2)
    x = jnp.ones(3)
    measured = eg.analyze(prints, args=(x,), measure=True, trace=False, settings=quick)
    counted = eg.analyze(prints, args=(x,))
    jax.effects_barrier()
    assert capsys.readouterr().out == ""
    (told,) = counted.notes
    assert "what Python does on the host" in told
    assert measured.notes[0] == told
    assert "a callback into Python (jax.debug.print" in measured.notes[1]
    assert (counted.totals.flops, counted.totals.lower_bound, counted.unpriced) == (3, False, {})


def relax(s: Any, dt: float) -> Any:
    """Move particles along the forces between them: no model, no parameters."""

    def energy(x: Any) -> Any:
        apart = x[:, None] - x[None]
        return jnp.sum(1 / (1 + jnp.sum(apart**2, -1)))

    v = s["v"] - dt * jax.grad(energy)(s["x"])
    return {"x": s["x"] + dt * v, "v": v}


def test_parameters_are_unknown_where_no_argument_is_known_to_hold_them() -> None:
    particles = {"x": jnp.ones((16, 3)), "v": jnp.ones((16, 3))}
    found = eg.analyze(relax, args=(particles, 0.1), device=DEVICE)
    assert (found.totals.params, found.totals.param_bytes) == (None, None)
    assert found.layers[["params", "param_bytes"]].isna().all(axis=None)
    assert found.by("line").params.isna().all()
    document = found.document
    assert document["totals"]["params"] is None
    assert {row["params"] for row in document["layers"]} == {None}
    checked = eg.check(found, max_params="5M")
    assert [each.verdict for each in checked.checks] == ["undecided"]
    assert eg.diff(found, found).empty


def test_a_model_without_parameters_has_none() -> None:
    class Pool(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            pooled: jax.Array = nn.max_pool(x, (2, 2))
            return pooled

    found = eg.analyze(eg.Workload.from_flax(Pool(), (4, 4, 1)))
    assert found.totals.params == 0
    assert set(found.layers.params) == {0}


def optimise(x: Any, state: Any) -> Any:
    """Take a step in a state that says nothing of itself."""
    w, momentum = state
    gradient = jax.grad(lambda w: jnp.sum((x @ w) ** 2))(w)
    return w - 0.1 * gradient, momentum


ARGS = jnp.ones((5, 3)), (jnp.ones((3, 4)), jnp.ones((3, 4)))
SUBJECTS_OF_PARAMETERS: Mapping[str, Any] = {
    "a function": (optimise, ARGS),
    "a jitted function": (jax.jit(optimise), ARGS),
    "a workload": (eg.Workload.from_function(optimise, lambda batch: ARGS), None),
    "a traced function": (jax.jit(optimise).trace(*ARGS), None),
    "a lowered function": (jax.jit(optimise).lower(*ARGS), None),
    "a compiled function": (jax.jit(optimise).lower(*ARGS).compile(), None),
    "a program": (eg.compile(optimise, *ARGS), None),
}


@pytest.mark.parametrize("kind", SUBJECTS_OF_PARAMETERS)
def test_which_argument_holds_the_parameters_can_be_said(kind: str) -> None:
    subject, args = SUBJECTS_OF_PARAMETERS[kind]
    assert eg.analyze(subject, args=args).totals.params is None
    expected: Mapping[str | int, int] = {"state[0]": 12, "x": 15, 0: 15, 1: 24}
    for params, count in expected.items():
        found = eg.analyze(subject, args=args, params=params)
        assert (found.totals.params, found.totals.param_bytes) == (count, 4 * count)
    for wrong in ("weights", 7, -1):
        with pytest.raises(InputError, match=r"^params=.*(x, state|expected 0 to 1)") as refused:
            eg.analyze(subject, args=args, params=wrong)
        assert "\n" not in str(refused.value)


def test_rows_of_time_have_the_name_of_the_tree_that_was_said() -> None:
    def forward(net: Any, x: Any) -> Any:
        return jnp.tanh(x @ net["a"]["w"]) @ net["b"]["w"]

    args = {"a": {"w": jnp.ones((64, 64))}, "b": {"w": jnp.ones((64, 64))}}, jnp.ones((8, 64))
    settings = eg.MeasurementSettings(warm_up_s=0.0, minimum_samples=6, minimum_s=0.0, limit_s=1.0)
    found = eg.analyze(
        forward, args=args, params="net", measure=True, trace=False, settings=settings
    )
    assert {each.layer for each in found.layer_latencies} == {"a", "b"} == set(found.layers.layer)
