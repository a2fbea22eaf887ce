"""Every rule has a program that shows what it finds, and one that must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.analysis.findings import RULES, find
from edgegraph.analysis.findings.registry import Evidence
from edgegraph.hlo.schema import HloModuleProto
from edgegraph.results.analysis import Analysis, Finding
from tests import analyses
from tests.analysis.findings import programs as shown
from tests.analysis.test_overhead import chain

NOISY = replace(analyses.latency(1e-3), verdict="NOISY", relative_iqr=0.15)


def found(analysis: Analysis, rule: str) -> list[Finding]:
    return [finding for finding in find(analysis) if finding.rule == rule]


def slow_layers() -> Analysis:
    """Every layer takes 100 ms: far under any roof."""
    return analyses.measured(analyses.small_cnn(32), 0.1)


def tiny() -> Analysis:
    """A call of 8 µs of which launching takes 5."""
    return replace(analyses.measured(analyses.small_cnn(1)), latency=analyses.latency(8e-6))


def together(whole_s: float, verdict: str = "OK") -> Analysis:
    """Five layers of 1 ms each; `whole_s` for all of them compiled together."""
    base = analyses.measured(analyses.small_cnn(32))
    return replace(base, latency=analyses.latency(whole_s, verdict=verdict))


def half_placed() -> Analysis:
    base = analyses.small_cnn(32)
    return replace(base, totals=replace(base.totals, flops_coverage=0.5))


CASES: dict[str, tuple[Callable[[], Analysis], Callable[[], Analysis]]] = {
    "memory-bound-dense": (lambda: analyses.small_cnn(1), lambda: analyses.small_cnn(256)),
    "compute-bound-layer": (lambda: analyses.small_cnn(32), analyses.memory_bound),
    "far-under-the-roof": (slow_layers, lambda: analyses.small_cnn(32)),
    "dispatch-bound": (tiny, slow_layers),
    "overhead": (lambda: chain(200), lambda: chain(50)),
    "compiled-together": (lambda: together(9e-3), lambda: together(9e-3, "NOISY")),
    "noisy-machine": (
        lambda: replace(analyses.measured(analyses.small_cnn(32)), latency=NOISY),
        lambda: analyses.measured(analyses.small_cnn(32)),
    ),
    "unpriced-op": (analyses.unpriced, lambda: analyses.small_cnn(32)),
    "low-coverage": (half_placed, lambda: analyses.small_cnn(32)),
    "fusion-recomputes": (
        lambda: shown.shared_intermediate(dear=False),
        lambda: shown.shared_intermediate(dear=True),
    ),
    "library-fusion-hurts": (
        lambda: shown.timed_library_fusion(20e-3),
        lambda: shown.timed_library_fusion(1e-3),
    ),
    "no-library-kernel": (
        lambda: shown.integer_product(jnp.int8),
        lambda: shown.integer_product(jnp.int32),
    ),
    "slow-function": (
        lambda: shown.compiled(jnp.tan, shown.array(4096)),
        lambda: shown.compiled(jnp.tanh, shown.array(4096)),
    ),
    "padding-waste": (lambda: shown.padded(8, 128, 128), lambda: shown.padded(5, 100, 100)),
    "dtype-conversions": (shown.conversion, lambda: analyses.small_cnn(32)),
    "layout-changes": (shown.transposition, analyses.memory_bound),
    "rematerialisation": (shown.remat_gradient, analyses.gradient),
    "exposed-transfers": (
        lambda: shown.from_text(shown.TRANSFER.format(rows=100)),
        lambda: shown.from_text(shown.TRANSFER.format(rows=2000)),
    ),
    "dominant-loop": (lambda: shown.loop(100), lambda: analyses.small_cnn(32)),
}


def test_every_rule_has_its_cases() -> None:
    # This one looks at traced programs: test_forms.py.
    assert set(CASES) == set(RULES) - {"faster-form"}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_speaks_where_it_should_and_only_there(rule: str) -> None:
    shows, must_not = CASES[rule]
    assert found(shows(), rule)
    assert not found(must_not(), rule)


def test_what_has_no_cost_is_told_with_what_would_give_it_one() -> None:
    (finding,) = found(shown.from_corpus("handwritten/gpu_unknown_kernel.hlo"), "unpriced-op")
    assert "my_kernel" in finding.seen
    # Below what is known to take half of the time, above what is known to take a tenth.
    assert finding.weight == 0.3
    assert "eg.register_custom_call" in finding.try_next
    loop = shown.from_corpus("real/data_dependent_loop.optimized.pb.gz")
    (finding,) = found(loop, "unpriced-op")
    assert "measure=True" in finding.try_next
    (name,) = loop.unpriced
    assert f"--trips {name}=16" in finding.try_next
    assert f"one iteration of {name}: " in finding.seen


def test_no_verdict_rests_on_a_noisy_measurement() -> None:
    noisy = replace(slow_layers(), latency=NOISY)
    assert "compiled-together" not in {f.rule for f in find(noisy)}


@pytest.mark.parametrize(
    ("fastest_s", "others_share", "far"),
    [(0.05, 0.0, True), (5e-6, 0.0, False), (0.05, 1.0, False)],
)
def test_what_is_slow_beyond_the_noise_is_said(
    fastest_s: float, others_share: float, far: bool
) -> None:
    slow = slow_layers()
    parts = tuple(
        replace(part, latency=replace(part.latency, min_s=fastest_s, others_share=others_share))
        for part in slow.layer_latencies
    )
    findings = find(replace(slow, latency=NOISY, layer_latencies=parts))
    about = {f.rule for f in findings if f.layer == "SmallCNN/conv2"}
    # What runs fifty times slower than its roof is not bound by it.
    assert about == ({"far-under-the-roof"} if far else {"compute-bound-layer"})


def test_what_is_far_under_a_roof_is_not_bound_by_it() -> None:
    rules = {finding.rule for finding in find(slow_layers())}
    assert rules.isdisjoint({"compute-bound-layer", "memory-bound-dense"})


def test_the_largest_share_comes_first() -> None:
    weights = [finding.weight for finding in find(analyses.small_cnn(32))]
    assert weights == sorted(weights, reverse=True)


@pytest.mark.parametrize(
    ("whole_s", "words"), [(9e-3, "80 % lost"), (2.5e-3, "50 % gained"), (5e-3, "no difference")]
)
def test_what_compiling_together_did_is_said_and_not_more(whole_s: float, words: str) -> None:
    (finding,) = found(together(whole_s), "compiled-together")
    assert words in finding.seen
    assert "edgegraph fusion SPEC" in finding.try_next
    # The median of five layers of 1 ms with an IQR of 3 %, linearly since they are one and the
    # same, and that of the whole.
    spread = 0.03 * ((5 * 1.005e-3) ** 2 + whole_s**2) ** 0.5
    assert finding.numbers["noise_s"] == pytest.approx(spread)


def test_a_layer_far_under_its_roof_weighs_what_the_roof_would_gain() -> None:
    analysis = slow_layers()
    frame = analysis.what_if
    gains = dict(zip(frame["layer"], frame["gain_share"], strict=True))
    for finding in found(analysis, "far-under-the-roof"):
        assert finding.weight == pytest.approx(gains[finding.layer])
    # No other finding weighs what is left of it.
    about = [f.weight for f in find(analysis) if f.layer == "SmallCNN/conv2"]
    assert about == [pytest.approx(gains["SmallCNN/conv2"])]


def test_a_noisy_machine_is_told_with_the_reasons() -> None:
    few = replace(NOISY, verdict="INVALID", reasons=("9 samples, fewer than 10",))
    (finding,) = found(replace(analyses.small_cnn(32), latency=few), "noisy-machine")
    assert finding.seen == "the latency is INVALID: 9 samples, fewer than 10"
    # It comes before everything else, and is about no share of the time.
    assert (finding.weight, finding.share) == (1.0, None)
    assert find(replace(analyses.small_cnn(32), latency=NOISY))[0].rule == "noisy-machine"


def test_names_with_a_slash_are_found() -> None:
    """No file that XLA wrote has them, but any file may."""
    x = jax.ShapeDtypeStruct((64, 64), "float32")
    program = eg.compile(lambda x: jnp.tanh(x.T) @ x, x, name="odd")
    module = HloModuleProto.FromString(program.serialized)
    for computation in module.computations:
        for instruction in computation.instructions:
            instruction.name = f"odd/{instruction.name}"
    odd = replace(program, serialized=module.SerializeToString(), executable=None)
    evidence = Evidence(eg.analyze(odd))
    for record in evidence.analysis.op_records:
        assert record.name.endswith(evidence.instruction(record).name)


def test_findings_rank_by_what_can_be_won_else_by_their_share() -> None:
    # A convolution at 7 % of its roof with a third of the time, and a dense layer with 60 % of it.
    analysis = analyses.measured(analyses.small_cnn(1))
    for finding in find(analysis):
        known = finding.share if finding.gain is None else finding.gain
        assert known is None or finding.weight == known
        row = next((row for row in analysis.layer_records if row.layer == finding.layer), None)
        if row is not None and finding.share is not None:
            assert finding.share == row.share  # and not what its roof explains of that


def test_what_compiling_together_costs_is_what_there_is_to_win() -> None:
    (cost,) = found(together(9e-3), "compiled-together")
    # 9 ms against 5 ms in sum, both but for 5 µs of launching.
    assert cost.gain == pytest.approx(1 - 5e-3 / (9e-3 - 5e-6))
    (gained,) = found(together(2.5e-3), "compiled-together")
    assert (gained.gain, gained.weight) == (None, 0.0)
