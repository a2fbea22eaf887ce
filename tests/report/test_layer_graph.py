from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import edgegraph as eg
from edgegraph.report.layer_graph import INPUTS, OUTPUTS, LayerGraph, layer_graph
from edgegraph.results.analysis import Analysis
from tests import analyses, programs

MAKERS = [
    analyses.small_cnn, analyses.gradient, analyses.without_device, analyses.hostile,
    lambda: analyses.measured(analyses.small_cnn(1)),
]  # fmt: skip


def titles(graph: LayerGraph) -> list[str]:
    return [box.title for box in graph.boxes]


def edges_by_title(graph: LayerGraph) -> dict[tuple[str, str], list[str]]:
    named = titles(graph)
    return {
        (named[source], named[target]): [tensor.shape for tensor in tensors]
        for (source, target), tensors in graph.edges.items()
    }


def check(graph: LayerGraph, analysis: Analysis) -> None:
    """What holds for every graph of layers."""
    assert all(source < target for source, target in graph.edges)
    assert all(tensors for tensors in graph.edges.values())
    inner = [box for box in graph.boxes if not box.is_end]
    totals = analysis.totals
    if not totals.lower_bound:
        # Every op stands in one box, except tuples, which only write pointers.
        pointers = sum(
            (op.bytes_read or 0) + (op.bytes_written or 0)
            for op in analysis.op_records
            if op.opcode == "tuple"
        )
        moved = totals.bytes_read + totals.bytes_written
        assert sum(box.flops or 0 for box in inner) == totals.flops
        assert sum(box.bytes or 0 for box in inner) == moved - pointers
    for box in inner:
        assert box.record is None or (box.record.layer, box.record.phase) == (box.layer, box.phase)


@pytest.mark.parametrize("make", MAKERS)
def test_every_op_that_works_stands_in_one_box(make: Callable[[], Analysis]) -> None:
    analysis = make()
    graph = layer_graph(analysis)
    check(graph, analysis)
    shown = {(box.layer, box.phase) for box in graph.boxes}
    working = {
        (row.layer, row.phase)
        for row in analysis.layer_records
        if row.leaf and (row.flops or row.bytes_read or row.bytes_written)
    }
    assert working <= shown
    if not analysis.totals.lower_bound:
        for row in analysis.layer_records:
            if row.leaf:
                place = (row.layer, row.phase)
                boxes = [box for box in graph.boxes if (box.layer, box.phase) == place]
                assert sum(box.flops or 0 for box in boxes) == row.flops


@pytest.mark.parametrize("batch", [1, 32])
def test_small_cnn_is_a_chain_with_what_the_network_does_between(batch: int) -> None:
    """As it is written: conv, relu, pool, conv, relu, pool, dense, relu, dense."""
    graph = layer_graph(analyses.small_cnn(batch))
    named = titles(graph)
    assert [named[i] for i in (0, 1, 3, 5, 7, 8)] == [
        INPUTS, "conv1", "conv2", "dense1", "dense2", OUTPUTS,
    ]  # fmt: skip
    assert len(named) == 9
    assert "relu" in named[2] and "reduce_window_sum" in named[2]
    assert "relu" in named[4] and "reduce_window_sum" in named[4]
    assert named[6] == "relu"
    assert sorted(graph.edges) == [(i, i + 1) for i in range(8)]
    # Halved by each pool, and flattened for the dense layers.
    sizes = [tensors[0].bytes for _, tensors in sorted(graph.edges.items())]
    elements = [28 * 28, 28 * 28 * 32, 14 * 14 * 32, 14 * 14 * 64, 7 * 7 * 64, 256, 256, 10]
    assert sizes == [4 * batch * count for count in elements]


def test_a_gradient_runs_back_through_the_layers() -> None:
    graph = layer_graph(analyses.gradient())
    backward = [
        box.layer.rpartition("/")[2]
        for box in graph.boxes
        if box.phase == "backward" and not box.layer.endswith("(own)")
    ]
    order = [layer for layer in dict.fromkeys(backward) if layer in ("conv1", "conv2", "dense1")]
    assert order == ["dense1", "conv2", "conv1"]


def test_too_many_layers_are_drawn_one_level_higher() -> None:
    analysis = analyses.small_cnn(1)
    graph = layer_graph(analysis, most=4)
    assert titles(graph) == [INPUTS, "SmallCNN", OUTPUTS]
    assert graph.depth == 0
    check(graph, analysis)
    assert graph.boxes[1].record == analysis.layer_records[0]


def analyze(function: Callable[..., object], *arguments: object) -> Analysis:
    return eg.analyze(function, args=arguments, device=analyses.DEVICE, name="f")


def test_a_residual_passes_by_the_layers_that_it_skips() -> None:
    def net(x: jax.Array) -> jax.Array:
        with jax.named_scope("Net"):
            with jax.named_scope("first"):
                y = x @ x
            with jax.named_scope("second"):
                z = y @ y
            with jax.named_scope("third"):
                return y @ z

    edges = edges_by_title(layer_graph(analyze(net, jnp.ones((64, 64)))))
    assert set(edges) == {
        (INPUTS, "first"), ("first", "second"), ("first", "third"), ("second", "third"),
        ("third", OUTPUTS),
    }  # fmt: skip
    assert {shape for shapes in edges.values() for shape in shapes} == {"f32[64,64]"}


