from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import edgegraph as eg
from edgegraph.errors import FormatError, InputError
from edgegraph.rewrites.decisions import (
    load_decisions,
    prepared_workload,
    rewritten_workload,
    save_decisions,
)
from models.cnn import small_cnn
from tests.rewrites.plain import applying
from tests.rewrites.test_rewriter import RULE, X, conv


def test_saved_decisions_are_applied(tmp_path: Path) -> None:
    decisions = dict.fromkeys(applying(conv, X)[RULE], RULE)
    path = save_decisions(decisions, tmp_path / "fast.rewrites")
    assert load_decisions(path) == (decisions, {}, ())

    @eg.rewrite(path)
    def decorated(x: jnp.ndarray) -> jnp.ndarray:
        return conv(x)

    for fast in (eg.rewrite(conv, path), eg.rewrite(conv, decisions), decorated):
        np.testing.assert_allclose(fast(X), conv(X), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a file of decisions"),
        ("[]", "is not a file of decisions"),
        ('{"a": ' + "[" * 5000, "is not a file of decisions"),
        ('{"format": "edgegraph rewrites", "version": 1}', "missing required field"),
        ('{"format": "edgegraph rewrites", "version": 9, "decisions": {}}', "version 9"),
        ('{"format": "other", "version": 1, "decisions": {}}', "is 'other'"),
    ],
)
def test_other_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "fast.rewrites"
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
        load_decisions(path)


def test_an_unknown_rule_and_a_missing_file_are_named(tmp_path: Path) -> None:
    path = save_decisions({"sin(float32[])[]": "no-such"}, tmp_path / "fast.rewrites")
    with pytest.raises(InputError, match="'no-such', which is not registered"):
        load_decisions(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_decisions(tmp_path / "missing.rewrites")


def test_compiler_options_go_with_decisions(tmp_path: Path) -> None:
    options: dict[str, str | int | float | bool] = {"xla_cpu_multi_thread_eigen": False, "o": "x"}
    path = save_decisions({}, tmp_path / "fast.rewrites", options)
    assert load_decisions(path) == ({}, options, ())
    assert eg.rewrite(jnp.tanh, path).compiler_options == options  # type: ignore[attr-defined]
    assert eg.rewrite(path)(jnp.tanh).compiler_options == options  # type: ignore[attr-defined]


def test_version_1_is_read(tmp_path: Path) -> None:
    path = tmp_path / "fast.rewrites"
    path.write_text('{"format": "edgegraph rewrites", "version": 1, "decisions": {}}')
    assert load_decisions(path) == ({}, {}, ())


def test_donation_goes_with_decisions(tmp_path: Path) -> None:
    path = save_decisions({}, tmp_path / "fast.rewrites", donate_argnums=(1, 0))
    assert load_decisions(path) == ({}, {}, (1, 0))
    assert eg.rewrite(jnp.add, path).donate_argnums == (1, 0)  # type: ignore[attr-defined]


def test_a_rewritten_workload_donates_what_the_plain_one_does_and_more() -> None:
    plain = eg.Workload.from_function(jnp.add, lambda _: (X, X), donate=(1,))
    assert rewritten_workload(plain, {}).call(1).donate == (1,)
    assert rewritten_workload(plain, {}, donate=(0,)).call(1).donate == (1, 0)


@pytest.mark.filterwarnings("ignore:.*donated")
def test_a_model_runs_on_prepared_weights() -> None:
    workload = small_cnn()
    prepared = prepared_workload(workload, {})
    plain, other = (each.call(2) for each in (workload, prepared))
    np.testing.assert_allclose(
        jax.jit(other.function)(*other.concrete()),
        jax.jit(plain.function)(*plain.concrete()),
        rtol=1e-4,
    )
    one, two = (eg.analyze(each, batch=2, stage="lowered") for each in (workload, prepared))
    assert one.totals.macs == two.totals.macs
