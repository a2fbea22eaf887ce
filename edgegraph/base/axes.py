"""Names of the axes along which a workload is sized: the batch, and those of its own."""

from __future__ import annotations

from collections.abc import Mapping

BATCH = "batch"


def fixed_name(name: str, sizes: Mapping[str, int]) -> str:
    """Return the name of a workload with sizes fixed along axes.

    Example:
        >>> fixed_name("prefill", {"length": 512}), fixed_name("prefill", {})
        ('prefill(length=512)', 'prefill')
    """
    said = ", ".join(f"{axis}={size}" for axis, size in sizes.items())
    return f"{name}({said})" if said else name


def sizes_in_words(sizes: Mapping[str, int]) -> str:
    """Return sizes along axes as a sentence has them.

    Example:
        >>> sizes_in_words({"batch": 8, "length": 512})
        'batch 8, length 512'
    """
    return ", ".join(f"{axis} {size}" for axis, size in sizes.items())
