"""Arguments of functions as the command line gives them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from edgegraph.errors import InputError
from edgegraph.workload.arguments import bind_arguments, command, read_arguments
from edgegraph.workload.functions import Constant


def fn(x: Any, n: int, *, scale: float = 1.0) -> Any: ...


@pytest.mark.parametrize(
    ("text", "shape", "dtype"),
    [
        ("f32[8,784]", (8, 784), "float32"), ("bf16[8]", (8,), "bfloat16"),
        ("s8[2x3]", (2, 3), "int8"), ("i32[]", (), "int32"), ("u8[ 4 , 2 ]", (4, 2), "uint8"),
        ("pred[3]", (3,), "bool"), ("c64[3]", (3,), "complex64"), ("float16[1]", (1,), "float16"),
        ("f8e4m3fn[3]", (3,), "float8_e4m3fn"),
    ],
)  # fmt: skip
def test_arrays(text: str, shape: tuple[int, ...], dtype: str) -> None:
    assert read_arguments([f"x={text}"]) == {"x": jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))}


def test_values_and_trees() -> None:
    read = read_arguments(
        ["n=3", "p.dense.bias=f32[2]", "p.layers.1=f32[1]", "p.layers.0=2.5", "t=(1, 2)",
         "word=relu", "yes=true", "no=None"]
    )  # fmt: skip
    assert read == {
        "n": 3,
        "p": {
            "dense": {"bias": jax.ShapeDtypeStruct((2,), "float32")},
            "layers": [2.5, jax.ShapeDtypeStruct((1,), "float32")],
        },
        "t": (1, 2), "word": "relu", "yes": True, "no": None,
    }  # fmt: skip


def test_they_are_bound_to_the_parameters() -> None:
    given = read_arguments(["n=3", "x=f32[8]", "scale=0.5"])
    assert bind_arguments("m:fn", fn, given, constants=False) == (
        (given["x"], 3), {"scale": 0.5},
    )  # fmt: skip
    assert bind_arguments("m:fn", fn, given, constants=True) == (
        (given["x"], Constant(3)), {"scale": Constant(0.5)},
    )  # fmt: skip
    by_position = read_arguments(["0=f32[8]", "1=3"])
    assert bind_arguments("m:fn", fn, by_position, constants=False)[0] == (given["x"], 3)


def test_the_command_that_is_missing() -> None:
    with pytest.raises(InputError) as caught:
        bind_arguments("m:fn", fn, read_arguments(["x.a.0=f32[8,784]"]), constants=True)
    assert str(caught.value) == (
        "m:fn needs n; type: edgegraph analyze m:fn --arg x.a.0=float32[8,784] --arg n=3"
    )
    assert command("m:fn", fn, {}) == "edgegraph analyze m:fn --arg x=f32[8,128] --arg n=3"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["x"], "--arg 'x' is not NAME=VALUE, such as x=f32"),
        (["x..y=3"], "is not NAME=VALUE"),
        (["x=3", "x=4"], "--arg gives 'x' twice"),
        (["x=3", "x.y=4"], "leads into 'x', which is a value already"),
        (["x=f33[3]"], "dtype 'float33' is not a dtype of JAX"),
        (["scole=3"], "m:fn takes no 'scole'; did you mean scale?"),
        (["zzz=3"], "m:fn takes no 'zzz'; it takes x, n, scale"),
    ],
)
def test_wrong_ones(pairs: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        bind_arguments("m:fn", fn, read_arguments(pairs), constants=True)
    assert message in str(caught.value)


def test_a_path_has_its_length() -> None:
    assert read_arguments([f"{'a.' * 99}a=1"])
    with pytest.raises(InputError, match="leads through 101 names; expected at most 100"):
        read_arguments([f"{'a.' * 100}a=1"])
