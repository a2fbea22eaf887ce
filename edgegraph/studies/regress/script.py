"""A traced function written as Python that stands alone, for an issue of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

MOST_LINES = 30

_HEAD = """import time

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
"""
_TAIL = """
if __name__ == "__main__":
    random = np.random.default_rng(0)
    shapes = {shapes}
    args = [jnp.asarray(random.standard_normal(shape), dtype) for dtype, shape in shapes]
    for function in {functions}:
        jitted, times = jax.jit(function), []
        for _ in range(200):
            start = time.perf_counter()
            jax.block_until_ready(jitted(*args))
            times.append(time.perf_counter() - start)
        print(jax.__version__, function.__name__, f"{{sorted(times)[20] * 1e6:.1f}} us")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A function as Python.

    Attributes:
        body: Its lines.
        arguments: Name, dtype and shape of each.
        operations: Names of the primitives, each once.
    """

    body: tuple[str, ...]
    arguments: tuple[tuple[str, str, tuple[int, ...]], ...]
    operations: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The arguments as EdgeGraph's ``--arg`` takes them."""
        return tuple(
            f"{name}={dtype}[{','.join(map(str, shape))}]" for name, dtype, shape in self.arguments
        )

    @property
    def structs(self) -> list[jax.ShapeDtypeStruct]:
        """The arguments without values."""
        return [jax.ShapeDtypeStruct(shape, dtype) for _, dtype, shape in self.arguments]


def whole_text(**functions: Script) -> str:
    """Return a script with functions of these names, which take the same; run, it times them."""
    (first, *_) = functions.values()
    shapes = [(dtype, shape) for _, dtype, shape in first.arguments]
    defined = [
        f"\n\ndef {name}({', '.join(each for each, *_ in script.arguments)}):\n"
        + "".join(f"    {line}\n" for line in script.body)
        for name, script in functions.items()
    ]
    listed = f"({', '.join(functions)},)"
    return _HEAD + "".join(defined) + "\n" + _TAIL.format(shapes=shapes, functions=listed)


def lines_of(text: str) -> int:
    """Return how many lines hold something."""
    return sum(bool(line.strip()) for line in text.splitlines())


def function_of(script: Script) -> Callable[..., Any]:
    """Return the function of a script; the text is ours: names of primitives, and values."""
    scope: dict[str, Any] = {"__name__": "case"}
    exec(compile(whole_text(f=script), "case.py", "exec"), scope)
    function: Callable[..., Any] = scope["f"]
    return function


class _UnwritableError(Exception):
    """An equation has parameters that cannot be written as Python."""


def write_script(
    equations: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]
) -> Script | None:
    """Return equations of a jaxpr as a script; None where one of them cannot be written.

    What it computes has the shapes and dtypes of what it was made from, which is tried.
    """
    names: dict[Any, str] = {}
    fresh = _names()
    for variable in inputs:
        names[variable] = next(fresh)
    lines = []
    try:
        for equation in equations:
            given = [_atom(each, names) for each in equation.invars]
            made = []
            for variable in equation.outvars:
                names[variable] = next(fresh)
                made.append(names[variable])
            comma = "," * (equation.primitive.multiple_results and len(made) == 1)
            lines.append(f"{', '.join(made)}{comma} = {_written(equation, given)}")
        results = ", ".join(_atom(each, names) for each in outputs)
    except (_UnwritableError, KeyError):
        return None
    script = Script(
        body=(*lines, f"return {results}"),
        arguments=tuple(
            (names[each], each.aval.dtype.name, tuple(each.aval.shape)) for each in inputs
        ),
        operations=tuple(dict.fromkeys(each.primitive.name for each in equations)),
    )
    return script if _does_the_same(script, outputs) else None


def _does_the_same(script: Script, outputs: Sequence[Any]) -> bool:
    """Trace the script's function, and compare what it gives with what it was made from."""
    try:
        found = jax.tree.leaves(jax.eval_shape(function_of(script), *script.structs))
    except Exception:  # what a primitive says of a parameter that was written wrongly
        return False
    wanted = [(each.aval.shape, each.aval.dtype) for each in outputs]
    return [(each.shape, each.dtype) for each in found] == wanted


def _names() -> Iterator[str]:
    yield from ascii_lowercase
    number = 0
    while True:
        yield f"v{number}"
        number += 1


def _atom(atom: Any, names: Mapping[Any, str]) -> str:
    if not isinstance(atom, core.Literal):
        return names[atom]
    value, aval = atom.val, cast(Any, atom.aval)
    if np.ndim(value):
        raise _UnwritableError
    return f"jnp.{aval.dtype.name}({_value(np.asarray(value).item())})"


def _written(equation: Any, given: Sequence[str]) -> str:
    """Write the right side of an equation, as a call that people know where there is one."""
    name, parameters = equation.primitive.name, equation.params
    if write := _WRITTEN.get(name):
        return write(equation, given)
    arguments = ", ".join(given)
    said = {key: value for key, value in parameters.items() if value is not None}
    if not said and hasattr(lax, name):
        return f"lax.{name}({arguments})"
    if not hasattr(lax, f"{name}_p"):
        raise _UnwritableError
    keywords = "".join(f", {key}={_value(value)}" for key, value in parameters.items())
    return f"lax.{name}_p.bind({arguments}{keywords})"


