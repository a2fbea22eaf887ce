"""SPEC: from a name, and arguments as text, to a Workload."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.errors import InputError
from edgegraph.workload.spec import convert_arguments, resolve_spec
from tests.refusals import mentions

ZOO = """
from __future__ import annotations
from typing import Literal
import jax
from flax import linen, nnx
import edgegraph as eg

def network(width: int = 3, flavor: Literal["nnx", "linen"] = "nnx", dtype: str = "float32"):
    return eg.Workload.from_flax(linen.Dense(width), (4,), dtype, name=f"{flavor}_{width}")

def shaped(input_shape=(4,)):
    return eg.Workload.from_flax(linen.Dense(3), input_shape, name="shaped")

def plain(x: int):
    return workload

workload = network()
linen_module = linen.Dense(3)
nnx_module = nnx.Linear(4, 3, rngs=nnx.Rngs(0))

class LinenNet(linen.Module):
    width: int = 2
    @linen.compact
    def __call__(self, x):
        return linen.Dense(self.width)(x)

    def twice(self, x):
        return 2 * x

class NnxNet(nnx.Module):
    def __init__(self, width: int = 2, dtype: str = "float32", *, rngs):
        self.dense = nnx.Linear(4, width, param_dtype=dtype, rngs=rngs)
    def __call__(self, x):
        return self.dense(x)

def make_nnx(rngs, width: int = 2):
    return NnxNet(width, rngs=rngs)

def make_linen(width: int):
    return linen.Dense(width)

class holder:
    inner = workload

def broken():
    raise RuntimeError("no luck\\nat all")

def number():
    return 42

