"""Instructions that make fewer elements of many, or put them in order."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.conformance.cases import (
    EXTENTS,
    Array,
    Case,
    arrays,
    binary,
    block,
    braces,
    subsets,
    tuple_of,
)

REDUCED = ("f32", "bf16", "s32", "f64", "u8")
KINDS = ("grad", "inference", "training")
OPCODES = ("add", "multiply", "maximum", "power")


def pairwise(dtype: str) -> str:
    """Write a function of two pairs: the larger of the first ones, and its companion."""
    scalar = f"{dtype}[]"
    return block(
        "f@",
        [
            *[f"a{n}@ = {scalar} parameter({n})" for n in range(4)],
            "b@ = pred[] compare(a0@, a2@), direction=GT",
            f"c@ = {scalar} select(b@, a0@, a2@)",
            f"d@ = {scalar} select(b@, a1@, a3@)",
            f"e@ = ({scalar}, {scalar}) tuple(c@, d@)",
        ],
    )


@st.composite
def reduce(draw: st.DrawFn, extents: tuple[int, ...] = EXTENTS) -> Case:
    x = draw(arrays(REDUCED, extents=extents))
    away = draw(subsets(len(x.dims)))
    result = x.resized(*[size for d, size in enumerate(x.dims) if d not in away])
    attributes = f", dimensions={braces(away)}, to_apply=f@"
    if draw(st.booleans()):
        function = binary(x.dtype, draw(st.sampled_from(OPCODES)))
        return Case("reduce", result, (x, x.resized()), attributes, (function,))
    operands = (x, x, x.resized(), x.resized())
    return Case("reduce", tuple_of([result] * 2), operands, attributes, (pairwise(x.dtype),))


@st.composite
def windows(draw: st.DrawFn, extents: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Draw a window over an array; return its text and the extents of the result."""
    columns: list[tuple[int, ...]] = []
    dims = []
    for extent in extents:
        size, stride, dilation, holes = (draw(st.integers(1, 3)) for _ in range(4))
        low, high = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        columns.append((size, stride, low, high, dilation, holes))
        spread = (extent - 1) * holes + 1 if extent else 0
        dims.append(max(0, (spread + low + high - (size - 1) * dilation - 1) // stride + 1))
    return _window_text(columns), tuple(dims)


def _window_text(columns: list[tuple[int, ...]]) -> str:
    if not columns:
        return ""
    size, stride, low, high, dilation, holes = zip(*columns, strict=True)
    pads = "x".join(f"{a}_{b}" for a, b in zip(low, high, strict=True))
    sizes, strides, dilations, holes_ = (
        "x".join(map(str, numbers)) for numbers in (size, stride, dilation, holes)
    )
    return f"size={sizes} stride={strides} pad={pads} lhs_dilate={holes_} rhs_dilate={dilations}"


@st.composite
def reduce_window(draw: st.DrawFn) -> Case:
    x = draw(arrays(REDUCED, rank=(1, 4)))
    text, dims = draw(windows(x.dims))
    attributes = f", window={{{text}}}, to_apply=f@"
    result = x.resized(*dims)
    if draw(st.booleans()):
        function = binary(x.dtype, draw(st.sampled_from(OPCODES)))
        return Case("reduce-window", result, (x, x.resized()), attributes, (function,))
    operands = (x, x, x.resized(), x.resized())
    return Case("reduce-window", tuple_of([result] * 2), operands, attributes, (pairwise(x.dtype),))


@st.composite
def select_and_scatter(draw: st.DrawFn) -> Case:
    x = draw(arrays(("f32", "bf16"), rank=(1, 4), extents=(1, 2, 3, 5)))
    size = [draw(st.integers(1, extent)) for extent in x.dims]
    stride = [draw(st.integers(1, 2)) for _ in x.dims]
    dims = [(n - k) // s + 1 for n, k, s in zip(x.dims, size, stride, strict=True)]
    window = "size={} stride={}".format(*("x".join(map(str, n)) for n in (size, stride)))
    scalar = f"{x.dtype}[]"
    chooser = block(
        "g@",
        [
            f"a@ = {scalar} parameter(0)",
            f"b@ = {scalar} parameter(1)",
            "c@ = pred[] compare(a@, b@), direction=GE",
        ],
    )
    return Case(
        "select-and-scatter",
        x,
        (x, x.resized(*dims), x.resized()),
        f", window={{{window}}}, select=g@, scatter=f@",
        (chooser, binary(x.dtype, draw(st.sampled_from(OPCODES)))),
    )


@st.composite
def sort(draw: st.DrawFn) -> Case:
    x = draw(arrays(("f32", "s32", "bf16"), rank=(1, 4)))
    number = draw(st.integers(1, 3))
    scalar = f"{x.dtype}[]"
    less = block(
        "f@",
        [
            *[f"a{n}@ = {scalar} parameter({n})" for n in range(2 * number)],
            "b@ = pred[] compare(a0@, a1@), direction=LT",
        ],
    )
    axis = draw(st.integers(0, len(x.dims) - 1))
    result = x if number == 1 else tuple_of([x] * number)
    attributes = f", dimensions={{{axis}}}, to_apply=f@"
    return Case("sort", result, (x,) * number, attributes, (less,))


@st.composite
def topk(draw: st.DrawFn) -> Case:
    x = draw(arrays(("f32", "bf16"), rank=(1, 2)))
    k = draw(st.integers(0, x.dims[-1]))
    values = x.resized(*x.dims[:-1], k)
    result = f"({values}, {Array('s32', values.dims)})"
    largest = str(draw(st.booleans())).lower()
    return Case("topk", result, (x,), f", k={k}, largest={largest}")


@st.composite
def batch_norm(draw: st.DrawFn, opcode: str) -> Case:
    x = draw(arrays(("f32", "bf16"), rank=(1, 4)))
    axis = draw(st.integers(0, len(x.dims) - 1))
    each = x.resized(x.dims[axis])
    attributes = f", epsilon=0.001, feature_index={axis}"
    if opcode == "batch-norm-inference":
        return Case(opcode, x, (x, each, each, each, each), attributes)
    rest = (each, each) if opcode == "batch-norm-training" else (each, each, each, x)
    return Case(opcode, f"({x}, {each}, {each})", (x, *rest), attributes)


@st.composite
def scan(draw: st.DrawFn) -> Case:
    """A running sum along an axis, which starts from a slice of what it sums."""
    x = draw(arrays(("f32", "f64"), rank=(1, 3)))
    axis = draw(st.integers(0, len(x.dims) - 1))
    one = x.resized(*x.dims[:axis], *x.dims[axis + 1 :])
    lines = [
        f"a@ = {one} parameter(0)",
        f"b@ = {one} parameter(1)",
        f"c@ = {one} add(a@, b@)",
        f"d@ = {one} tanh(c@)",
        f"e@ = ({one}, {one}) tuple(d@, c@)",
    ]
    attributes = f", dimensions={{{axis}}}, num_carries=1, to_apply=f@"
    function = block("f@", lines)
    return Case("scan", f"({x}, {one})", (x, one), attributes, (function,), trips=x.dims[axis])


STRATEGIES: dict[str, st.SearchStrategy[Case]] = {
    **{f"batch-norm-{kind}": batch_norm(f"batch-norm-{kind}") for kind in KINDS},
    "reduce": reduce(),
    "reduce-window": reduce_window(),
    "scan": scan(),
    "select-and-scatter": select_and_scatter(),
    "sort": sort(),
    "topk": topk(),
}
