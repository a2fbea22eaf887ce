"""Programs for targets that are not here, compiled in the environment of a version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import edgegraph as eg
from edgegraph.hlo.decode import decode
from edgegraph.studies.regress import ahead
from edgegraph.studies.regress.ahead import compile_there


def test_a_function_is_compiled_for_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text("def net(x):\n    return x @ x\n")
    seen = {}
    real: Any = eg.compile

    def here(*given: object, target: str, **more: object) -> object:
        seen["target"] = target
        made: object = real(*given, **more)
        return made

    monkeypatch.setattr(ahead, "compile", here)
    answer = compile_there(
        None,
        {
            "spec": f"{tmp_path}/net.py:net", "args": {"x": ("array", ((8, 8), "float32"))},
            "batch": 1, "options": {}, "choices": {}, "target": "tpu:v5e",
            "hlo": str(tmp_path / "out.pb"),
        },
    )  # fmt: skip
    assert seen["target"] == "tpu:v5e"
    assert (answer["title"], answer["batched"]) == ("net", False)
    assert answer["memory"]["argument_bytes"] == 8 * 8 * 4
    module = decode((tmp_path / "out.pb").read_bytes())
    assert module.computations[module.entry].instructions
