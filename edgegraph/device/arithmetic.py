"""Which dtype a device computes in, where that is not the one the program names.

Matrix units take f32 products in a narrower dtype unless they are told to be exact: JAX's default
precision means TF32 on NVIDIA GPUs from Ampere on, and one pass of bf16 on TPUs. More precise
products take several passes there. Source: JAX, "Matmul precision",
https://docs.jax.dev/en/latest/201/precision.html, and `jax.lax.Precision`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from edgegraph.device.device import Device

_PASSES_OF_BF16 = {"default": 1, "high": 3, "highest": 6}
"""Of one f32 product on units for bf16, by its precision (bf16_3x and bf16_6x)."""

_REAL = {"c64": "f32", "c128": "f64"}
"""What the products of complex numbers are made of."""

_ALGORITHM = re.compile(r"dot_(?P<lhs>[a-z0-9]+)_[a-z0-9]+_[a-z0-9]+?(?:_x(?P<passes>\d+))?$")
"""``dot_bf16_bf16_f32_x3``: dtypes of the operands and of the sum, then the number of passes."""


class Arithmetic(NamedTuple):
    """How a device computes: in `dtype`, each product in `passes` products of that dtype."""

    dtype: str
    passes: int = 1


def arithmetic(
    device: Device | None, dtype: str, *, values: str | None = None, precision: str | None = None
) -> Arithmetic:
    """Return what a device computes an op in.

    Args:
        device: The device; None where none is known, for the program's own dtype.
        dtype: XLA dtype name that the program names.
        values: A narrower dtype that holds all of the values of a product's operands, because
            they were converted from it on the way; None if there is none.
        precision: Of a product ``default``, ``high``, ``highest`` or the name of an algorithm
            (``dot_bf16_bf16_f32_x3``); None for every other op.

    Example:
        >>> from edgegraph.device.catalogue import find_device
        >>> arithmetic(find_device("a100"), "f32", precision="default")
        Arithmetic(dtype='tf32', passes=1)
        >>> arithmetic(find_device("tpu:v5e"), "f32", precision="high")
        Arithmetic(dtype='bf16', passes=3)
        >>> arithmetic(find_device("rpi5"), "f32", precision="default")
        Arithmetic(dtype='f32', passes=1)
    """
    if device is None or precision is None or device.f32_products is None:
        # Other devices compute as the program says: a CPU takes no notice of precisions.
        return Arithmetic(dtype)
    if values is not None:
        return Arithmetic(values)
    if _REAL.get(dtype, dtype) != "f32":
        return Arithmetic(dtype)
    named = _ALGORITHM.match(precision)
    if named is not None and named["lhs"] != "f32":
        return Arithmetic(named["lhs"], int(named["passes"] or 1))
    level = "highest" if named is not None else precision
    if device.f32_products == "bf16":
        return Arithmetic("bf16", _PASSES_OF_BF16.get(level, 1))
    return Arithmetic(dtype if level == "highest" else device.f32_products)
