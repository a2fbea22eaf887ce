"""What every fusion saves and computes twice, on real programs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.hlo.op_tree import launches
from edgegraph.results.verdicts import HELPS, HURTS, NO_DIFFERENCE, NOISY
from edgegraph.studies.fusion.effects import effects, fusion_verdict, trace_noise
from edgegraph.studies.fusion.result import FULL, FusionStudy
from tests import analyses
from tests.studies.fusion.test_run import SQUARE, ladder


def test_ops_one_by_one_move_what_the_unfused_program_moves(cnn: FusionStudy) -> None:
    """What fusions save, added to what is moved with them, is what is moved without any."""
    for rung in cnn.rungs[:2]:
        saved = sum(effect.saved_bytes for effect in cnn.fusions if effect.rung == rung.name)
        assert rung.bytes + saved == pytest.approx(cnn.rungs[-1].bytes, rel=1e-2)


def test_the_library_fusion_spans_layers(cnn: FusionStudy) -> None:
    widest = cnn.fusions[0]
    assert (widest.rung, widest.kind) == (FULL, "library")
    assert {"SmallCNN/conv1", "SmallCNN/conv2"} <= set(widest.layers)
    assert widest.time_source == "estimated"
    assert widest.saved_s is not None
    assert widest.saved_s > 0


def test_work_that_two_fusions_each_do_is_recomputed() -> None:
    def twice(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        size = jnp.abs(x)
        return jnp.flip(size, 1) + 1, size[1:] - 3

    found = ladder(twice)
    # abs of 255 x 256 elements, those behind the slice, once more than needed
    assert sum(effect.recomputed_flops for effect in found.fusions) == 255 * 256
    assert found.rungs[0].flops - found.rungs[-1].flops == 255 * 256
    assert found.conclusions[-1] == "recomputed: 65.3 kFLOP, 25 % of all, in 2 fusions"


def test_kernels_in_a_loop_count_as_often_as_they_run() -> None:
    def loop(x: jax.Array) -> jax.Array:
        sorted_: jax.Array = jax.lax.fori_loop(0, 7, lambda _, y: jax.lax.sort(y), x)
        return sorted_

    analysis = eg.analyze(loop, args=(SQUARE,))
    sorts = [kernel for kernel in analysis.op_tree.kernels if kernel.head.opcode == "sort"]
    assert (len(sorts), launches(sorts)) == (1, 7)


@pytest.mark.parametrize(
    ("fused_s", "noise", "verdict"),
    [
        (0.9, 0.05, HELPS),  # sqrt(0.045^2 + 0.05^2) = 0.067 s of noise, and a gain of 0.1 s
        (0.94, 0.05, NO_DIFFERENCE),  # 0.069 s of noise, and a gain of 0.06 s
        (1.1, 0.05, HURTS),
        (0.1, 0.5, NOISY),
        (0.5, None, NOISY),
    ],
)
def test_a_fusion_is_judged_by_the_noise_of_both(
    fused_s: float, noise: float | None, verdict: str
) -> None:
    assert fusion_verdict(fused_s, 1.0, noise, noise) == verdict


def test_without_a_trace_there_is_no_noise_to_know() -> None:
    assert trace_noise(analyses.small_cnn(1)) is None


def test_ops_that_stay_in_one_kernel_share_its_time() -> None:
    """Against itself a fusion saves nothing: its ops take together what the kernel takes."""
    same = eg.analyze(
        lambda x: jnp.abs(x)[:, ::-1] + 1, args=(SQUARE,), device=analyses.DEVICE
    )  # fmt: skip
    (effect,) = effects(FULL, same, same)
    assert effect.ops > 1
    assert effect.unfused_time_s == pytest.approx(effect.time_s)
    assert effect.recomputed_flops == 0
