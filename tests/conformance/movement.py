"""Instructions that put elements in other places."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from tests.conformance.cases import (
    Array,
    Case,
    Shape,
    arrays,
    binary,
    block,
    braces,
    subsets,
    tuple_of,
)

INDEX = ("s32", "s8", "u32", "s64")
POSITIVE = (1, 2, 3, 4, 5, 8)
MEMBERS: st.SearchStrategy[Shape] = st.one_of(arrays(), arrays().map(lambda x: f"({x}, {x})"))


@st.composite
def relaid(draw: st.DrawFn, opcode: str) -> Case:
    """A reshape, or a bitcast to the same."""
    x = draw(arrays())
    dims = draw(st.permutations(x.dims))
    into = draw(st.sampled_from([x.dims, tuple(dims), (math.prod(x.dims),), (1, *dims)]))
    return Case(opcode, x.resized(*into), (x,))


@st.composite
def transpose(draw: st.DrawFn) -> Case:
    x = draw(arrays())
    order = draw(st.permutations(range(len(x.dims))))
    result = x.resized(*[x.dims[d] for d in order])
    return Case("transpose", result, (x,), f", dimensions={braces(order)}")


@st.composite
def broadcast(draw: st.DrawFn) -> Case:
    result = draw(arrays())
    kept = draw(subsets(len(result.dims)))
    operand = result.resized(*[result.dims[d] for d in kept])
    return Case("broadcast", result, (operand,), f", dimensions={braces(kept)}")


@st.composite
def iota(draw: st.DrawFn) -> Case:
    x = draw(arrays(rank=(1, 4)))
    axis = draw(st.integers(0, len(x.dims) - 1))
    return Case("iota", x, attributes=f", iota_dimension={axis}")


@st.composite
def reverse(draw: st.DrawFn) -> Case:
    x = draw(arrays())
    return Case("reverse", x, (x,), f", dimensions={braces(draw(subsets(len(x.dims))))}")


@st.composite
def shuffle(draw: st.DrawFn) -> Case:
    x = draw(arrays(rank=(1, 4)))
    axes = draw(subsets(len(x.dims), least=1))
    shifts = [draw(st.integers(0, 3)) for _ in axes]
    attributes = f", dimensions={braces(axes)}, mode=rotate, shifts={braces(shifts)}"
    return Case("shuffle", x, (x,), attributes)


@st.composite
def concatenate(draw: st.DrawFn) -> Case:
    x = draw(arrays(rank=(1, 4)))
    axis = draw(st.integers(0, len(x.dims) - 1))
    extents = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    *parts, whole = (
        x.resized(*x.dims[:axis], size, *x.dims[axis + 1 :]) for size in (*extents, sum(extents))
    )
    return Case("concatenate", whole, tuple(parts), f", dimensions={{{axis}}}")


@st.composite
def pad(draw: st.DrawFn) -> Case:
    x = draw(arrays(rank=(1, 4)))
    low, high, inner = st.integers(-1, 2), st.integers(0, 2), st.integers(0, 2)
    config = [draw(st.tuples(low, high, inner)) for _ in x.dims]
    dims = [
        max(0, size + low + high + inner * max(0, size - 1))
        for size, (low, high, inner) in zip(x.dims, config, strict=True)
    ]
    text = "x".join("_".join(map(str, one)) for one in config)
    return Case("pad", x.resized(*dims), (x, x.resized()), f", padding={text}")


@st.composite
def static_slice(draw: st.DrawFn) -> Case:
    x = draw(arrays())
    ranges, dims = [], []
    for size in x.dims:
        start = draw(st.integers(0, size))
        end = draw(st.integers(start, size))
        step = draw(st.integers(1, 3))
        ranges.append(f"[{start}:{end}:{step}]")
        dims.append(-(-(end - start) // step))
    return Case("slice", x.resized(*dims), (x,), f", slice={{{','.join(ranges)}}}")


@st.composite
def dynamic_slice(draw: st.DrawFn) -> Case:
    x = draw(arrays(rank=(1, 4)))  # Of a scalar, XLA's cost analysis crashes.
    sizes = [draw(st.integers(0, size)) for size in x.dims]
    index = Array(draw(st.sampled_from(INDEX)))
    result = x.resized(*sizes)
    attributes = f", dynamic_slice_sizes={braces(sizes)}"
    return Case("dynamic-slice", result, (x, *[index] * len(sizes)), attributes)


@st.composite
def dynamic_update_slice(draw: st.DrawFn) -> Case:
    x = draw(arrays(rank=(1, 4)))  # Of a scalar, XLA's cost analysis crashes.
    update = x.resized(*[draw(st.integers(0, size)) for size in x.dims])
    index = Array(draw(st.sampled_from(INDEX)))
    return Case("dynamic-update-slice", x, (x, update, *[index] * len(x.dims)))


@st.composite
def gather(draw: st.DrawFn) -> Case:
    x = draw(arrays(rank=(1, 4), extents=POSITIVE))
    places = draw(st.lists(st.sampled_from((0, 1, 2, 3)), max_size=2))
    indexed = draw(st.permutations(range(len(x.dims))))[: draw(st.integers(1, len(x.dims)))]
    collapsed = draw(subsets(len(x.dims)))
    sizes = [1 if d in collapsed else draw(st.integers(1, size)) for d, size in enumerate(x.dims)]
    window = [size for d, size in enumerate(sizes) if d not in collapsed]
    indices = Array(draw(st.sampled_from(INDEX)), (*places, len(indexed)))
    attributes = (
        f", offset_dims={braces(range(len(places), len(places) + len(window)))}"
        f", collapsed_slice_dims={braces(collapsed)}, start_index_map={braces(indexed)}"
        f", index_vector_dim={len(places)}, slice_sizes={braces(sizes)}"
    )
    return Case("gather", x.resized(*places, *window), (x, indices), attributes)


@st.composite
def scatter(draw: st.DrawFn) -> Case:
    x = draw(arrays(("f32", "s32", "bf16"), rank=(1, 4), extents=POSITIVE))
    places = draw(st.lists(st.sampled_from((0, 1, 2, 3)), max_size=2))
    indexed = draw(st.permutations(range(len(x.dims))))[: draw(st.integers(1, len(x.dims)))]
    inserted = draw(subsets(len(x.dims)))
    window = [draw(st.integers(1, size)) for d, size in enumerate(x.dims) if d not in inserted]
    indices = Array(draw(st.sampled_from(INDEX)), (*places, len(indexed)))
    arrays_ = draw(st.integers(1, 2))
    opcode = draw(st.sampled_from(["add", "maximum", "multiply"]))
    function = binary(x.dtype, opcode) if arrays_ == 1 else _pairwise(x.dtype, opcode)
    attributes = (
        f", update_window_dims={braces(range(len(places), len(places) + len(window)))}"
        f", inserted_window_dims={braces(inserted)}"
        f", scatter_dims_to_operand_dims={braces(indexed)}"
        f", index_vector_dim={len(places)}, to_apply=f@"
    )
    updates = x.resized(*places, *window)
    operands = (*[x] * arrays_, indices, *[updates] * arrays_)
    result = x if arrays_ == 1 else tuple_of([x] * arrays_)
    return Case("scatter", result, operands, attributes, (function,))


def _pairwise(dtype: str, opcode: str) -> str:
    """A function that puts two pairs together."""
    scalar = f"{dtype}[]"
    return block(
        "f@",
        [
            *[f"a{n}@ = {scalar} parameter({n})" for n in range(4)],
            f"b@ = {scalar} {opcode}(a0@, a2@)",
            f"c@ = {scalar} tanh(a3@)",
            f"d@ = ({scalar}, {scalar}) tuple(b@, c@)",
        ],
    )


@st.composite
def dimension_size(draw: st.DrawFn, opcode: str) -> Case:
    x = draw(arrays(rank=(1, 4)))
    axis = draw(st.integers(0, len(x.dims) - 1))
    size = Array("s32")
    attributes = f", dimensions={{{axis}}}"
    if opcode == "get-dimension-size":
        return Case(opcode, size, (x,), attributes)
    return Case(opcode, _bounded(x, axis), (x, size), attributes)


def _bounded(x: Array, axis: int) -> str:
    """Write a shape with a dimension that is known only when it runs."""
    dims = [f"<={size}" if d == axis else f"{size}" for d, size in enumerate(x.dims)]
    return f"{x.dtype}[{','.join(dims)}]"


@st.composite
def dynamic_reshape(draw: st.DrawFn) -> Case:
    x = draw(arrays(rank=(1, 4)))
    axis = draw(st.integers(0, len(x.dims) - 1))
    sizes = [Array("s32")] * len(x.dims)
    return Case("dynamic-reshape", _bounded(x, axis), (x, *sizes))


@st.composite
def tuples(draw: st.DrawFn) -> Case:
    members = draw(st.lists(MEMBERS, max_size=4))
    return Case("tuple", tuple_of(members), tuple(members))


@st.composite
def member(draw: st.DrawFn) -> Case:
    members = draw(st.lists(MEMBERS, min_size=1, max_size=4))
    index = draw(st.integers(0, len(members) - 1))
    return Case("get-tuple-element", members[index], (tuple_of(members),), f", index={index}")


@st.composite
def constant(draw: st.DrawFn) -> Case:
    x = draw(arrays(("f32", "s32", "bf16", "s8"), rank=(0, 1), extents=POSITIVE))
    value = str(draw(st.integers(0, 9)))
    return Case("constant", x, inside=braces([value] * x.dims[0]) if x.dims else value)


@st.composite
def domain(draw: st.DrawFn) -> Case:
    x = draw(arrays())
    sides = [draw(st.sampled_from(["{replicated}", "{maximal device=0}"])) for _ in "12"]
    attributes = ', domain={{kind="sharding", entry={}, exit={}}}'.format(*sides)
    return Case("domain", x, (x,), attributes)


@st.composite
def barrier(draw: st.DrawFn) -> Case:
    shape = tuple_of(draw(st.lists(arrays(("f32", "s8", "c64")), min_size=1, max_size=3)))
    return Case("opt-barrier", shape, (shape,))


STRATEGIES: dict[str, st.SearchStrategy[Case]] = {
    "bitcast": relaid("bitcast"),
    "broadcast": broadcast(),
    "concatenate": concatenate(),
    "constant": constant(),
    "domain": domain(),
    "dynamic-reshape": dynamic_reshape(),
    "dynamic-slice": dynamic_slice(),
    "dynamic-update-slice": dynamic_update_slice(),
    "gather": gather(),
    "get-dimension-size": dimension_size("get-dimension-size"),
    "get-tuple-element": member(),
    "iota": iota(),
    "opt-barrier": barrier(),
    "pad": pad(),
    "parameter": arrays().map(lambda x: Case("parameter", x)),
    "reshape": relaid("reshape"),
    "reverse": reverse(),
    "scatter": scatter(),
    "shuffle": shuffle(),
    "set-dimension-size": dimension_size("set-dimension-size"),
    "slice": static_slice(),
    "transpose": transpose(),
    "tuple": tuples(),
}
