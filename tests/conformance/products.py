"""Products of matrices, convolutions, and the linear algebra that XLA knows as one op."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.conformance.cases import Array, Case, arrays, braces

FACTORS = ("f32", "bf16", "f16", "f64", "s8", "s32", "u8", "f8e4m3fn", "f8e5m2", "s4", "c64")
EXTENTS = (0, 1, 2, 3, 5)
POSITIVE = (1, 2, 3, 5)


@dataclass(frozen=True)
class Product:
    """The extents of a product of two arrays, and the order of their dimensions.

    Attributes:
        batch, rows, columns, contracted: Extents of the dimensions that both share and keep,
            that the left, that the right brings along, and that is summed over.
        left, right: Orders of the operands' dimensions.
    """

    dtype: str
    batch: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    contracted: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]

    def case(self, opcode: str = "dot") -> Case:
        lhs = (*self.batch, *self.rows, *self.contracted)
        rhs = (*self.batch, *self.columns, *self.contracted)
        operands = [
            Array(self.dtype, tuple(lhs[d] for d in self.left)),
            Array(self.dtype, tuple(rhs[d] for d in self.right)),
        ]
        if opcode == "scaled-dot":
            # One scale for each block; how long the blocks are is of no matter here.
            operands += [Array("f8e8m0fnu", (1,) * len(lhs)), Array("f8e8m0fnu", (1,) * len(rhs))]
        shared = range(len(self.batch))
        lhs_summed = range(len(lhs) - len(self.contracted), len(lhs))
        rhs_summed = range(len(rhs) - len(self.contracted), len(rhs))
        attributes = (
            f", lhs_batch_dims={_places(shared, self.left)}"
            f", rhs_batch_dims={_places(shared, self.right)}"
            f", lhs_contracting_dims={_places(lhs_summed, self.left)}"
            f", rhs_contracting_dims={_places(rhs_summed, self.right)}"
        )
        dtype = "f32" if opcode == "scaled-dot" else self.dtype
        result = Array(dtype, (*self.batch, *self.rows, *self.columns))
        return Case(opcode, result, tuple(operands), attributes)


def _places(dims: Sequence[int], order: Sequence[int]) -> str:
    return braces(order.index(d) for d in dims)


@st.composite
def products(draw: st.DrawFn, dtypes: Sequence[str] = FACTORS) -> Product:
    batch, rows, columns, contracted = (
        tuple(draw(st.lists(st.sampled_from(EXTENTS), max_size=2))) for _ in range(4)
    )
    left = draw(st.permutations(range(len(batch + rows + contracted))))
    right = draw(st.permutations(range(len(batch + columns + contracted))))
    dtype = draw(st.sampled_from(dtypes))
    return Product(dtype, batch, rows, columns, contracted, tuple(left), tuple(right))


@dataclass(frozen=True)
class RaggedProduct:
    """A product whose rows, summands or batches fall into groups of any size.

    Attributes:
        ragged: Which of them do: ``rows``, ``contracted`` or ``batch``.
    """

    ragged: str
    groups: int
    batch: int
    rows: int
    columns: int
    contracted: int

    def case(self) -> Case:
        b, m, n, k = self.batch, self.rows, self.columns, self.contracted
        sizes = Array("s32", (self.groups,))
        lhs = Array("f32", (b, m, k))
        attributes = ", lhs_batch_dims={0}, lhs_contracting_dims={2}"
        if self.ragged == "rows":
            rhs, result = Array("f32", (self.groups, b, k, n)), Array("f32", (b, m, n))
            attributes += ", rhs_batch_dims={1}, rhs_contracting_dims={2}, rhs_group_dims={0}"
            attributes += ", lhs_ragged_dims={1}"
        else:
            rhs = Array("f32", (b, k, n))
            attributes += ", rhs_batch_dims={0}, rhs_contracting_dims={1}"
            is_sum = self.ragged == "contracted"
            result = Array("f32", (self.groups, b, m, n) if is_sum else (b, m, n))
            attributes += f", lhs_ragged_dims={{{2 if is_sum else 0}}}"
        # Each row, batch or summand belongs to one group and meets one right operand.
        return Case("ragged-dot", result, (lhs, rhs, sizes), attributes, macs=b * m * n * k)


def ragged_products() -> st.SearchStrategy[RaggedProduct]:
    extent = st.sampled_from(POSITIVE)
    kinds = st.sampled_from(["rows", "contracted", "batch"])
    return st.builds(RaggedProduct, kinds, extent, extent, extent, extent, extent)


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution.

    Attributes:
        extent: Of the input.
        size: Of the kernel.
        low, high: Padding; it may be negative, which crops.
        dilation: Of the kernel.
        holes: Dilation of the input.
    """

    extent: int
    size: int
    stride: int = 1
    low: int = 0
    high: int = 0
    dilation: int = 1
    holes: int = 1

    @property
    def positions(self) -> int:
        """The extent of the output."""
        spread = (self.extent - 1) * self.holes + 1 + self.low + self.high
        return max(0, (spread - (self.size - 1) * self.dilation - 1) // self.stride + 1)


@dataclass(frozen=True)
class Convolution:
    """A convolution.

    Attributes:
        batch: Of the output.
        inputs: Input features of each group.
        outputs: Output features.
        groups, batch_groups: Of one of them there is one only.
        labels: Orders of the dimensions of input, kernel and output.
    """

    dtype: str
    axes: tuple[Axis, ...]
    batch: int
    inputs: int
    outputs: int
    groups: int
    batch_groups: int
    labels: tuple[str, str, str]
    reversed: bool = False

    def case(self) -> Case:
        spatial = {str(n): axis for n, axis in enumerate(self.axes)}
        lhs = {"b": self.batch * self.batch_groups, "f": self.inputs * self.groups}
        lhs |= {n: axis.extent for n, axis in spatial.items()}
        rhs = {"i": self.inputs, "o": self.outputs}
        rhs |= {n: axis.size for n, axis in spatial.items()}
        out = {"b": self.batch, "f": self.outputs}
        out |= {n: axis.positions for n, axis in spatial.items()}
        x, w, y = (
            Array(self.dtype, tuple(extents[label] for label in order))
            for extents, order in zip((lhs, rhs, out), self.labels, strict=True)
        )
        attributes = (
            (f", window={{{self._window()}}}" if self.axes else "")
            + f", dim_labels={'{}_{}->{}'.format(*self.labels)}"
            f", feature_group_count={self.groups}, batch_group_count={self.batch_groups}"
        )
        return Case("convolution", y, (x, w), attributes)

    def _window(self) -> str:
        def each(write: str) -> str:
            return "x".join(write.format(axis) for axis in self.axes)

        text = f"size={each('{0.size}')} stride={each('{0.stride}')} pad={each('{0.low}_{0.high}')}"
        text += f" lhs_dilate={each('{0.holes}')} rhs_dilate={each('{0.dilation}')}"
        return f"{text} rhs_reversal={each('1')}" if self.reversed else text


@st.composite
def convolutions(
    draw: st.DrawFn, *, spatial: Sequence[int] = (0, 1, 2, 3), holes: Sequence[int] = (1, 2, 3)
) -> Convolution:
    rank = draw(st.sampled_from(spatial))
    small = st.integers(1, 3)
    axes = tuple(
        Axis(
            extent=draw(st.integers(1, 5 if rank < 3 else 3)),
            size=draw(st.integers(1, 4 if rank < 3 else 2)),
            stride=draw(small),
            low=draw(st.integers(-1, 2)),
            high=draw(st.integers(-1, 2)),
            dilation=draw(small),
            holes=draw(st.sampled_from(holes)),
        )
        for _ in range(rank)
    )
    groups, batch_groups = draw(st.sampled_from([(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]))
    places = [str(n) for n in range(rank)]
    x, w, y = (draw(st.permutations([*ends, *places])) for ends in ("bf", "io", "bf"))
    return Convolution(
        dtype=draw(st.sampled_from(FACTORS)),
        axes=axes,
        batch=draw(st.integers(1, 2)),
        inputs=draw(st.integers(1, 2)),
        outputs=draw(st.integers(1, 2)) * groups * batch_groups,
        groups=groups,
        batch_groups=batch_groups,
        labels=("".join(x), "".join(w), "".join(y)),
        reversed=rank > 0 and draw(st.booleans()),
    )


@st.composite
def cholesky(draw: st.DrawFn) -> Case:
    x = draw(arrays(("f32", "f64", "c64"), rank=(0, 2)))
    size = draw(st.integers(0, 6))
    square = x.resized(*x.dims, size, size)
    return Case("cholesky", square, (square,), f", lower={str(draw(st.booleans())).lower()}")


@st.composite
def triangular_solve(draw: st.DrawFn) -> Case:
    x = draw(arrays(("f32", "f64", "c64"), rank=(0, 2)))
    size, other = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    left = draw(st.booleans())
    b = x.resized(*x.dims, *((size, other) if left else (other, size)))
    how = draw(st.sampled_from(["NO_TRANSPOSE", "TRANSPOSE", "ADJOINT"]))
    attributes = f", left_side={str(left).lower()}, lower=true, transpose_a={how}"
    return Case("triangular-solve", b, (x.resized(*x.dims, size, size), b), attributes)


@st.composite
def fft(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from(["FFT", "IFFT", "RFFT", "IRFFT"]))
    lead = draw(st.lists(st.sampled_from(EXTENTS), max_size=2))
    lengths = draw(st.lists(st.sampled_from((1, 2, 3, 4, 7, 8)), min_size=1, max_size=3))
    whole = (*lead, *lengths)
    half = (*whole[:-1], lengths[-1] // 2 + 1)
    x, y = {
        "FFT": (Array("c64", whole), Array("c64", whole)),
        "IFFT": (Array("c64", whole), Array("c64", whole)),
        "RFFT": (Array("f32", whole), Array("c64", half)),
        "IRFFT": (Array("c64", half), Array("f32", whole)),
    }[kind]
    return Case("fft", y, (x,), f", fft_type={kind}, fft_length={braces(lengths)}")


STRATEGIES: dict[str, st.SearchStrategy[Case]] = {
    "cholesky": cholesky(),
    "convolution": convolutions().map(Convolution.case),
    "dot": products().map(Product.case),
    "fft": fft(),
    "ragged-dot": ragged_products().map(RaggedProduct.case),
    "scaled-dot": products(("f8e4m3fn", "f8e5m2", "bf16")).map(lambda p: p.case("scaled-dot")),
    "triangular-solve": triangular_solve(),
}
