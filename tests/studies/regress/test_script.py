"""Parts of a program become Python that computes the same, as jax itself says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from edgegraph.studies.regress.cuts import candidates, cut_scripts
from edgegraph.studies.regress.script import (
    MOST_LINES,
    Script,
    function_of,
    lines_of,
    whole_text,
    write_script,
)

X = jnp.linspace(-2.0, 2.0, 6 * 8, dtype="float32").reshape(6, 8)
IMAGE = jnp.linspace(0.0, 1.0, 2 * 8 * 8 * 3, dtype="float32").reshape(2, 8, 8, 3)
KERNEL = jnp.linspace(-1.0, 1.0, 3 * 3 * 3 * 4, dtype="float32").reshape(3, 3, 3, 4)


def convolution(x: jax.Array, w: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(
        x, w, (2, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "product": (lambda x: jnp.tanh(x @ x.T), (X,)),
    "product of bf16": (lambda x: x.astype("bfloat16") @ x.T.astype("bfloat16"), (X,)),
    "sums": (lambda x: (x.sum(0), x.max(1), jnp.prod(x, axis=1), jnp.cumsum(x, axis=1)), (X,)),
    "convolution": (convolution, (IMAGE, KERNEL)),
    "gather": (lambda x: x[jnp.array([0, 3, 1])], (X,)),
    "scatter": (lambda x: x.at[jnp.array([1, 2])].add(1.0), (X,)),
    "sort": (lambda x: jnp.sort(x[:, ::-1], axis=1), (X,)),
    "select": (lambda x: jnp.where(x > 0.5, x, jnp.exp(x) - 1), (X,)),
    "pieces": (lambda x: jnp.concatenate([x[:, 2:5], jnp.pad(x, ((0, 0), (1, 2)))], 1), (X,)),
    "powers": (lambda x: x**3 + lax.rsqrt(jnp.abs(x) + 1) + jax.nn.gelu(x), (X,)),
    "counting": (lambda x: x + jnp.arange(8, dtype="float32"), (X,)),
}


def script_of(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Script | None:
    from edgegraph.measure.regions import find_regions

    root = find_regions(jax.make_jaxpr(function)(*arguments)).root.jaxpr
    return write_script(root.eqns, root.invars, root.outvars)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_script_computes_what_the_program_does(name: str) -> None:
    function, arguments = PROGRAMS[name]
    constants = jax.tree.leaves(_constants(function, arguments))
    script = script_of(function, arguments)
    assert script is not None
    wanted = jax.tree.leaves(function(*arguments))
    found = jax.tree.leaves(function_of(script)(*constants, *arguments))
    for one, other in zip(wanted, found, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(
            np.asarray(one, dtype="float32"), np.asarray(other, dtype="float32"), rtol=1e-5
        )


def _constants(function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Any]:
    from edgegraph.measure.regions import find_regions

    return list(find_regions(jax.make_jaxpr(function)(*arguments)).constants.values())


def test_a_script_runs_alone_and_says_how_long_it_takes(tmp_path: Path) -> None:
    script = script_of(lambda x: x @ x.T, (X,))
    assert script is not None
    text = whole_text(f=script)
    assert lines_of(text) <= MOST_LINES
    (tmp_path / "case.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "case.py"], capture_output=True, text=True, cwd=tmp_path,
        env={"JAX_PLATFORMS": "cpu", "PATH": ""},
    )  # fmt: skip
    version, name, number, unit = done.stdout.split()
    assert (version, name, unit) == (jax.__version__, "f", "us")
    assert float(number) > 0


def test_what_cannot_be_written_is_refused() -> None:
    assert script_of(lambda x: lax.scan(lambda c, _: (c * 2, None), x, None, 3)[0], (X,)) is None


def net(x: jax.Array, w: jax.Array) -> jax.Array:
    with jax.named_scope("first"):
        x = jnp.tanh(x @ w)
    with jax.named_scope("second"):
        return jnp.sort(x, axis=1)


def test_cuts_are_single_operations_first_and_those_that_changed_before_others() -> None:
    jaxpr = jax.make_jaxpr(net)(X, jnp.ones((8, 8)))
    found = list(candidates(jaxpr, [], "sort f32[6,8]"))
    assert found[0].what == "sort"
    assert found[0].layer == "second"
    assert [each.whole for each in found] == sorted(each.whole for each in found)
    layers = {each.layer: each.what for each in found if each.whole}
    assert layers == {"first": "dot_general, tanh", "second": "sort"}
    only = list(candidates(jaxpr, ["first"], ""))
    assert {each.layer for each in only} == {"first"}


def test_cuts_are_json() -> None:
    import json

    found = cut_scripts(jax.make_jaxpr(net)(X, jnp.ones((8, 8))), [], "")
    assert json.loads(json.dumps(found))[0]["script"]["operations"] == ["dot_general"]
