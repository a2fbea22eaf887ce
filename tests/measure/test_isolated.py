"""Programs and their layers, really compiled and run; a clock that ticks stands in for time."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edgegraph import xla
from edgegraph.base.timing import Clock
from edgegraph.compiler.program import Program
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.measure.groups import LayerGroup, cut
from edgegraph.measure.isolated import (
    CompiledLayer,
    CompiledLayers,
    affordable_cut,
    compile_layers,
    measure_layers,
    which_depths,
)
from edgegraph.measure.latency import (
    ExecutableCall,
    measure_program,
    null_call,
    prefer_synchronous_dispatch,
)
from edgegraph.measure.regions import find_regions
from edgegraph.measure.sampling import MeasurementSettings
from tests.measure.traced import FUNCTIONS, cnn, filled

FEW = MeasurementSettings(warm_up_calls=2, warm_up_s=0.0, minimum_samples=6, minimum_s=0.0)
CNN_LAYERS = {
    "SmallCNN", "SmallCNN/conv1", "SmallCNN/conv2", "SmallCNN/dense1", "SmallCNN/dense2"
}  # fmt: skip


def ticking() -> Clock:
    """Return a clock that moves on by a millisecond whenever it is read."""
    return itertools.count(0, 1_000_000).__next__


def program(
    function: Any,
    arguments: tuple[Any, ...],
    *,
    donate: tuple[int, ...] = (),
    options: Mapping[str, str | int | float | bool] | None = None,
) -> Program:
    traced = jax.jit(function, keep_unused=True, donate_argnums=donate).trace(*arguments)
    compiler_options: Any = dict(options) if options else None
    return Program(
        name="test",
        batch=2,
        target="cpu",
        stage="optimized",
        options=options or {},
        serialized=b"",
        jaxpr=traced.jaxpr,
        executable=traced.lower().compile(compiler_options=compiler_options),
        concrete=lambda: jax.tree.map(lambda leaf: leaf.copy(), arguments),
    )


def alone(
    function: Any,
    arguments: tuple[Any, ...],
    options: Mapping[str, str | int | float | bool] | None = None,
    depth: int | None = None,
) -> tuple[tuple[LayerGroup, ...], CompiledLayers]:
    """Cut a function into layers and compile them."""
    regions = find_regions(jax.jit(function).trace(*arguments).jaxpr)
    groups = cut(regions, depth)
    return groups, compile_layers(regions, groups, jax.tree.leaves(arguments), options or {})


def test_the_whole_and_every_layer() -> None:
    whole, layers = measure_layers(program(*cnn()), settings=FEW, clock=ticking())
    assert {(layer.layer, layer.phase) for layer in layers} == {(n, "forward") for n in CNN_LAYERS}
    for latency in (whole, *(layer.latency for layer in layers)):
        assert latency.samples >= 6
        assert latency.median_s == latency.dispatch_s == 0.001
        assert latency.net_s == 0.0
        assert latency.stopped_by == "stable"
        assert (latency.verdict, latency.synchronous) == ("OK", True)


def call_of(layer: CompiledLayer) -> ExecutableCall:
    return ExecutableCall(layer.executable, layer.arguments)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"cnn"}))
def test_layers_of_all_kinds_can_be_called(name: str) -> None:
    groups, layers = alone(*FUNCTIONS[name]())
    assert len(layers.index_by_group) == len(layers.executions) == len(groups)
    for layer in layers.distinct:
        call_of(layer)()
        null_call(layer.arguments, layer.executable.out_info)()


def test_layers_are_fed_what_really_flows_into_them() -> None:
    function, (params, x) = cnn()
    groups, layers = alone(function, (params, x))
    index = layers.index_by_group[[group.layer for group in groups].index("SmallCNN/dense1")]
    assert index is not None
    dense1 = layers.distinct[index]
    kernel, bias = params["dense1"]["kernel"], params["dense1"]["bias"]
    flowing = next(value for value in dense1.arguments if value.shape == (2, 3136))
    assert float(jnp.abs(flowing).max()) > 0.0
    (result,) = jax.tree.leaves(call_of(dense1)())
    np.testing.assert_allclose(result, flowing @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_layers_that_are_alike_are_compiled_and_timed_once() -> None:
    def net(weights: Any, x: Any) -> Any:
        with jax.named_scope("Net"):
            for index in range(4):
                with jax.named_scope(f"block_{index}"):
                    x = jax.nn.relu(x @ weights[index])
        return x

    weights = [jax.ShapeDtypeStruct((8, 8), jnp.float32)] * 4
    arguments = filled((weights, jax.ShapeDtypeStruct((2, 8), jnp.float32)))
    _, layers = measure_layers(program(net, arguments), settings=FEW, clock=ticking())
    by_name = {layer.layer: layer.latency for layer in layers}
    assert by_name["Net/block_1"] is by_name["Net/block_2"]
    groups, compiled = alone(net, arguments)
    assert (len(groups), len(compiled.distinct)) == (4, 1)


def test_layers_are_compiled_with_the_options_of_the_whole() -> None:
    function, arguments = cnn()

    def with_library_fusion(options: Mapping[str, str]) -> int:
        layers = alone(function, arguments, options)[1].distinct
        return sum("__ynn_fusion" in layer.executable.as_text() for layer in layers)

    assert with_library_fusion({}) == 5
    assert with_library_fusion({"xla_cpu_experimental_ynn_fusion_type": ""}) == 0


def test_layers_inside_a_loop_are_one_iteration_times_the_trips() -> None:
    _, layers = measure_layers(program(*FUNCTIONS["blocks"]()), settings=FEW, clock=ticking())
    inside = {layer.layer: layer for layer in layers if layer.within is not None}
    assert set(inside) == {"Blocks/scanned/dense", "Blocks/scanned", "Blocks"}
    assert {(layer.within, layer.executions) for layer in inside.values()} == {("scan of 3", 3)}
    assert {layer.executions for layer in layers if layer.within is None} == {1}


def test_an_iteration_is_fed_its_slices() -> None:
    function, (params, key, x) = FUNCTIONS["blocks"]()
    groups, layers = alone(function, (params, key, x))
    index = layers.index_by_group[[g.layer for g in groups].index("Blocks/scanned/dense")]
    assert index is not None
    kernels, biases = params["scanned"]["dense"]["kernel"], params["scanned"]["dense"]["bias"]
    flowing, kernel, bias = layers.distinct[index].arguments
    np.testing.assert_array_equal(kernel, kernels[0])
    np.testing.assert_array_equal(bias, biases[0])
    (result,) = jax.tree.leaves(call_of(layers.distinct[index])())
    np.testing.assert_allclose(result, flowing @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_rows_are_stacked_in_place() -> None:
    """A copy of the whole stack in every iteration would be no part of the loop."""
    groups, layers = alone(
        lambda x: jax.lax.scan(_named_step, x, None, length=5)[1], (jnp.ones(7),)
    )
    index = next(i for i, group in zip(layers.index_by_group, groups, strict=True) if group.donated)
    assert index is not None
    text = layers.distinct[index].executable.as_text()
    assert "input_output_alias={ {}: (1, {}, may-alias) }" in text
    assert " copy(" not in text
    call = call_of(layers.distinct[index])
    for _ in range(3):
        result = call()
        assert call.after is not None
        call.after(result)


def _named_step(carry: Any, _: None) -> Any:
    with jax.named_scope("step"):
        return carry * 2.0, carry + 1.0


def test_what_never_runs_is_not_timed() -> None:
    _, layers = measure_layers(program(*FUNCTIONS["control"]()), settings=FEW, clock=ticking())
    branches = [(layer.layer, layer.within) for layer in layers if layer.within is not None]
    assert branches == [("Net/branch/dear", "branch 1")]


def test_several_cuts_in_one_run_share_what_is_alike() -> None:
    _, layers = measure_layers(
        program(*FUNCTIONS["blocks"]()), depth=(1, None), settings=FEW, clock=ticking()
    )
    by_place = {(layer.layer, layer.depth): layer for layer in layers}
    assert {depth for _, depth in by_place} == {1, None}
    assert by_place["Blocks/plain", 1].covers == ("Blocks/plain/dense",)
    assert by_place["Blocks/plain", None].covers == ()
    dropout = "Blocks/Dropout_0"
    assert by_place[dropout, 1].latency is by_place[dropout, None].latency


def test_which_depths() -> None:
    regions = find_regions(jax.make_jaxpr(FUNCTIONS["cnn"]()[0])(*cnn()[1]))
    assert which_depths("all", regions) == (0, 1, None)
    assert which_depths(None, regions) == (None,)
    assert which_depths((2, 2, None), regions) == (2, None)
    for wrong in (-1, True, 1.5, "blocks", (1, "all")):
        with pytest.raises(InputError, match="is not a depth; expected a non-negative integer"):
            which_depths(wrong, regions)  # type: ignore[arg-type]  # what a user may well write


def test_equations_without_a_layer_are_unattributed() -> None:
    arguments = (filled(jax.ShapeDtypeStruct((3, 3), jnp.float32)),)
    _, layers = measure_layers(
        program(lambda x: jnp.sin(x) @ x, arguments), settings=FEW, clock=ticking()
    )
    assert [(layer.layer, layer.phase) for layer in layers] == [("(unattributed)", "forward")]


def test_measuring_a_program_alone() -> None:
    latency = measure_program(program(*cnn()), settings=FEW, clock=ticking())
    assert latency.median_s == latency.dispatch_s == 0.001
    assert latency.samples >= 6


def _step(state: Any, x: Any) -> Any:
    return {"total": state["total"] + x.sum(), "count": state["count"] + 1}, x * 2.0


def test_what_a_program_consumes_is_replaced_by_its_results() -> None:
    state = {"total": jnp.zeros(()), "count": jnp.asarray(0)}
    made = program(_step, (state, jnp.ones(3)), donate=(0,))
    arguments = jax.device_put((state, jnp.ones(3)))
    call = ExecutableCall(made.executable, arguments)
    assert call.after is not None
    for _ in range(3):
        call.after(call())
    assert (float(call.arguments[0]["total"]), int(call.arguments[0]["count"])) == (9.0, 3)
    assert float(arguments[0]["total"]) == 0.0  # the caller's own are left alone
    assert measure_program(made, settings=FEW, clock=ticking()).samples >= 6
    whole, layers = measure_layers(made, settings=FEW, clock=ticking())
    assert whole.calls_per_sample == 1
    assert len(layers) == 1


def test_what_a_program_consumes_without_a_successor_is_copied_afresh() -> None:
    def total(x: Any) -> Any:
        return x.sum()

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some donated buffers were not usable")
        made = program(total, (jnp.arange(4.0),), donate=(0,))
    call = ExecutableCall(made.executable, (jnp.arange(4.0),))
    assert call.after is not None
    for _ in range(3):
        result: Any = call()
        call.after(result)
        assert float(result) == 6.0


def test_the_null_call_has_the_same_signature_and_does_nothing() -> None:
    arguments = ({"a": jnp.ones(3), "b": jax.random.key(0)}, jnp.asarray(2))
    results: Any = null_call(arguments, {"x": jnp.ones(5), "y": (jnp.ones(2), None)})()
    assert set(results) == {"x", "y"}
    assert results["y"][1] is None
    assert results["x"].shape == results["y"][0].shape == ()


@pytest.mark.parametrize("measure", [measure_program, measure_layers])
def test_a_program_from_a_file_cannot_be_run(measure: Any) -> None:
    from_file = Program(name="dump.txt", batch=None, target="unknown", stage="optimized",
                        serialized=b"")  # fmt: skip
    with pytest.raises(InputError, match=r"'dump\.txt' .* nothing that could be run here"):
        measure(from_file)


@pytest.mark.parametrize("measure", [measure_program, measure_layers])
def test_times_with_a_thread_in_them_say_so(measure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late() -> None:
        raise EdgeGraphError("JAX's backend is already up")

    monkeypatch.setattr(xla, "set_synchronous_dispatch", too_late)
    # No warning: whoever makes weights before measuring would get it.
    result = measure(program(*cnn()), settings=FEW, clock=ticking())
    whole = result[0] if isinstance(result, tuple) else result
    assert not whole.synchronous


@pytest.mark.parametrize("reads", [1, 40, 90])
def test_interruption_passes_through(reads: int) -> None:
    ticks = itertools.count()

    def clock() -> int:
        tick = next(ticks)
        if tick == reads:
            raise KeyboardInterrupt
        return tick * 1_000_000

    with pytest.raises(KeyboardInterrupt):
        measure_layers(program(*cnn()), settings=FEW, clock=clock)
    assert gc.isenabled()


def test_progress_names_what_is_being_done() -> None:
    reports: list[tuple[str, float | None]] = []
    measure_layers(
        program(*cnn()),
        settings=FEW,
        clock=ticking(),
        progress=lambda *report: reports.append(report),
    )
    messages = [message for message, _ in reports]
    assert "compiling SmallCNN/conv2 alone" in messages
    assert messages[-1].startswith("timing: ")
    assert all(fraction is None or 0.0 <= fraction <= 1.0 for _, fraction in reports)


def test_preferring_synchronous_dispatch_comes_too_late_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_late() -> None:
        raise EdgeGraphError("JAX's backend is already up")

    monkeypatch.setattr(xla, "set_synchronous_dispatch", too_late)
    prefer_synchronous_dispatch()


@pytest.mark.parametrize(
    ("budget_s", "compile_s", "opened"),
    [
        (20.0, 0.5, None),
        # Five layers of 50 ms each, and 9.7 s for all of them: a little less than half of 20 s.
        (20.0, 9.7, None),
        # Nothing fits: the model is one piece.
        (0.05, 0.5, frozenset()),
    ],
)
def test_the_cut_is_as_fine_as_the_time_for_it_allows(
    budget_s: float, compile_s: float, opened: frozenset[str] | None
) -> None:
    function, arguments = cnn()
    regions = find_regions(jax.jit(function).trace(*arguments).jaxpr)
    assert affordable_cut(regions, budget_s, compile_s, {}) == opened


def blocks(x: jax.Array) -> jax.Array:
    """Run two blocks of two layers each, which are all different programs."""
    with jax.named_scope("Net"):
        for block, functions in (("cheap", (jnp.sin, jnp.cos)), ("dear", (jnp.exp, jnp.tanh))):
            with jax.named_scope(block):
                for name, function in zip(("first", "second"), functions, strict=True):
                    with jax.named_scope(name):
                        x = function(x)
    return x


TAKES_S = {
    "Net/cheap/first": 1.0, "Net/cheap/second": 2.0, "Net/dear/first": 3.0, "Net/dear/second": 0.5
}  # fmt: skip


def test_what_is_dear_is_taken_apart_first_and_what_is_cheap_timed_together() -> None:
    regions = find_regions(jax.jit(blocks).trace(jnp.ones(4)).jaxpr)
    # Compiling is for nothing but for 50 ms each piece: half of 0.31 s holds three of them.
    opened = affordable_cut(regions, 0.31, 0.0, TAKES_S)
    assert opened == {"Net", "Net/dear"}
    groups = {group.layer: group.covers for group in cut(regions, opened)}
    assert groups == {
        "Net/cheap": ("Net/cheap/first", "Net/cheap/second"),
        "Net/dear/first": (),
        "Net/dear/second": (),
    }
    assert affordable_cut(regions, 0.41, 0.0, TAKES_S) is None
    assert affordable_cut(regions, 0.21, 0.0, TAKES_S) == {"Net"}


def test_the_dear_layers_are_timed_alone_where_time_is_short() -> None:
    short = dataclasses.replace(FEW, budget_s=0.31)
    whole = dataclasses.replace(program(blocks, (jnp.ones(4),)), compile_s=0.0)
    _, layers = measure_layers(whole, settings=short, clock=ticking(), takes_s=TAKES_S)
    alone = {each.layer for each in layers if not each.covers}
    assert alone == {"Net/dear/first", "Net/dear/second"}
    assert {each.depth for each in layers} == {None}


def test_where_time_is_short_larger_pieces_cover_all_layers() -> None:
    short = dataclasses.replace(FEW, budget_s=0.1)
    _, layers = measure_layers(program(*cnn()), settings=short, clock=ticking())
    (piece,) = layers
    assert (piece.layer, piece.depth) == ("SmallCNN", 0)
    assert set(piece.covers) == CNN_LAYERS - {"SmallCNN"}
