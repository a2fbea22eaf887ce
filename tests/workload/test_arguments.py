"""Arguments from text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.errors import InputError
from edgegraph.workload.spec import convert_arguments
from tests.refusals import mentions


def network(
    width: int,
    scale: float = 1.0,
    name: str = "x",
    bias: bool = True,
    sizes: tuple[int, ...] = (),
    pair: tuple[int, float] = (1, 2.0),
    many: Sequence[str] = (),
    listed: list[int] | None = None,
    flavor: Literal["nnx", "linen"] = "nnx",
    depth: Literal[18, 50] = 18,
    rate: float | None = None,
    either: int | str = 0,
    free: Any = None,
) -> None: ...


def by_default(width=3, scale=1.0, name="x", bias=True, sizes=(1,), free=None) -> None:  # type: ignore[no-untyped-def]
    """Has no annotations."""


def anything(**settings: Any) -> None: ...


def convert(function: Callable[..., Any], **given: Any) -> dict[str, Any]:
    parameters = dict(inspect.signature(function).parameters)
    return convert_arguments("zoo:network", function, parameters, given)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("width", "64", 64),
        ("width", 64, 64),
        ("width", "-3", -3),
        ("scale", "1e-3", 0.001),
        ("scale", "2", 2.0),
        ("scale", 2, 2.0),
        ("name", "64", "64"),
        ("name", 64, "64"),
        ("bias", "false", False),
        ("bias", "True", True),
        ("bias", "no", False),
        ("bias", 1, True),
        ("bias", False, False),
        ("sizes", "64,128", (64, 128)),
        ("sizes", "(64, 128,)", (64, 128)),
        ("sizes", "64", (64,)),
        ("sizes", 64, (64,)),
        ("sizes", [64, 128], (64, 128)),
        ("sizes", "()", ()),
        ("pair", "3,0.5", (3, 0.5)),
        ("many", "a,b", ("a", "b")),
        ("listed", "1,2", [1, 2]),
        ("listed", "none", None),
        ("flavor", "linen", "linen"),
        ("depth", "50", 50),
        ("rate", "0.5", 0.5),
        ("rate", "None", None),
        ("either", "7", 7),
        ("either", "seven", "seven"),
        ("free", "[1, 2]", [1, 2]),
        ("free", "text", "text"),
    ],
)
def test_annotations_decide(name: str, value: Any, expected: Any) -> None:
    (found,) = convert(network, **{name: value}).values()
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("width", "64", 64),
        ("scale", "2", 2.0),
        ("name", "64", "64"),
        ("bias", "no", False),
        ("sizes", "64,128", (64, 128)),
        ("free", "64", 64),
    ],
)
def test_defaults_decide_without_annotations(name: str, value: Any, expected: Any) -> None:
    (found,) = convert(by_default, **{name: value}).values()
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("width", "wide", "width=wide does not suit zoo:network; expected an integer"),
        ("width", "1.5", "expected an integer"),
        ("width", 1.5, "expected an integer"),
        ("width", True, "expected an integer"),
        ("scale", "big", "expected a number"),
        ("bias", "maybe", "expected true or false"),
        ("sizes", "1,x", "expected a list such as 64,128"),
        ("pair", "1", "expected a list"),
        ("pair", "1,2,3", "expected a list"),
        ("flavor", "torch", "expected nnx or linen"),
        ("depth", "51", "expected 18 or 50"),
        ("rate", "fast", "expected a number or none"),
    ],
)
def test_what_does_not_suit_is_refused(name: str, value: Any, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        convert(network, **{name: value})
    assert str(caught.value).startswith(f"{name}={value} does not suit")
    assert expected in str(caught.value)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match=r"takes no 'widht'; did you mean width\?"):
        convert(network, widht=1)
    with pytest.raises(InputError, match=r"takes no 'colour'; it takes width, scale, name, "):
        convert(network, colour=1)
    with pytest.raises(InputError, match=r"takes no 'colour'; it takes no arguments"):
        convert(lambda: None, colour=1)


def test_a_function_that_takes_anything() -> None:
    assert convert(anything, colour="red") == {"colour": "red"}


@given(st.integers() | st.floats(allow_nan=False) | st.booleans() | st.lists(st.integers()))
def test_values_survive_their_text(value: Any) -> None:
    def function(x: Any) -> None: ...

    function.__annotations__["x"] = list[int] if isinstance(value, list) else type(value)
    assert convert(function, x=str(value)) == {"x": value}


@given(st.text())
def test_text_is_converted_or_refused(text: str) -> None:
    for name in inspect.signature(network).parameters:
        try:
            convert(network, **{name: text})
        except InputError as error:
            mentions(error, name)
