from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import pytest

import edgegraph as eg
from edgegraph.base.signatures import name_keywords


def test_keywords_are_named_and_still_taken() -> None:
    extra = inspect.Parameter("depth", inspect.Parameter.KEYWORD_ONLY, default=3, annotation="int")

    @name_keywords([extra])
    def count(x: int, **more: int) -> int:
        return x + sum(more.values())

    assert str(inspect.signature(count)) == "(x: 'int', *, depth: 'int' = 3) -> 'int'"
    assert count(1, depth=2) == 3


def test_no_public_function_hides_its_parameters() -> None:
    public = [getattr(eg, name) for name in eg.__all__]
    hiding = {
        function.__name__
        for function in filter(inspect.isfunction, public)
        for each in inspect.signature(function).parameters.values()
        if each.kind == each.VAR_KEYWORD
    }
    # What they take depends on the metrics, and on the doors; their messages list it.
    assert hiding == {"check", "open"}


def test_the_keywords_of_a_measurement_are_those_of_analyze() -> None:
    shown = inspect.signature(eg.analyze).parameters
    for field in fields(eg.Measurement):
        if field.name != "latency":
            assert shown[field.name].default == field.default
    assert "latency" not in shown


@pytest.mark.parametrize("function", [eg.sweep, eg.sweep_all])
def test_what_every_sweep_takes_is_shown_with_its_defaults(function: Any) -> None:
    shown = inspect.signature(function).parameters
    assert shown["batches"].default is None  # powers of two, where no other axis is swept
    assert shown["queue_depths"].default == (1, 4, 16)
    assert shown["measure"].default is None
    assert shown["option_sets"].annotation == "Mapping[str, Options] | None"
    assert [each.name for each in shown.values()][-5:] == [
        "settings", "device", "measure", "compile_limit_s", "vary"
    ]  # fmt: skip
