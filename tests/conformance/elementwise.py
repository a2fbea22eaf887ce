"""Instructions that work on each element alone."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.conformance.cases import (
    ANY,
    COMPLEX,
    FLOATS,
    INTEGERS,
    NUMBERS,
    Array,
    Case,
    arrays,
    binary,
    block,
    braces,
)

PRED = ("pred",)

UNARY = {
    "abs": NUMBERS, "acos": FLOATS, "acosh": FLOATS, "asin": FLOATS, "asinh": FLOATS,
    "atan": FLOATS, "atanh": FLOATS, "cbrt": FLOATS, "ceil": FLOATS, "copy": ANY,
    "cosh": FLOATS + COMPLEX, "cosine": FLOATS + COMPLEX, "count-leading-zeros": INTEGERS,
    "erf": FLOATS, "exponential": FLOATS + COMPLEX, "exponential-minus-one": FLOATS + COMPLEX,
    "floor": FLOATS, "log": FLOATS + COMPLEX, "log-plus-one": FLOATS + COMPLEX,
    "logistic": FLOATS + COMPLEX, "negate": NUMBERS, "not": INTEGERS + PRED, "popcnt": INTEGERS,
    "round-nearest-afz": FLOATS, "round-nearest-even": FLOATS, "rsqrt": FLOATS + COMPLEX,
    "sign": NUMBERS, "sine": FLOATS + COMPLEX, "sinh": FLOATS + COMPLEX, "sqrt": FLOATS + COMPLEX,
    "tan": FLOATS + COMPLEX, "tanh": FLOATS + COMPLEX,
}  # fmt: skip

BINARY = {
    "add": ANY, "and": INTEGERS + PRED, "atan2": FLOATS, "divide": NUMBERS, "maximum": ANY,
    "minimum": ANY, "mulhi": INTEGERS, "multiply": ANY, "or": INTEGERS + PRED, "power": NUMBERS,
    "remainder": FLOATS + INTEGERS, "shift-left": INTEGERS, "shift-right-arithmetic": INTEGERS,
    "shift-right-logical": INTEGERS, "subtract": NUMBERS, "xor": INTEGERS + PRED,
}  # fmt: skip

WIDTHS = {
    1: ("s8", "u8", "f8e4m3fn", "f8e5m2"),
    2: ("s16", "u16", "f16", "bf16"),
    4: ("s32", "u32", "f32"),
    8: ("s64", "u64", "f64"),
}


@st.composite
def same_shape(draw: st.DrawFn, opcode: str, operands: int, dtypes: Sequence[str]) -> Case:
    x = draw(arrays(dtypes))
    return Case(opcode, x, (x,) * operands)


@st.composite
def becoming(
    draw: st.DrawFn, opcode: str, dtypes: Sequence[str], result: Sequence[str] = ANY
) -> Case:
    """An instruction whose result has another dtype."""
    x = draw(arrays(dtypes))
    return Case(opcode, Array(draw(st.sampled_from(result)), x.dims, x.packed), (x,))


@st.composite
def bitcast_convert(draw: st.DrawFn) -> Case:
    dtypes = WIDTHS[draw(st.sampled_from(sorted(WIDTHS)))]
    return draw(becoming("bitcast-convert", dtypes, dtypes))


@st.composite
def parts(draw: st.DrawFn, opcode: str) -> Case:
    """The real or the imaginary part, or both put together."""
    wide, narrow = draw(st.sampled_from([("c64", "f32"), ("c128", "f64")]))
    number = draw(arrays((wide,)))
    part = Array(narrow, number.dims)
    if opcode == "complex":
        return Case(opcode, number, (part, part))
    return Case(opcode, part, (number,))


@st.composite
def compare(draw: st.DrawFn) -> Case:
    x = draw(arrays())
    direction = draw(st.sampled_from(["EQ", "NE", "LT", "LE", "GT", "GE"]))
    return Case("compare", Array("pred", x.dims), (x, x), f", direction={direction}")


@st.composite
def clamp(draw: st.DrawFn) -> Case:
    x = draw(arrays(FLOATS + INTEGERS))
    bound = draw(st.sampled_from([x, x.resized()]))
    return Case("clamp", x, (bound, x, bound))


@st.composite
def select(draw: st.DrawFn) -> Case:
    x = draw(arrays())
    return Case("select", x, (Array("pred", x.dims), x, x))


@st.composite
def reduce_precision(draw: st.DrawFn) -> Case:
    x = draw(arrays(("f32", "bf16", "f16", "f64")))
    bits = draw(st.integers(1, 5)), draw(st.integers(0, 10))
    attributes = ", exponent_bits={}, mantissa_bits={}".format(*bits)
    return Case("reduce-precision", x, (x,), attributes)


@st.composite
def stochastic_convert(draw: st.DrawFn) -> Case:
    x = draw(arrays(("f32", "f16")))
    noise = Array({"f32": "u32", "f16": "u16"}[x.dtype], x.dims)
    return Case("stochastic-convert", Array("s8", x.dims), (x, noise))


@st.composite
def mapped(draw: st.DrawFn) -> Case:
    """Two arrays put together by a function of one or of three ops."""
    x = draw(arrays(("f32", "f64")))
    scalar = f"{x.dtype}[]"
    several = [
        f"a@ = {scalar} parameter(0)",
        f"b@ = {scalar} parameter(1)",
        f"c@ = {scalar} tanh(a@)",
        f"d@ = {scalar} multiply(b@, c@)",
        f"e@ = {scalar} add(a@, d@)",
    ]
    function = draw(
        st.sampled_from([binary(x.dtype, "add"), binary(x.dtype, "power"), block("f@", several)])
    )
    attributes = f", dimensions={braces(range(len(x.dims)))}, to_apply=f@"
    return Case("map", x, (x, x), attributes, (function,))


@st.composite
def rng(draw: st.DrawFn) -> Case:
    x = draw(arrays(("f32", "f64", "bf16")))
    kind = draw(st.sampled_from(["rng_uniform", "rng_normal"]))
    return Case("rng", x, (x.resized(), x.resized()), f", distribution={kind}")


@st.composite
def rng_bit_generator(draw: st.DrawFn) -> Case:
    bits = draw(arrays(("u32", "u64", "u8")))
    state = Array("u64", (draw(st.integers(2, 3)),))
    algorithm = draw(st.sampled_from(["rng_default", "rng_three_fry", "rng_philox"]))
    return Case("rng-bit-generator", f"({state}, {bits})", (state,), f", algorithm={algorithm}")


STRATEGIES: dict[str, st.SearchStrategy[Case]] = {
    **{opcode: same_shape(opcode, 1, dtypes) for opcode, dtypes in UNARY.items()},
    **{opcode: same_shape(opcode, 2, dtypes) for opcode, dtypes in BINARY.items()},
    "bitcast-convert": bitcast_convert(),
    "clamp": clamp(),
    "compare": compare(),
    "complex": parts("complex"),
    "convert": becoming("convert", ANY),
    "imag": parts("imag"),
    "is-finite": becoming("is-finite", FLOATS, PRED),
    "map": mapped(),
    "real": parts("real"),
    "reduce-precision": reduce_precision(),
    "rng": rng(),
    "rng-bit-generator": rng_bit_generator(),
    "rng-get-and-update-state": st.integers(1, 9).map(
        lambda delta: Case("rng-get-and-update-state", "u64[2]", (), f", delta={delta}")
    ),
    "select": select(),
    "stochastic-convert": stochastic_convert(),
}
