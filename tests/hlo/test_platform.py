from __future__ import annotations

import pytest

from edgegraph.hlo.platform import platform_of
from tests.corpus.files import FILES, serialized

SILENT = {
    "gpu_all_gather_async", "gpu_all_reduce_of_many", "gpu_all_to_all", "gpu_collective_permute",
    "gpu_command_buffer", "gpu_reduce_scatter_async", "gpu_reduce_scatter_sugar",
    "gpu_unknown_kernel", "tpu_shardings",
}  # fmt: skip
"""Written by hand without what the compilers leave in every module."""


@pytest.mark.parametrize("folder", ["ahead_of_time", "handwritten", "real"])
def test_a_module_tells_what_it_was_compiled_for(folder: str) -> None:
    for name in FILES:
        if not name.startswith(folder) or name.split("/")[1].split(".")[0] in SILENT:
            continue
        expected = "tpu" if "tpu" in name else "gpu" if "a100" in name or "gpu" in name else "cpu"
        allowed = {"cpu", None} if folder == "real" else {expected}
        assert platform_of(serialized(name)) in allowed, name


def test_a_module_that_tells_nothing() -> None:
    assert platform_of(serialized("handwritten/gpu_all_to_all.hlo")) is None
