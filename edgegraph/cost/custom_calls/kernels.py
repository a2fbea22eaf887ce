"""Rules for kernels that say themselves what they cost, and for Python code on the host."""

from __future__ import annotations

import json
import re
from typing import Any

from edgegraph.cost.cost import Cost
from edgegraph.cost.custom_calls.form import integer
from edgegraph.cost.custom_calls.registry import CustomCall, UnknownFormError, built_in

# The kernel's code stands in the same JSON, megabytes of it, so only the estimate is parsed.
_COST_ESTIMATE = re.compile(r'"cost_estimate"\s*:\s*(\{[^{}]*\})')


@built_in(
    "tpu_custom_call",
    "__gpu$xla.gpu.triton",
    "triton_kernel_call",
    "triton_kernel_call_ffi",
    "mosaic_gpu",
    "mosaic_gpu_v2",
)
def pallas(call: CustomCall) -> Cost | None:
    """A Pallas or Triton kernel: the ``cost_estimate`` that its author gave to `pallas_call`.

    None where the call brings none along; JAX writes it for TPUs only. Of the bytes that it
    names, those of the results are written and the rest are read. MACs it does not name.
    """
    found = _COST_ESTIMATE.search(call.instruction.backend_config)
    if found is None:
        return None
    estimate = _read(found.group(1))
    moved = integer(estimate.get("bytes_accessed", 0))
    written = min(moved, call.result.bytes)
    return call.cost(
        macs=None,
        flops=integer(estimate.get("flops", 0)),
        transcendentals=integer(estimate.get("transcendentals", 0)),
        bytes_read=moved - written,
        bytes_written=written,
        wire_bytes=integer(estimate.get("remote_bytes_transferred", 0)),
    )


def _read(text: str) -> dict[str, Any]:
    try:
        estimate: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise UnknownFormError(f"cost estimate {text!r}") from error
    return estimate


_CALLBACKS = [f"{prefix}_python_{device}_callback" for device in ("cpu", "gpu")
              for prefix in ("xla", "xla_ffi", "xla_ffi_partitioned")]  # fmt: skip


@built_in(*_CALLBACKS)
def host_callback(call: CustomCall) -> None:
    """A Python function that runs on the host: what it does nobody can tell."""