table = {}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with modules, which is not on the path yet."""
    (tmp_path / "zoo_of_tests.py").write_text(ZOO)
    (tmp_path / "package_of_tests").mkdir()
    (tmp_path / "package_of_tests" / "__init__.py").write_text("")
    (tmp_path / "package_of_tests" / "nets.py").write_text("from zoo_of_tests import workload")
    (tmp_path / "imports_nothing.py").write_text("import no_such_module_at_all")
    (tmp_path / "no_python.py").write_text("x = (")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    for name in ("zoo_of_tests", "package_of_tests", "package_of_tests.nets"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def output_shape(spec: str, **settings: Any) -> tuple[int, ...]:
    call = resolve_spec(f"zoo_of_tests:{spec}", **settings).call(2)
    shape: tuple[int, ...] = jax.eval_shape(call.function, *call.abstract).shape
    return shape


def test_a_function() -> None:
    assert resolve_spec("zoo_of_tests:network").name == "nnx_3"
    given = {"width": "5", "flavor": "linen"}
    assert resolve_spec("zoo_of_tests:network", arguments=given).name == "linen_5"
    assert output_shape("network", arguments=given) == (2, 5)


def test_dtype_goes_to_a_function_that_takes_it() -> None:
    workload = resolve_spec("zoo_of_tests:network", dtype="bfloat16")
    assert workload.call(1).abstract[2].dtype == "bfloat16"


def test_input_shape_goes_to_a_function_that_takes_it() -> None:
    workload = resolve_spec("zoo_of_tests:shaped", input_shape=(9,))
    assert workload.call(1).abstract[2].shape == (1, 9)


def test_a_workload() -> None:
    assert resolve_spec("zoo_of_tests:workload").name == "nnx_3"
    assert resolve_spec("zoo_of_tests:holder.inner").name == "nnx_3"
    assert resolve_spec("package_of_tests.nets:workload").name == "nnx_3"


@pytest.mark.parametrize(
    ("spec", "arguments", "width"),
    [
        ("linen_module", {}, 3),
        ("nnx_module", {}, 3),
        ("LinenNet", {}, 2),
        ("LinenNet", {"width": "7"}, 7),
        ("NnxNet", {}, 2),
        ("NnxNet", {"width": "7"}, 7),
        ("make_nnx", {"width": 7}, 7),
        ("make_linen", {"width": 7}, 7),
    ],
)
def test_flax_modules(spec: str, arguments: dict[str, Any], width: int) -> None:
    assert output_shape(spec, input_shape=(4,), arguments=arguments) == (2, width)
    named = resolve_spec(f"zoo_of_tests:{spec}", input_shape=(4,), arguments=arguments)
    assert named.name == spec


def test_dtype_goes_to_a_class_that_takes_it_and_to_its_input() -> None:
    workload = resolve_spec("zoo_of_tests:NnxNet", input_shape=(4,), dtype="bfloat16")
    params, _, inputs = workload.call(1).abstract
    assert params["dense"]["kernel"].dtype == "bfloat16"
    assert inputs.dtype == "bfloat16"


def test_the_current_directory_comes_first(tmp_path: Path) -> None:
    resolve_spec("zoo_of_tests:workload")
    assert sys.path[0] == str(tmp_path)


@pytest.mark.parametrize(
    ("spec", "settings", "message"),
    [
        ("zoo_of_tests", {}, "SPEC 'zoo_of_tests' is not package.module:attribute"),
        ("zoo_of_tests:", {}, "is not package.module:attribute"),
        (":workload", {}, "is not package.module:attribute"),
        ("..zoo_of_tests:network", {}, "is not package.module:attribute"),
        ("a b:c", {}, "is not package.module:attribute"),
        ("zoo_of_test:network", {}, "there is no module 'zoo_of_test' in "),
        ("zoo_of_test:network", {}, "; did you mean zoo_of_tests?"),
        ("package_of_tests.net:x", {}, "did you mean package_of_tests.nets?"),
        ("no_such_package.nets:x", {}, "there is no module 'no_such_package' in "),
        ("zoo_of_tests.more:x", {}, "there is no module 'zoo_of_tests.more' in "),
        ("imports_nothing:x", {}, "importing imports_nothing failed: ModuleNotFoundError: No"
                                  " module named 'no_such_module_at_all'"),
        ("no_python:x", {}, "importing no_python failed: SyntaxError: "),
        ("zoo_of_tests:netwrok", {}, "has no attribute 'netwrok'; did you mean network?"),
        ("zoo_of_tests:holder.iner", {}, "zoo_of_tests:holder has no attribute 'iner'"),
        ("zoo_of_tests:table", {}, "is a value of type dict; expected a function returning a"),
        ("zoo_of_tests:holder", {}, "is the class holder; expected a function returning a"),
        ("zoo_of_tests:number", {}, "returned a value of type int; expected a function"),
        ("zoo_of_tests:broken", {}, "zoo_of_tests:broken failed: RuntimeError: no luck"),
        ("zoo_of_tests:plain", {}, "zoo_of_tests:plain needs x; give each, such as --set x="),
        ("zoo_of_tests:plain", {"arguments": {"x": "y"}}, "x=y does not suit zoo_of_tests:plain"),
        ("zoo_of_tests:network", {"arguments": {"widht": 1}}, "did you mean width?"),
        ("zoo_of_tests:plain", {"arguments": {"x": 1}, "dtype": "int8"}, "has no parameter dtype"),
        ("zoo_of_tests:network", {"input_shape": (4,)}, "has no parameter input_shape"),
        ("zoo_of_tests:network", {"dtype": "int8", "arguments": {"dtype": "int8"}}, "given twice"),
        ("zoo_of_tests:network", {"dtype": "float33"}, "dtype 'float33' is not a dtype"),
        ("zoo_of_tests:workload", {"dtype": "int8"}, "is a Workload already; it does not take"),
        ("zoo_of_tests:workload", {"input_shape": (4,)}, "is a Workload already"),
        ("zoo_of_tests:workload", {"method": "encode"}, "it does not take method"),
        ("zoo_of_tests:network", {"method": "encode"}, "has no parameter method"),
        ("zoo_of_tests:linen_module", {}, "whose input is unknown; give its shape without batch"),
        ("zoo_of_tests:NnxNet", {}, "whose input is unknown"),
        ("zoo_of_tests:make_nnx", {}, "whose input is unknown"),
        ("zoo_of_tests:make_linen", {"arguments": {"width": 1}}, "whose input is unknown"),
        ("zoo_of_tests:linen_module", {"input_shape": (4,), "arguments": {"features": 3}},
         "is an instance already; it does not take features"),
        ("zoo_of_tests:NnxNet", {"input_shape": (4,), "arguments": {"rng": 3}}, "takes no 'rng'"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(spec: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve_spec(spec, **settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_method_of_a_module() -> None:
    found = resolve_spec("zoo_of_tests:LinenNet", input_shape=(4,), method="twice")
    call = found.call(3)
    assert jax.eval_shape(call.function, *call.abstract).shape == (3, 4)


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


@pytest.mark.parametrize("shape", [(4,), [4], [(4,)]])
def test_a_shape_may_be_a_list_of_sizes(shape: Any) -> None:
    workload = resolve_spec("zoo_of_tests:linen_module", input_shape=shape)
    assert workload.call(2).abstract[-1].shape == (2, 4)
