"""What fusion brings, on real programs; times are handed in where they are needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import pytest

import edgegraph as eg
from edgegraph.analysis.findings.registry import Evidence
from edgegraph.compare.diff import whole
from edgegraph.errors import InputError
from edgegraph.results.analysis import Analysis
from edgegraph.results.timing import TimingComparison
from edgegraph.results.verdicts import HELPS
from edgegraph.studies.fusion import run as study
from edgegraph.studies.fusion.result import FULL, SAME, WITHOUT_ANY, WITHOUT_LIBRARY, FusionStudy
from tests import analyses
from tests.studies import fusion_studies

SQUARE = jax.ShapeDtypeStruct((256, 256), "float32")


def ladder(function: Any, *shapes: Any) -> FusionStudy:
    return eg.fusion_study(function, args=shapes or (SQUARE,), measure=False)


def test_the_three_rungs_of_small_cnn_move_what_xla_says(cnn: FusionStudy) -> None:
    # XLA's own bytes accessed of the modules compiled with these options.
    expected = {32: [3.40e6, 27.6e6, 59.1e6], 1: [3.36e6, 4.06e6, 5.04e6]}[cnn.batch or 0]
    assert [rung.name for rung in cnn.rungs] == [FULL, WITHOUT_LIBRARY, WITHOUT_ANY]
    assert [rung.bytes for rung in cnn.rungs] == pytest.approx(expected, rel=2e-3)
    assert [rung.same_as for rung in cnn.rungs] == [None, None, None]
    counts = [rung.launches for rung in cnn.rungs]
    assert counts == sorted(counts)
    assert cnn.rungs[-1].fusions == 0


def test_layers_add_up_to_the_rung(cnn: FusionStudy) -> None:
    for rung in cnn.rungs:
        assert sum(layer.bytes for layer in rung.layers) == rung.bytes
        assert sum(layer.launches for layer in rung.layers) == rung.launches


def test_kernels_are_those_of_the_gate_and_launches_count_every_turn_of_a_loop() -> None:
    def loop(x: jax.Array) -> jax.Array:
        sorted_: jax.Array = jax.lax.fori_loop(0, 7, lambda _, y: jax.lax.sort(y), x)
        return sorted_

    rung = ladder(loop).rungs[0]
    analysis = eg.analyze(loop, args=(SQUARE,))
    tree = analysis.op_tree
    in_loop = [k for k in tree.kernels if k.head.parent is not None]
    assert rung.kernels == whole(analysis)["kernels"] == len(Evidence(analysis).kernels)
    # The sort runs 7 times, and so does counting; the loop's condition once more.
    assert rung.launches == len(tree.kernels) - len(in_loop) + 7 * len(in_loop) + 1


def test_without_anything_to_fuse_the_rungs_are_the_same_program() -> None:
    found = ladder(lambda x: jax.lax.sort(x))
    assert [rung.same_as for rung in found.rungs] == [None, FULL, FULL]
    assert {step.verdict for step in found.steps} == {SAME}
    assert found.fusions == ()
    assert "same program" in found.conclusions[0]


def test_without_library_fusion_that_rung_is_the_same_program() -> None:
    found = ladder(lambda x: x.astype("int32") * 3 + 1)
    assert [rung.same_as for rung in found.rungs] == [None, FULL, None]
    assert [step.verdict for step in found.steps] == [SAME, None, None]


def test_measured_rungs_have_latencies_and_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def compare(first: Any, second: Any, **_: Any) -> TimingComparison:
        asked.append((first.name, second.name))
        times = {FULL: 1e-3, WITHOUT_ANY: 2e-3}
        names = first.name, second.name
        return fusion_studies.comparison(*names, *(times[name] for name in names))

    def unmeasured(program: Any, **_: Any) -> Analysis:
        return replace(eg.analyze(program), latency=analyses.latency(1e-3))

    monkeypatch.setattr(study, "compare_timings", compare)
    monkeypatch.setattr(study, "analyze", unmeasured)
    monkeypatch.setattr(study, "prefer_synchronous_dispatch", lambda: None)
    found = eg.fusion_study(lambda x: x.astype("int32") * 3 + 1, args=(SQUARE,))
    # Full and without library fusion are the same program, so one pair tells all.
    assert asked == [(WITHOUT_ANY, FULL)]
    assert [step.verdict for step in found.steps] == [SAME, HELPS, HELPS]
    assert [rung.latency_s for rung in found.rungs] == pytest.approx([1e-3, 1e-3, 2e-3], rel=1e-3)
    low, high = found.rungs[-1].interval_s or (0.0, 0.0)
    assert 1.99e-3 < low < 2e-3 < high < 2.01e-3


def test_a_function_without_arguments_is_refused() -> None:
    with pytest.raises(InputError, match="without arguments"):
        eg.fusion_study(lambda x: x)


def test_what_calls_python_is_refused_before_anything_is_timed() -> None:
    def prints(x: jax.Array) -> jax.Array:
        jax.debug.print("x {}", x[0])
        return x + 1

    with pytest.raises(InputError, match=r"'prints' calls Python on the host \(jax.debug.print"):
        eg.fusion_study(prints, args=(SQUARE,))
    assert eg.fusion_study(prints, args=(SQUARE,), measure=False).rungs


def test_intervals_widen_with_the_spread_between_blocks() -> None:
    def width(samples: Sequence[float]) -> float:
        found = replace(analyses.latency(1.0), samples_s=tuple(samples))
        _, (low, high) = study._of_blocks(found)
        return high - low

    steady = [1.0, 1.1] * 50
    moving = [1.0] * 50 + [1.1] * 50
    assert width(moving) > width(steady)
    assert width([1.0]) == 0.0


def test_an_interval_holds_95_percent() -> None:
    """Ten blocks, half of them e^0.1 times as long: 2.262 of Student's t with 9 degrees."""
    samples = [math.exp(0.1 * (block % 2)) for block in range(10) for _ in range(10)]
    found = replace(analyses.latency(1.0), samples_s=tuple(samples))
    _, (low, high) = study._of_blocks(found)
    assert low == 1.0  # the median, where it lies below
    # The standard error is 0.05 * sqrt(10 / 9) / sqrt(10) = 0.05 / 3.
    assert high == pytest.approx(math.exp(0.05 + 2.262157 * 0.05 / 3))


def test_passes_that_the_user_disabled_stay_so() -> None:
    assert study.rung_options({"xla_disable_hlo_passes": "cse"})["without fusion"] == {
        "xla_cpu_experimental_ynn_fusion_type": "",
        "xla_disable_hlo_passes": "cse,fusion,cpu-instruction-fusion",
    }
