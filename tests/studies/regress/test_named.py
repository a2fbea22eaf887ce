"""Names by which other versions import what was handed over."""

from __future__ import annotations

from typing import Any, cast

import jax
import pytest

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.studies.regress.named import spec_of
from models.cnn import small_cnn


@jax.jit
def jitted(x: jax.Array) -> jax.Array:
    return x + 1


def test_a_function_at_the_top_of_a_module_has_one() -> None:
    assert spec_of("a.b:c") == "a.b:c"
    assert spec_of(small_cnn) == "models.cnn:small_cnn"
    assert spec_of(jitted) == f"{__name__}:jitted"


def test_what_no_other_process_could_import_is_refused() -> None:
    def within(x: jax.Array) -> jax.Array:
        return x

    for given in (within, lambda x: x, small_cnn(), 3):
        with pytest.raises(InputError, match="no name that another version of jax could import"):
            spec_of(given)
    with pytest.raises(InputError, match="Workload has no name"):
        eg.regress(cast(Any, small_cnn()), jax="0.10.0,0.10.2")


def test_what_was_typed_into_a_session_stands_in_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    module = ModuleType("session")
    exec("def net(x):\n    return x\n", module.__dict__)
    monkeypatch.setitem(sys.modules, "session", module)
    with pytest.raises(InputError, match=r"net stands in no file; .* give '\./file\.py:net'"):
        spec_of(module.net)
