"""What a serving study says of its points, which are written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegraph.results.files import load
from tests.studies.servings import point, serving


def test_tokens_per_second_are_those_of_all_sequences() -> None:
    assert point(4, 128).tokens_per_s == pytest.approx(4 / 14e-3)
    assert point(4, 128, output_token_s=None).tokens_per_s is None


def test_decoding_turns_where_both_times_are_equal() -> None:
    first, second = serving().turns
    # 0.1 b = 1 + 0.01 b in ms, so b = 1 / 0.09; with 16 times the cache it never does.
    assert first.batch == pytest.approx(11.1, abs=0.02)
    assert (second.batch, second.bound) == (None, "memory")
    said = serving().conclusions
    assert said[0].startswith("decode at length 128: memory-bound up to batch 11, compute-bound")
    assert said[1].startswith("decode at length 2,048: memory-bound at any batch")


def test_a_budget_is_kept_by_the_p90_of_a_token() -> None:
    choices = serving(max_output_token_s=15.5e-3).choices
    assert [choice.batch for choice in choices] == [4, 4]  # 11 + 4 ms
    assert serving(max_output_token_s=14.5e-3).choices[0].batch == 1
    assert choices[0].reason == (
        "batch 4: 286 tokens/s, first token 51.2 ms, each further one 14 ms, measured"
    )
    assert serving().choices == ()


def test_a_budget_for_the_first_token_counts_too() -> None:
    made = serving(max_output_token_s=1.0, max_first_token_s=0.1)
    assert [choice.batch for choice in made.choices] == [4, None]
    assert made.choices[1].reason == (
        "no batch keeps it; batch 1 has its first token after 205 ms, each further one after 11 ms"
    )


def test_noise_and_too_little_memory_choose_nothing() -> None:
    noisy = serving(point(1, 128, verdict="NOISY"), max_output_token_s=1.0)
    assert noisy.choices[0].reason == "not said, since what was measured at batch 1 is NOISY"
    large = serving(point(1, 128), point(4, 128, fits=False), max_output_token_s=1.0)
    assert large.choices[0].batch == 1


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    made = serving(max_output_token_s=1.0)
    loaded = load(made.save(tmp_path / "serving.edgegraph"))
    assert loaded == made
    assert list(made.frame.columns[:6]) == [
        "batch", "context", "first_token_s", "output_token_s", "tokens_per_s", "time_source",
    ]  # fmt: skip
    assert made.run_notes().metrics["output_token_s (batch 4, length 128)"] == 14e-3
