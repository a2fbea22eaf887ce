"""What kind of device a module was compiled for, as its instructions tell."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgegraph.hlo.schema import ListedModuleProto, Proto, each_instruction

TPU, GPU, CPU = "tpu", "gpu", "cpu"

_TARGETS = {
    TPU: re.compile(r"tpu_custom_call|X64(?:Combine|Split)|ResizeBilinear|Mosaic"),
    GPU: re.compile(r"__cu[a-z]+\$|__gpu\$|__triton|cu(?:solver|blas|dnn|fft)|hip(?:solver|blas)"),
    CPU: re.compile(r"lapack_|__onednn\$|__ynn|__xnn|TopK|EigenMatMul|ducc"),
}  # fmt: skip
"""Beginnings of the targets of custom calls."""

_CONFIGS = {
    TPU: re.compile(rb'"(?:window_config|flag_configs|estimated_cycles|scoped_memory_configs)"'),
    GPU: re.compile(
        rb'"(?:operation_queue_id|gemm_backend_config|cudnn_\w+|reification_cost|'
        rb'fusion_backend_config|collective_backend_config|device_type)"|__triton'
    ),
    CPU: re.compile(rb"outer_dimension_partitions|__ynn|__onednn|__xnn|xla_cpu"),
}
"""What stands in backend configurations."""


def platform_of(serialized: bytes) -> str | None:
    """Return ``tpu``, ``gpu`` or ``cpu``; None where nothing tells.

    TPUs alone have layouts in tiles of two dimensions; all else are names of library calls and of
    the fields that a compiler leaves in its instructions.
    """
    found: dict[str, int] = {}
    for instruction in each_instruction(ListedModuleProto.FromString(serialized)):
        for platform in _hints(instruction):
            found[platform] = found.get(platform, 0) + 1
    return max(found, key=lambda platform: found[platform]) if found else None


def _hints(instruction: Proto) -> Iterator[str]:
    shapes = instruction.shape.tuple_shapes or [instruction.shape]
    if any(len(shape.layout.tiles) for shape in shapes):
        yield TPU
    config, target = instruction.backend_config, instruction.custom_call_target
    yield from (platform for platform, each in _CONFIGS.items() if config and each.search(config))
    yield from (platform for platform, each in _TARGETS.items() if target and each.match(target))
