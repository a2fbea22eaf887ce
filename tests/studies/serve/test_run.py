"""Prefill and decode, compiled here and for a TPU that is not here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.device.catalogue import find_device
from edgegraph.errors import InputError
from edgegraph.studies.serve.cache import InPlace
from edgegraph.studies.serve.turn import find_turn
from edgegraph.studies.sweep.plan import Plan
from models.transformer import transformer_decode
from tests import analyses
from tests.compiler.test_ahead import needs
from tests.studies.sweeps import throughput


def struct(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, "float32")


def prefill(most: int = 64) -> eg.Workload:
    def arguments(batch: int, length: int = 8) -> Any:
        if length > most:
            raise ValueError(f"no more than {most} tokens")
        return struct(batch, length, 32), struct(32, 32)

    return eg.Workload.from_function(lambda x, w: jnp.tanh(x @ w) @ w, arguments, name="prefill")


def decode() -> eg.Workload:
    def step(cache: jax.Array, x: jax.Array, w: jax.Array) -> Any:
        cache = jax.lax.dynamic_update_slice(cache, (x @ w)[:, None], (0, 3, 0))
        return cache, cache.sum(1)

    def arguments(batch: int, length: int = 8) -> Any:
        return struct(batch, length, 32), struct(batch, 32), struct(32, 32)

    return eg.Workload.from_function(step, arguments, name="decode")


def test_a_board_is_estimated_by_batch_and_context(tmp_path: Path) -> None:
    with eg.open_store(tmp_path / "runs.db") as store:
        made = eg.serve(
            prefill(), decode(), contexts=[32, 16], batches=[1, 2], target="device:rpi5",
            store=store, max_output_token_s=1.0,
        )  # fmt: skip
        assert {run.workload for run in store.find()} == {
            f"{phase}(length={length})" for phase in ("prefill", "decode") for length in (16, 32)
        }
    assert [(p.context, p.batch) for p in made.points] == [(16, 1), (16, 2), (32, 1), (32, 2)]
    # 32 floats for every token of every sequence
    assert [p.cache_bytes for p in made.points] == [2048, 4096, 4096, 8192]
    assert all(p.time_source == "estimated" and p.error is None for p in made.points)
    assert all(p.first_token_s and p.output_token_s for p in made.points)
    assert [choice.batch for choice in made.choices] == [2, 2]
    assert (made.axis, made.target, made.points[0].verdict) == ("length", "device:rpi5", None)


def test_this_host_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(program: Any, plan: Plan, report: Any) -> Any:
        time_s = 3e-3 if program.name.startswith("prefill") else 1e-3
        return analyses.latency(time_s), (throughput(program.batch, 1000.0),)

    monkeypatch.setattr("edgegraph.studies.sweep.point.measure_point", measure)
    (found,) = eg.serve(prefill(), decode(), contexts=[16], batches=[4]).points
    assert (found.time_source, found.verdict) == ("measured", "OK")
    assert (found.first_token_s, found.output_token_s, found.tokens_per_s) == (3e-3, 1e-3, 4000)


def test_a_size_that_fails_is_a_row() -> None:
    made = eg.serve(
        prefill(most=16), decode(), contexts=[16, 32], batches=[1], target="device:rpi5"
    )
    good, bad = made.points
    assert good.error is None
    assert bad.error is not None
    assert "prefill: the arguments cannot be made: ValueError: no more than 16" in bad.error
    assert (bad.output_token_s, bad.time_source) == (None, None)


def scalar(batch: int) -> Any:
    return (struct(batch),)


def long(batch: int, length: int = 2) -> Any:
    return (struct(batch, length),)


def deep(batch: int, depth: int = 2) -> Any:
    return (struct(batch, depth),)


def both(batch: int, length: int = 2, depth: int = 2) -> Any:
    return (struct(batch, length, depth),)


@pytest.mark.parametrize(
    ("first", "second", "more", "message"),
    [
        (long, deep, {}, "which axis is the context is not clear: of has length; of has depth"),
        (both, both, {}, "name one of those that both have"),
        (long, scalar, {"axis": "length"}, "'length' is no axis of both workloads"),
        (long, long, {"max_output_token_s": 0.0}, "max_output_token_s must be positive, not 0.0"),
        (long, long, {"contexts": []}, "no length was given"),
    ],
)
def test_bad_input_is_refused(first: Any, second: Any, more: Any, message: str) -> None:
    one, other = (
        eg.Workload.from_function(lambda x: x, maker, name="of") for maker in (first, second)
    )
    with pytest.raises(InputError, match=message):
        eg.serve(one, other, **more)


@needs("tpu:v5e")
def test_decoding_on_a_tpu_turns_compute_bound_where_arithmetic_by_hand_says() -> None:
    """One block and the output layer, in bfloat16, with a short context: a long one never does."""
    width, vocabulary, context = 1024, 1024, 4
    step = transformer_decode(
        width=width, depth=1, heads=8, vocabulary=vocabulary, context=context, dtype="bfloat16"
    )
    vary = {"batch": [64, 256], "length": [context]}
    points = eg.sweep(InPlace(step, "length"), target="tpu:v5e", vary=vary).points
    found = find_turn(context, [(p.batch, p.compute_time_s, p.memory_time_s) for p in points])
    weights, cached = 12 * width**2 + vocabulary * width, 2 * context * width
    # For each sequence every weight and every number in the cache is multiplied and added once. In
    # two bytes each, weights are read once for all sequences; the cache of each is read, and
    # written back, since one as small as this is on the chip while a token is written into it.
    tpu = find_device("tpu:v5e")
    flops_per_s, bytes_per_s = tpu.peak_flops_per_s["bf16"], tpu.memory[-1].bandwidth_bytes_per_s
    added_s = 2 * (weights + cached) / flops_per_s - 2 * 2 * cached / bytes_per_s
    by_hand = 2 * weights / bytes_per_s / added_s
    assert by_hand == pytest.approx(337.5, abs=0.5)
    assert found is not None
    assert found.batch == pytest.approx(by_hand, rel=0.10)
    assert [point.bound for point in points] == ["memory", "memory"]