def test_a_loop_is_drawn_as_one_pass() -> None:
    function, arguments = programs.scan()
    analysis = eg.analyze(function, args=arguments, device=analyses.DEVICE, name="scan")
    graph = layer_graph(analysis)
    check(graph, analysis)
    assert graph.boxes[0].title == INPUTS


def test_layers_inside_a_loop_are_tied_to_those_around_it() -> None:
    def net(x: jax.Array) -> jax.Array:
        def body(carry: jax.Array, _: None) -> tuple[jax.Array, None]:
            with jax.named_scope("Net/inner"):
                return jnp.tanh(carry @ carry), None

        with jax.named_scope("Net/before"):
            x = x @ x
        x, _ = lax.scan(body, x, None, length=3)
        with jax.named_scope("Net/after"):
            return x @ x

    analysis = analyze(net, jnp.ones((64, 64)))
    graph = layer_graph(analysis)
    check(graph, analysis)
    edges = edges_by_title(graph)
    assert edges["before", "inner"] == ["f32[64,64]"]
    assert edges["inner", "after"][0] == "f32[64,64]"


def test_both_branches_read_the_operand_and_make_the_result() -> None:
    def net(flag: jax.Array, x: jax.Array) -> jax.Array:
        def left(y: jax.Array) -> jax.Array:
            with jax.named_scope("Net/left"):
                return y @ jnp.sin(y)

        def right(y: jax.Array) -> jax.Array:
            with jax.named_scope("Net/right"):
                return jnp.cos(y) @ y

        with jax.named_scope("Net/before"):
            x = x @ x
        x = lax.cond(flag, left, right, x)
        with jax.named_scope("Net/after"):
            return x @ x

    analysis = analyze(net, jnp.asarray(True), jnp.ones((64, 64)))
    edges = edges_by_title(layer_graph(analysis))
    for branch in ("left", "right"):
        assert ("before", branch) in edges
        assert (branch, "after") in edges


@st.composite
def hlo_texts(draw: st.DrawFn) -> str:
    """Random programs whose ops belong to random layers, so that layers often feed each other."""
    count = draw(st.integers(1, 14))
    lines = ["  v0 = f32[8] parameter(0)"]
    for number in range(1, count + 1):
        left, right = (draw(st.integers(0, number - 1)) for _ in range(2))
        layer = draw(st.sampled_from(["N/a", "N/b", "N/c/d", "N/c", "N", "M/a"]))
        wrapped = draw(st.sampled_from(["{0}", "transpose(jvp({0}))"]))
        root = "ROOT " if number == count else ""
        scope, _, inner = layer.partition("/")
        path = wrapped.format(scope) + (f"/{inner}" if inner else "")
        lines.append(
            f"  {root}v{number} = f32[8] add(v{left}, v{right}),"
            f' metadata={{op_name="jit(f)/{path}/add"}}'
        )
    body = "\n".join(lines)
    return f"HloModule m\nENTRY e {{\n{body}\n}}\n"


@given(text=hlo_texts(), most=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_random_programs_are_drawn_without_cycles(
    tmp_path_factory: pytest.TempPathFactory, text: str, most: int
) -> None:
    path = tmp_path_factory.mktemp("hlo") / "m.txt"
    path.write_text(text)
    analysis = eg.analyze(eg.read_hlo(path), device=analyses.DEVICE)
    check(layer_graph(analysis), analysis)
    check(layer_graph(analysis, most=most), analysis)


@pytest.mark.parametrize("inside", [False, True])
def test_a_long_chain_of_values_handed_on_is_followed(tmp_path: Path, inside: bool) -> None:
    """Deeper than Python's stack."""
    count = 3000
    lines = ["  v0 = f32[8] parameter(0)"]
    lines += [f"  v{n} = f32[8] bitcast(v{n - 1})" for n in range(1, count)]
    metadata = 'metadata={op_name="jit(f)/Net/sum/add"}'
    if inside:
        lines[-1] = lines[-1].replace("  v", "  ROOT v")
        body = "chain {\n" + "\n".join(lines) + "\n}\n"
        lines = ["  x = f32[8] parameter(0)", "  c = f32[8] call(x), to_apply=chain"]
        lines.append(f"  ROOT y = f32[8] add(c, c), {metadata}")
    else:
        body = ""
        lines.append(f"  ROOT y = f32[8] add(v{count - 1}, v{count - 1}), {metadata}")
    path = tmp_path / "m.txt"
    path.write_text(f"HloModule m\n{body}ENTRY e {{\n" + "\n".join(lines) + "\n}\n")
    graph = layer_graph(eg.analyze(eg.read_hlo(path)))
    assert edges_by_title(graph) == {(INPUTS, "sum"): ["f32[8]"], ("sum", OUTPUTS): ["f32[8]"]}
