from __future__ import annotations

import sys
from pathlib import Path

import jax
import pytest

import edgegraph as eg
from edgegraph.doors.code import is_code
from edgegraph.doors.registry import Given
from edgegraph.errors import FormatError, InputError


def test_a_name_with_a_colon_is_code_unless_it_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_code(Given("models.cnn:small_cnn"))
    (tmp_path / "a:b").write_text("x")
    assert not is_code(Given("a:b"))
    assert not is_code(Given("HloModule m, x={a:b}"))


def test_it_becomes_its_workload() -> None:
    workload = eg.open("models.cnn:small_cnn", arguments={"flavor": "linen"})
    assert workload.name == "small_cnn"


WORKLOAD = eg.Workload.from_function(abs, lambda batch: (1,))

FUNCTIONS = """
import functools, jax
def plain(x, n):
    for _ in range(n):
        x = x * x
    return x
@functools.partial(jax.jit, donate_argnums=0, static_argnames="n")
def step(p, g, n: int):
    return p - 0.1 * n * g
lowered = jax.jit(plain, static_argnames="n").lower(jax.ShapeDtypeStruct((8,), "float32"), 2)
"""


def test_functions_are_code_with_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = tmp_path / "functions-of-tests.py"
    path.write_text(FUNCTIONS)
    x = jax.ShapeDtypeStruct((256, 256), "float32")
    plain = eg.analyze(
        eg.open(f"{path}:plain", args={"x": x, "n": 3}), stage="lowered"
    )  # fmt: skip
    assert plain.totals["flops"] == 3 * 256 * 256
    for arguments in ({"args": {"p": x, "g": x, "n": 2}}, {"args": (x, x), "kwargs": {"n": 2}}):
        memory = eg.compile(eg.open(f"{path}:step", **arguments)).memory
        assert memory is not None
        assert memory.alias_bytes == 262_144
    assert eg.open(f"{path}:lowered").name == "plain"
    with pytest.raises(InputError, match=r"type: edgegraph analyze .* --arg p=f32\[8,128\] --arg"):
        eg.open(f"{path}:step")
    with pytest.raises(InputError, match="is analysed itself; it does not take dtype"):
        eg.open(f"{path}:step", args=(x, x, 2), dtype="float32")
    with pytest.raises(InputError, match="which takes no --arg; leave it out"):
        eg.open("tests.doors.test_code:WORKLOAD", args={"x": x})
    with pytest.raises(FormatError, match="this is Python; name what to analyse, such as"):
        eg.open(path)
