"""What the table of faster forms is measured on: sites of rules, and forms that no rule has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A function that is one site, or one that stands beside forms of it written by hand.

    Attributes:
        section: What is computed.
        label: Shapes, as the table shows them.
        function: The plain form.
        arguments: Shapes and dtypes.
        by_hand: Other forms; where there are none, those of the rules are tried.
        primitive: What to try the rules on; everything where empty.
    """

    section: str
    label: str
    function: Function
    arguments: tuple[jax.ShapeDtypeStruct, ...]
    by_hand: Mapping[str, Function] = field(default_factory=dict)
    primitive: str = ""

    @property
    def key(self) -> str:
        """What is measured once for a machine and a version of jax."""
        return f"{self.section} | {self.label}"


def f32(*shape: int) -> jax.ShapeDtypeStruct:
    """Return the shape of an array of float32."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def typed(dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
    """Return the shape of an array of a dtype."""
    return jax.ShapeDtypeStruct(shape, dtype)


def by_shapes(
    section: str, function: Function, shapes: Sequence[Sequence[int]], **by_hand: Function
) -> Iterator[Case]:
    """Yield a case of one float32 argument for every shape."""
    for shape in shapes:
        label = "x".join(map(str, shape))
        arguments = (f32(*shape),)
        yield Case(
            section=section, label=label, function=function, arguments=arguments, by_hand=by_hand
        )


def convolution(
    groups: int, stride: int, rank: int, dilation: int, sums: Any, x: jax.Array, w: jax.Array
) -> jax.Array:
    """Convolve with zeros around, channels last."""
    letters = "DHW"[3 - rank :]
    return lax.conv_general_dilated(
        x, w, (stride,) * rank, "SAME", rhs_dilation=(dilation,) * rank,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        feature_group_count=groups, preferred_element_type=sums,
    )  # fmt: skip


def conv_case(
    section: str,
    batch: int,
    side: int,
    channels: int,
    made: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    rank: int = 2,
    dilation: int = 1,
    dtype: Any = jnp.float32,
    gradient: int | None = None,
) -> Case:
    """Return a convolution, or its gradient by one operand (0: the input, 1: the kernel)."""
    x = typed(dtype, batch, *(side,) * rank, channels)
    w = typed(dtype, *(kernel,) * rank, channels // groups, made)
    plain = partial(convolution, groups, stride, rank, dilation, None)
    label = f"{batch}x{side}{'²³'[rank - 2] if rank > 1 else ''}x{channels}"
    label += f", {kernel}{'²³'[rank - 2] if rank > 1 else ''}"
    label += f" to {made}" if groups == 1 else f", {groups} groups" if groups < channels else ""
    label += f" x{made // channels}" if groups == channels and made > channels else ""
    label += f", stride {stride}" if stride > 1 else ""
    label += f", dilated {dilation}" if dilation > 1 else ""
    label += f", {jnp.dtype(dtype).name}" if dtype != jnp.float32 else ""
    if gradient is None:
        return Case(section=section, label=label, function=plain, arguments=(x, w))
    g = jax.eval_shape(plain, x, w)

    def transposed(other: jax.Array, g: jax.Array) -> Any:
        of_one = partial(plain, w=other) if gradient == 0 else partial(plain, other)
        return jax.linear_transpose(of_one, (x, w)[gradient])(g)[0]

    return Case(section=section, label=label, function=transposed, arguments=((w, x)[gradient], g))


DEPTHWISE = (
    (1, 112, 32, 3, 1), (1, 56, 144, 3, 1), (1, 14, 384, 3, 1), (1, 7, 960, 3, 1),
    (8, 56, 144, 3, 1), (8, 14, 384, 3, 1), (1, 112, 96, 3, 2), (1, 28, 240, 5, 1),
    (1, 14, 672, 5, 2), (1, 56, 96, 7, 1),
)  # fmt: skip
"""Batch, side, channels, kernel and stride of sites of MobileNet, EfficientNet and ConvNeXt."""


def depthwise() -> Iterator[Case]:
    """Yield depthwise and grouped convolutions and their gradients."""
    for batch, side, channels, kernel, stride in DEPTHWISE:
        yield conv_case(
            "depthwise convolution", batch, side, channels, channels, kernel, stride=stride,
            groups=channels,
        )  # fmt: skip
    for batch, side, channels, kernel, stride in (
        *DEPTHWISE[1:3],
        (8, 28, 192, 3, 1),
        DEPTHWISE[6],
    ):
        for gradient, name in enumerate(("input", "weights")):
            yield conv_case(
                f"gradient of depthwise {name}", batch, side, channels, channels, kernel,
                stride=stride, groups=channels, gradient=gradient,
            )  # fmt: skip
    yield conv_case("gradient of depthwise weights", 1, 7, 960, 960, 3, groups=960, gradient=1)
    for side, channels in ((1024, 768), (512, 256)):
        yield conv_case(
            "depthwise convolution, 1-D", 1, side, channels, channels, 4, groups=channels, rank=1
        )
    for side, channels in ((56, 144), (14, 384)):
        yield conv_case(
            "depthwise convolution, bf16", 1, side, channels, channels, 3, groups=channels,
            dtype=jnp.bfloat16,
        )  # fmt: skip
    for side, channels, times in ((56, 32, 2), (28, 64, 4)):
        yield conv_case(
            "depthwise convolution with multiplier", 1, side, channels, channels * times, 3,
            groups=channels,
        )  # fmt: skip
    for side, channels, groups in ((56, 128, 32), (14, 512, 32), (28, 256, 4), (14, 64, 2)):
        yield conv_case("grouped convolution", 1, side, channels, channels, 3, groups=groups)


def convolutions() -> Iterator[Case]:
    """Yield convolutions of all channels and their gradients."""
    for batch, side, taken, made, stride in (
        (1, 56, 64, 256, 1), (1, 14, 1024, 256, 1), (1, 14, 384, 64, 1), (8, 14, 384, 64, 1),
        (1, 112, 32, 16, 1), (1, 7, 320, 1280, 1), (1, 56, 256, 512, 2), (1, 14, 96, 576, 1),
    ):  # fmt: skip
        yield conv_case("1x1 convolution", batch, side, taken, made, 1, stride=stride)
    for side, taken, made in ((7, 320, 1280), (7, 160, 960), (14, 96, 576), (56, 24, 144)):
        yield conv_case("gradient of 1x1 weights", 1, side, taken, made, 1, gradient=1)
        yield conv_case("gradient of 1x1 input", 1, side, taken, made, 1, gradient=0)
    for batch, side, channels, stride in (
        (1, 56, 64, 1), (1, 28, 128, 1), (1, 14, 256, 1), (1, 7, 512, 1), (8, 7, 512, 1),
        (1, 56, 128, 2),
    ):  # fmt: skip
        yield conv_case("3x3 convolution", batch, side, channels, channels, 3, stride=stride)
    for side, channels in ((7, 512), (14, 256), (56, 64)):
        yield conv_case("gradient of 3x3 weights", 1, side, channels, channels, 3, gradient=1)
        yield conv_case("gradient of 3x3 input", 1, side, channels, channels, 3, gradient=0)
    for batch, made, kernel, stride in ((1, 32, 3, 2), (1, 64, 7, 2), (8, 64, 7, 2), (8, 32, 3, 2)):
        yield conv_case("stem convolution", batch, 224, 3, made, kernel, stride=stride)
    yield conv_case("stem convolution", 1, 28, 1, 32, 3)
    for side, taken, made, size in ((224, 3, 768, 16), (224, 3, 96, 4), (56, 96, 192, 2)):
        yield conv_case("patch embedding", 1, side, taken, made, size, stride=size)
    for side, channels, dilation in ((56, 64, 2), (28, 256, 4)):
        yield conv_case("dilated convolution", 1, side, channels, channels, 3, dilation=dilation)
    for side, channels in ((16, 32), (8, 128)):
        yield conv_case("3-D convolution", 1, side, channels, channels, 3, rank=3)
    for side, channels, kernel in ((1024, 256, 3), (512, 128, 5)):
        yield conv_case("1-D convolution", 1, side, channels, channels, kernel, rank=1)


def pool(kind: str, size: int, stride: int, x: jax.Array) -> jax.Array:
    """Pool over two dimensions, channels last."""
    start, combine = (-jnp.inf, lax.max) if kind == "max" else (0.0, lax.add)
    padding = "SAME" if size != stride else "VALID"
    window, strides = (1, size, size, 1), (1, stride, stride, 1)
    found: jax.Array = lax.reduce_window(x, start, combine, window, strides, padding)
    return found


def pooling() -> Iterator[Case]:
    """Yield pooling and its gradients."""
    for kind in ("max", "average"):
        for batch, side, channels, size, stride in (
            (1, 112, 64, 3, 2), (8, 112, 64, 3, 2), (1, 112, 64, 2, 2), (8, 56, 64, 2, 2),
            (1, 56, 64, 3, 1), (1, 20, 512, 5, 1),
        ):  # fmt: skip
            label = f"{batch}x{side}²x{channels}, {size}², stride {stride}"
            x, plain = f32(batch, side, side, channels), partial(pool, kind, size, stride)
            yield Case(section=f"{kind} pooling", label=label, function=plain, arguments=(x,))

            def gradient(x: jax.Array, g: jax.Array, plain: Function = plain) -> Any:
                return jax.vjp(plain, x)[1](g)[0]

            section, g = f"gradient of {kind} pooling", jax.eval_shape(plain, x)
            if kind == "max":
                yield Case(
                    section=section, label=label, function=gradient, arguments=(x, g),
                    primitive="select_and_scatter_add",
                )  # fmt: skip
            else:
                transposed = partial(_transposed, plain, x)
                yield Case(section=section, label=label, function=transposed, arguments=(g,))


def _transposed(plain: Function, x: jax.ShapeDtypeStruct, g: jax.Array) -> Any:
    return jax.linear_transpose(plain, x)(g)[0]


ROWS = ((1024, 4096), (8, 65536), (64, 1000))


def along_rows() -> Iterator[Case]:
    """Yield scans, sorts, selections."""
    for scan in (lax.cumsum, lax.cummax, lax.cummin, lax.cumprod, lax.cumlogsumexp):
        yield from by_shapes(scan.__name__, partial(scan, axis=1), ROWS)
    rows = ((64, 1000), (1, 50257), (256, 4096))
    yield from by_shapes("sort", jnp.sort, rows)
    yield from by_shapes("argsort", jnp.argsort, rows)
    yield from by_shapes("first 8 of a sort", lambda x: jnp.sort(x)[..., :8], rows)
    yield from by_shapes("first 8 of an argsort", lambda x: jnp.argsort(x)[..., :8], rows)
    yield from by_shapes("median", lambda x: jnp.median(x, axis=-1), rows)
    yield from by_shapes("90 % quantile", lambda x: jnp.quantile(x, 0.9, axis=-1), rows)


def of_squares() -> Iterator[Case]:
    """Yield powers and other functions, places of extremes, sums over rows."""
    large = ((1024, 1024),)
    for power in (3.0, 0.5, 1.5, -2.0, 2.2):
        yield from by_shapes(f"power of {power}", lambda x, p=power: lax.pow(lax.abs(x), p), large)
    yield from by_shapes("cube root", jnp.cbrt, large)
    yield from by_shapes("tangent", jnp.tan, large)
    yield from by_shapes("arcsine", lambda x: jnp.arcsin(x / 8), large)
    yield from by_shapes("arccosine", lambda x: jnp.arccos(x / 8), large)
    yield from by_shapes("cumsum, axis 0", partial(lax.cumsum, axis=0), large)
    for axis in (0, 1):
        yield from by_shapes(f"argmax, axis {axis}", partial(jnp.argmax, axis=axis), large)
        yield from by_shapes(f"argmin, axis {axis}", partial(jnp.argmin, axis=axis), large)


def products() -> Iterator[Case]:
    """Yield matrix products."""

    def times(section: str, dtype: Any, rows: int, taken: int, made: int) -> Case:
        result = jnp.int32 if dtype == jnp.int8 else dtype
        return Case(
            section=section, label=f"{rows}x{taken} * {taken}x{made}",
            function=lambda x, w: lax.dot_general(
                x, w, (((1,), (0,)), ((), ())), preferred_element_type=result
            ),
            arguments=(typed(dtype, rows, taken), typed(dtype, taken, made)),
        )  # fmt: skip

    shapes = ((1, 1024, 1024), (1, 512, 16384), (8, 1024, 4096), (64, 1024, 1024))
    for name, dtype in (
        ("dot, f32", jnp.float32), ("dot, bf16", jnp.bfloat16), ("dot, f16", jnp.float16),
        ("dot, int8", jnp.int8),
    ):  # fmt: skip
        for shape in shapes:
            yield times(name, dtype, *shape)
    for many, side in ((4096, 4), (4096, 2), (512, 8), (64, 4)):
        matrices = f32(many, side, side)
        yield Case(
            section="batched dot", label=f"{many} of {side}x{side}", function=jnp.matmul,
            arguments=(matrices, matrices),
        )  # fmt: skip
    for queries, keys in ((1, 1024), (1, 256)):
        yield Case(
            section="dot, f32", label=f"8 heads: {queries}x64 * {keys}x64, transposed",
            function=partial(jnp.einsum, "bqhd,bkhd->bhqk"),
            arguments=(f32(1, queries, 8, 64), f32(1, keys, 8, 64)),
        )  # fmt: skip


def resizing() -> Iterator[Case]:
    """Yield images made larger and smaller."""
    for method, antialias, shape, new in (
        ("bilinear", True, (1, 28, 28, 128), 56), ("bilinear", True, (1, 112, 112, 32), 224),
        ("bilinear", True, (8, 28, 28, 64), 56), ("bilinear", True, (1, 56, 56, 21), 224),
        ("bilinear", True, (1, 28, 28, 128), 50), ("bilinear", True, (1, 224, 224, 3), 112),
        ("bilinear", False, (1, 224, 224, 3), 112), ("bicubic", True, (1, 28, 28, 128), 56),
        ("bicubic", True, (1, 224, 224, 3), 448),
    ):  # fmt: skip
        size = (shape[0], new, new, shape[3])
        smooth = "" if antialias or new > shape[1] else ", not smoothed"
        yield Case(
            section=f"resize, {method}", label=f"{'x'.join(map(str, shape))} to {new}²{smooth}",
            function=partial(
                jax.image.resize, shape=size, method=method, antialias=antialias
            ),
            arguments=(f32(*shape),), primitive="jit",
        )  # fmt: skip


def small_matrices() -> Iterator[Case]:
    """Yield inverses and equations of many small matrices."""
    for many in (4096, 64):
        matrices, label = f32(many, 2, 2), f"{many} of 2x2"
        for section, function, arguments in (
            ("inverse", jnp.linalg.inv, (matrices,)),
            ("equations", jnp.linalg.solve, (matrices, f32(many, 2, 1))),
        ):
            yield Case(
                section=section, label=label, function=function, arguments=arguments,
                primitive="jit",
            )  # fmt: skip


def triangles() -> Iterator[Case]:
    """Yield triangular equations and Cholesky factors of many small matrices."""
    for many, rows in ((4096, 3), (4096, 8), (1024, 4), (64, 4)):
        label, matrices = f"{many} of {rows}x{rows}", f32(many, rows, rows)
        yield Case(
            section="triangular solve", label=label,
            function=lambda a, b: lax.linalg.triangular_solve(a, b, left_side=True, lower=True),
            arguments=(matrices, f32(many, rows, 1)),
        )  # fmt: skip
        if rows < 8:
            yield Case(
                section="Cholesky factor", label=label, function=jnp.linalg.cholesky,
                arguments=(matrices,), primitive="cholesky",
            )  # fmt: skip


def remainders() -> Iterator[Case]:
    """Yield remainders of numbers that are a few times the divisor."""
    for label, divisor in (("by 0.3", 0.3), ("by 2 pi", 6.2831855)):
        for shape in ((512, 1024), (64, 64)):
            yield Case(
                section="remainder", label=f"{'x'.join(map(str, shape))} {label}",
                function=partial(_remainder, divisor), arguments=(f32(*shape),), primitive="rem",
            )  # fmt: skip


def _remainder(divisor: float, x: jax.Array) -> jax.Array:
    return x % divisor


def narrow_products() -> Iterator[Case]:
    """Yield matrix products of narrow integers and truth values, with results as narrow."""
    for dtype in (jnp.int8, jnp.uint8, jnp.int16, jnp.bool_):
        for rows, side in ((256, 256), (1, 1024)):
            yield Case(
                section=f"dot, all {jnp.dtype(dtype).name}", label=f"{rows}x{side} * {side}x{side}",
                function=jnp.matmul,
                arguments=(typed(dtype, rows, side), typed(dtype, side, side)),
                primitive="dot_general",
            )  # fmt: skip


def of_rules() -> Iterator[Case]:
    """Yield all of them."""
    for each in (
        depthwise, convolutions, pooling, along_rows, of_squares, products, resizing,
        small_matrices, triangles, remainders, narrow_products,
    ):  # fmt: skip
        yield from each()
