"""What is told of ops whose change is known."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.compare.result import OpChange
from tests import programs
from tests.compare.networks import analysis, without_figures

F32 = jnp.dtype("float32")


def facets(change: OpChange) -> dict[str, tuple[str, str]]:
    return {each.name: (each.before, each.after) for each in change.facets}


@pytest.mark.parametrize("stage", ["optimized", "lowered"])
def test_one_changed_layer_is_all_that_is_told(stage: str) -> None:
    found = eg.diff(analysis(stage=stage), analysis(stage=stage, kernel=5))
    assert without_figures(found) == {"Net": "changed", "Net/conv2": "changed"}
    parameter, convolution = found.op_changes
    assert facets(parameter) == {"shape": ("f32[3,3,8,16]", "f32[5,5,8,16]")}
    # 4 images x 64 positions x 8 x 16 channels x 9 or 25.
    assert facets(convolution)["macs"] == ("294,912", "819,200")
    assert facets(convolution)["window"] == ("size=3x3 pad=1_1x1_1", "size=5x5 pad=2_2x2_2")
    assert {change.layer for change in found.op_changes} == {"Net/conv2"}
    assert {change.kind for change in found.op_changes} == {"changed"}
    assert found.totals.loc["params", "difference"] == 8 * 16 * (25 - 9)


def test_what_a_convolution_is_run_along_is_told_as_xla_writes_it() -> None:
    def convolved(strides: tuple[int, int], labels: tuple[str, str, str]) -> eg.Analysis:
        x, k = jax.ShapeDtypeStruct((4, 8, 8, 4), F32), jax.ShapeDtypeStruct((4, 3, 3, 4), F32)
        return eg.analyze(
            lambda x, k: jax.lax.conv_general_dilated(
                x, k, strides, "SAME", dimension_numbers=labels
            ),
            args=(x, k), name="f", stage="lowered",
        )  # fmt: skip

    one = convolved((1, 1), ("NHWC", "OHWI", "NHWC"))
    other = convolved((2, 1), ("CHWN", "IHWO", "CHWN"))
    (change,) = (change for change in eg.diff(one, other).op_changes if "window" in facets(change))
    assert facets(change)["convolution"] == ("b01f_o01i->b01f", "f01b_i01o->f01b")
    assert facets(change)["window"][1].startswith("size=3x3 stride=2x1 pad=")


def test_a_folded_normalisation_is_gone_and_nothing_else() -> None:
    found = eg.diff(analysis(normalised=True), analysis())
    layers = without_figures(found)
    assert layers.pop("Net/bn") == "removed"
    assert set(layers) == {"Net", "Net/conv2", "Net/(own)"}
    kinds = Counter((change.kind, change.layer) for change in found.op_changes)
    # Mean, variance, scale and bias of the normalisation, and the rsqrt of the variance.
    assert kinds["removed", "Net/bn"] == 5
    assert kinds["added", "Net/conv2"] == 1  # the bias
    (fusion,) = [change for change in found.op_changes if change.kind == "changed"]
    assert facets(fusion)["fused ops"] == ("2 multiply, subtract", "")
    assert found.same_ops == 11


def test_another_dtype_is_told_of_every_op_and_nothing_comes_or_goes() -> None:
    found = eg.diff(analysis(stage="lowered"), analysis(stage="lowered", dtype=jnp.bfloat16))
    assert {change.kind for change in found.op_changes} == {"changed"}
    assert all(facets(change)["dtype"] == ("f32", "bf16") for change in found.op_changes)
    assert [(each.name, each.before, each.after) for each in found.settings] == [
        ("dtype", "f32", "bf16")
    ]
    written = found.totals["difference"] / found.totals["before"]
    assert written["bytes_written"] == -0.5
    assert found.totals.loc["flops", "change"] == 0


def test_without_fusion_the_same_work_is_fused_differently() -> None:
    found = eg.diff(analysis(normalised=True), analysis(normalised=True, fused=False))
    assert {change.kind for change in found.op_changes} == {"fused differently"}
    for change in found.op_changes:
        assert change.before is not None
        assert change.after is not None
        assert len(change.before.names) == 1 < len(change.after.names)
        assert change.before.flops == change.after.flops
        assert (change.after.bytes or 0) > (change.before.bytes or 0)
    assert found.totals.loc["flops", "change"] == 0
    assert [each.name for each in found.settings] == ["option xla_disable_hlo_passes"]


def test_another_batch_changes_shapes_only() -> None:
    found = eg.diff(analysis(stage="lowered", batch=4), analysis(stage="lowered", batch=8))
    assert {change.kind for change in found.op_changes} == {"changed"}
    assert all("shape" in facets(change) for change in found.op_changes)
    assert found.totals.loc["macs", "change"] == 1.0


@pytest.mark.parametrize("stage", ["optimized", "lowered"])
def test_swapped_operands_are_told(stage: str) -> None:
    x = jax.ShapeDtypeStruct((4,), F32)
    one = eg.analyze(lambda x, y: jnp.sin(x - y), args=(x, x), name="f", stage=stage)
    other = eg.analyze(lambda x, y: jnp.sin(y - x), args=(x, x), name="f", stage=stage)
    (change,) = eg.diff(one, other).op_changes
    assert change.kind == "rewired"
    before, after = facets(change)["operands"]
    assert before.split(", ") == after.split(", ")[::-1]


def test_swapped_results_are_told() -> None:
    x = jax.ShapeDtypeStruct((4,), F32)
    one = eg.analyze(lambda x, y: (x + 1, y + 1), args=(x, x), name="f", stage="lowered")
    other = eg.analyze(lambda x, y: (y + 1, x + 1), args=(x, x), name="f", stage="lowered")
    (change,) = eg.diff(one, other).op_changes
    assert change.kind == "rewired"
    assert change.after is not None
    assert change.after.opcode == "tuple"


def test_another_constant_is_told() -> None:
    x = jax.ShapeDtypeStruct((4,), jnp.dtype("int32"))
    one, other = (
        eg.analyze(lambda x, n=n: x * n, args=(x,), name="f", stage="lowered") for n in (3, 5)
    )
    (change,) = eg.diff(one, other).op_changes
    assert facets(change) == {"value": ("3", "5")}


def test_a_longer_loop_is_told_as_more_executions() -> None:
    def scanned(length: int) -> eg.Analysis:
        function, arguments = programs.scan(length)
        return eg.analyze(eg.compile(function, *arguments, name="scan", stage="lowered"))

    found = eg.diff(scanned(5), scanned(6))
    dots = [change for change in found.op_changes if change.after and change.after.opcode == "dot"]
    assert [facets(change)["executions"] for change in dots] == [("5", "6")]
    assert [facets(change)["macs"] for change in dots] == [("1,280", "1,536")]


def test_a_long_attribute_is_cut_at_60_characters(tmp_path: Path) -> None:
    def called(config: str) -> eg.Analysis:
        path = tmp_path / "module.txt"
        path.write_text(
            "HloModule m ENTRY e { x = f32[8] parameter(0)\n"
            f'ROOT y = f32[8] custom-call(x), custom_call_target="t", backend_config="{config}" }}'
        )
        return eg.analyze(eg.read_hlo(path))

    (change,) = eg.diff(called("a" * 60), called("b" * 61)).op_changes
    assert facets(change)["backend_config"] == ("a" * 60, "b" * 59 + "…")


@pytest.mark.parametrize(
    ("opcode", "name", "attributes", "told"),
    [
        ("all-reduce", "collective", ("replica_groups={{0,1},{2,3}}", "replica_groups={{0,1,2,3}}"),
         ("groups of 2 replicas", "groups of 4 replicas")),
        ("all-reduce", "collective", ("replica_groups={}, channel_id=1", "replica_groups={{0}}"),
         ("all devices, channel 1", "groups of 1 replica")),
        ("all-reduce", "collective",
         ("replica_groups={{0,1}}, channel_id=1",
          "replica_groups={{0,1}}, channel_id=1, use_global_device_ids=true"),
         ("groups of 2 devices, channel 1",
          "groups of 2 devices, numbered over all replicas, channel 1")),
        ("collective-permute", "collective",
         ("source_target_pairs={{0,1},{1,0}}", "source_target_pairs={{0,1}}"),
         ("0 to 1, 1 to 0", "0 to 1")),
        ("reverse", "dimensions", ("dimensions={0}", "dimensions={0,1}"), ("{0}", "{0,1}")),
    ],
)  # fmt: skip
def test_attributes_are_words_or_what_xla_writes_but_never_pythons_objects(
    opcode: str, name: str, attributes: tuple[str, str], told: tuple[str, str], tmp_path: Path
) -> None:
    def written(attributes: str) -> eg.Analysis:
        reducer = ", to_apply=add" if opcode == "all-reduce" else ""
        path = tmp_path / "module.txt"
        path.write_text(
            "HloModule m\nadd { a = f32[] parameter(0)\nb = f32[] parameter(1)\n"
            "ROOT c = f32[] add(a, b) }\nENTRY e { x = f32[8,8] parameter(0)\n"
            f"ROOT y = f32[8,8] {opcode}(x), {attributes}{reducer} }}"
        )
        return eg.analyze(eg.read_hlo(path))

    (change,) = eg.diff(*map(written, attributes)).op_changes
    assert facets(change)[name] == told
