"""What moves or multiplies without need, with its numbers by hand."""

from __future__ import annotations

from dataclasses import replace

import jax
import pytest

import edgegraph as eg
from edgegraph.analysis.findings import find
from edgegraph.results.analysis import Analysis, Finding
from tests import analyses
from tests import programs as networks
from tests.analysis.findings import programs


def only(analysis: Analysis, rule: str) -> Finding:
    (finding,) = (each for each in find(analysis) if each.rule == rule)
    return finding


def rules(analysis: Analysis) -> set[str]:
    return {finding.rule for finding in find(analysis)}


def test_padding_is_what_the_compiled_product_multiplies_beyond_the_models() -> None:
    finding = only(programs.padded(8, 128, 128), "padding-waste")
    # Compiled 2 x 8 x 128 x 128 FLOP; the model asks for 2 x 5 x 100 x 100.
    assert finding.numbers["product_flops"] == 262_144
    assert finding.numbers["padding_flops"] == 162_144
    assert "62 %" in finding.seen


def test_a_little_padding_is_in_every_program() -> None:
    # 5 x 104 x 104 for 5 x 100 x 100: 7.5 % of the FLOPs.
    assert "padding-waste" not in rules(programs.padded(5, 104, 104))


@pytest.mark.parametrize(
    "name", ["convolutions", "convolution_gradients", "einsums", "image_resize", "cnn_train_step"]
)
def test_no_product_of_this_host_is_said_to_be_padded(name: str) -> None:
    analysis = programs.from_corpus(f"real/{name}.optimized.pb.gz")
    assert "padding-waste" not in rules(analysis)


def test_a_conversion_is_told_with_its_dtypes_and_bytes() -> None:
    finding = only(programs.conversion(), "dtype-conversions")
    assert finding.numbers == {"kernels": 1.0, "bytes": 64 * 64 * (4 + 2), "share": 1.0}
    assert "goes from f32 to bf16" in finding.seen


def test_a_conversion_there_and_back_is_told_as_such() -> None:
    text = """
HloModule m

ENTRY e {
  x = f32[64,64] parameter(0)
  ROOT f = f32[64,64] fusion(x), kind=kLoop, calls={
    p = f32[64,64] parameter(0)
    narrow = bf16[64,64] convert(p)
    ROOT wide = f32[64,64] convert(narrow)
  }
}
"""
    assert (
        "goes from f32 to bf16 and back" in only(programs.from_text(text), "dtype-conversions").seen
    )


def test_a_transposition_is_told_with_its_bytes() -> None:
    finding = only(programs.transposition(), "layout-changes")
    assert finding.numbers == {"kernels": 1.0, "bytes": 2 * 64 * 64 * 4, "share": 1.0}


def test_a_copy_is_of_the_layout_only_where_it_changes_it() -> None:
    assert "layout-changes" in rules(programs.from_text(programs.COPY.format(layout="0,1")))
    assert "layout-changes" not in rules(programs.from_text(programs.COPY.format(layout="1,0")))


def test_weights_that_are_rewritten_at_every_call_are_named_as_such() -> None:
    def forward(params: dict[str, jax.Array]) -> jax.Array:
        return params["kernel"].T

    finding = only(programs.compiled(forward, {"kernel": programs.array(64, 64)}), "layout-changes")
    assert "1 kernel runs only to write weights in another order, at every call" in finding.seen
    assert "bake them in" in finding.try_next
    assert "channels last" not in finding.try_next


def test_channels_last_is_no_advice_without_a_convolution() -> None:
    finding = only(programs.transposition(), "layout-changes")
    assert "channels last" not in finding.try_next
    assert "einsum" in finding.try_next


@pytest.mark.parametrize(("dtypes", "named"), [({"bf16": 200e9}, True), ({}, False)])
def test_only_dtypes_are_advised_that_the_device_has(dtypes: dict[str, float], named: bool) -> None:
    device = replace(analyses.DEVICE, peak_flops_per_s={"f32": 100e9, **dtypes})
    function, arguments = networks.small_cnn(1)
    found = eg.analyze(function, args=arguments, device=device).findings
    advice = [each.try_next for each in found if each.rule.endswith(("-dense", "-layer"))]
    assert advice
    assert all(("bfloat16" in each) is named for each in advice)
    assert not any("int8" in each for each in advice)