def _value(value: Any) -> str:
    """Write a value so that Python reads it again."""
    if isinstance(value, np.generic):
        return _value(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, np.dtype | type) or (hasattr(value, "dtype") and not np.ndim(value)):
        return _dtype(value)
    if value is None or isinstance(value, bool | int | float | complex | str):
        return repr(value)
    if (isinstance(value, tuple) and hasattr(value, "_fields")) or type(value).__name__ in _PUBLIC:
        kind = type(value).__name__
        fields = getattr(value, "_fields", None) or _PUBLIC[kind]
        inner = ", ".join(f"{each}={_value(getattr(value, each))}" for each in fields)
        if not hasattr(lax, kind):
            raise _UnwritableError
        return f"lax.{kind}({inner})"
    if isinstance(value, tuple | list):
        inner = ", ".join(map(_value, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, lax.GatherScatterMode):
        return f"lax.GatherScatterMode.{value.name}"
    raise _UnwritableError


def _dtype(value: Any) -> str:
    try:
        return f"jnp.{jnp.dtype(value).name}"
    except TypeError:
        raise _UnwritableError from None


_PUBLIC: Mapping[str, tuple[str, ...]] = {
    "ConvDimensionNumbers": ("lhs_spec", "rhs_spec", "out_spec"),
    "GatherDimensionNumbers": (
        "offset_dims", "collapsed_slice_dims", "start_index_map", "operand_batching_dims",
        "start_indices_batching_dims",
    ),
    "ScatterDimensionNumbers": (
        "update_window_dims", "inserted_window_dims", "scatter_dims_to_operand_dims",
        "operand_batching_dims", "scatter_indices_batching_dims",
    ),
}  # fmt: skip


def _call(function: str, *keywords: str) -> Callable[[Any, Sequence[str]], str]:
    """Return what writes a call of a function with some of the parameters as its keywords."""

    def write(equation: Any, given: Sequence[str]) -> str:
        said = "".join(
            f", {key}={_value(equation.params[key])}"
            for key in keywords
            if equation.params.get(key) is not None
        )
        return f"{function}({', '.join(given)}{said})"

    return write


def _places(function: str, *parameters: str) -> Callable[[Any, Sequence[str]], str]:
    """Return what writes a call with some of the parameters by position."""

    def write(equation: Any, given: Sequence[str]) -> str:
        said = [_value(equation.params[key]) for key in parameters]
        return f"{function}({', '.join([*given, *said])})"

    return write


def _listed(function: str, *keywords: str) -> Callable[[Any, Sequence[str]], str]:
    """Return what writes a call whose operands are one list."""

    def write(equation: Any, given: Sequence[str]) -> str:
        said = "".join(f", {key}={_value(equation.params[key])}" for key in keywords)
        return f"{function}([{', '.join(given)}]{said})"

    return write


def _scatter(function: str) -> Callable[[Any, Sequence[str]], str]:
    return _call(function, "dimension_numbers", "indices_are_sorted", "unique_indices", "mode")


_WRITTEN: Mapping[str, Callable[[Any, Sequence[str]], str]] = {
    "dot_general": _call("lax.dot_general", "dimension_numbers", "preferred_element_type"),
    "conv_general_dilated": _call(
        "lax.conv_general_dilated", "window_strides", "padding", "lhs_dilation", "rhs_dilation",
        "dimension_numbers", "feature_group_count", "batch_group_count", "preferred_element_type",
    ),
    "convert_element_type": _places("lax.convert_element_type", "new_dtype"),
    "broadcast_in_dim": _places("lax.broadcast_in_dim", "shape", "broadcast_dimensions"),
    "reshape": _places("lax.reshape", "new_sizes"),
    "transpose": _places("lax.transpose", "permutation"),
    "squeeze": _places("lax.squeeze", "dimensions"),
    "rev": _places("lax.rev", "dimensions"),
    "reduce_sum": _places("jnp.sum", "axes"),
    "reduce_max": _places("jnp.max", "axes"),
    "reduce_min": _places("jnp.min", "axes"),
    "reduce_prod": _places("jnp.prod", "axes"),
    "integer_pow": _places("lax.integer_pow", "y"),
    "slice": _places("lax.slice", "start_indices", "limit_indices", "strides"),
    "concatenate": _listed("lax.concatenate", "dimension"),
    "pad": _places("lax.pad", "padding_config"),
    "cumsum": _call("lax.cumsum", "axis", "reverse"),
    "cumprod": _call("lax.cumprod", "axis", "reverse"),
    "cummax": _call("lax.cummax", "axis", "reverse"),
    "cumlogsumexp": _call("lax.cumlogsumexp", "axis", "reverse"),
    "iota": lambda equation, given: (
        f"lax.broadcasted_iota({_value(equation.params['dtype'])},"
        f" {_value(equation.params['shape'])}, {equation.params['dimension']})"
    ),
    "copy": _call("jnp.copy"),
    "exp2": _call("lax.exp2"),
    "square": _call("lax.square"),
    "sort": _listed("lax.sort", "dimension", "is_stable", "num_keys"),
    "gather": _call(
        "lax.gather", "dimension_numbers", "slice_sizes", "indices_are_sorted", "unique_indices",
        "mode",
    ),
    "scatter-add": _scatter("lax.scatter_add"),
    "scatter": _scatter("lax.scatter"),
    "scatter-mul": _scatter("lax.scatter_mul"),
    "scatter-max": _scatter("lax.scatter_max"),
    "scatter-min": _scatter("lax.scatter_min"),
}  # fmt: skip
