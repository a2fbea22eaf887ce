"""What to expect of a board that is not here, by what another machine reaches.

A kernel is taken to come as near to the board's peak as one of its kind and size comes to that of
the machine that was calibrated: a matrix product that reaches 80 % of the f32 peak there is
expected to reach 80 % of the board's peak in its dtype. What moves data is as much faster or
slower as the peak is, up to the board's bandwidth. Depthwise and grouped convolutions, of which
XLA's CPU backend makes poor loops, are taken to be computed in vectors, as libraries for boards do.
How good those are is not known here; so this is a first guess, is called so, and has a range that
begins at the roofs. What was measured on the board itself counts as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgegraph.device.device import Device
from edgegraph.device.kernel_rates import MOVES, PRODUCTS, KernelRate, KernelRates

GPU_LAUNCH_S = 2e-6
"""What starting a kernel of a GPU takes: between 1 and 5 µs, which XLA's own cost model has said
(``kKernelLaunchOverhead`` in ``xla/service/gpu/model/gpu_performance_model_base.h``)."""


def forecast(board: Device, machine: Device | None, *, gpu: bool = False) -> Device:
    """Return a board with rates of single kernels from a machine that was calibrated.

    Args:
        board: Its roofs; rates that it has itself are kept.
        machine: Whose kernels stand in for its own; None where none was calibrated, which leaves
            the board as it is.
        gpu: Whether every kernel is launched by a host.

    Example:
        >>> from edgegraph.device.device import MemoryLevel
        >>> dram = MemoryLevel(name="DRAM", size_bytes=None, bandwidth_bytes_per_s=1e9)
        >>> known = {"memory": (dram,), "origin": "", "source": ""}
        >>> dot = KernelRate(kind="dot", dtype="f32", rows=8, columns=8, depth=8, rate_per_s=5e9)
        >>> here = Device(
        ...     name="here", peak_flops_per_s={"f32": 1e10}, kernel_rates=(dot,), **known)
        >>> board = forecast(Device(name="board", peak_flops_per_s={"f32": 2e9}, **known), here)
        >>> board.kernel_rates[0].rate_per_s, board.guessed_from
        (1000000000.0, 'here')
    """
    if machine is None or not machine.kernel_rates:
        return board
    own = {rate.kind for rate in board.kernel_rates}
    vectors = KernelRates(machine.kernel_rates)
    borrowed = [
        _moved(rate, machine, board, vectors)
        for rate in machine.kernel_rates
        if rate.kind not in own and (rate.kind not in PRODUCTS or rate.dtype == "f32")
    ]
    if not borrowed:
        return board
    return replace(
        board,
        kernel_rates=(*board.kernel_rates, *borrowed),
        guessed_from=machine.name,
        guessed_kinds=tuple(dict.fromkeys(rate.kind for rate in borrowed)),
        **_launches(board, machine, gpu),
    )


def _moved(rate: KernelRate, machine: Device, board: Device, vectors: KernelRates) -> KernelRate:
    """Return the rate that is as near to the board's peak as it is to the machine's."""
    here, there = (device.peak_flops_per_s[device.roof_dtype("f32")] for device in (machine, board))
    reached = rate.rate_per_s
    if rate.kind in ("depthwise", "grouped"):
        vector = vectors.expect("arithmetic", "f32", rate.rows * rate.columns)
        reached = max(reached, 0.0 if vector is None else vector.rate_per_s)
    found = reached * there / here
    if rate.kind in MOVES:
        found = min(found, board.level_for(rate.rows).bandwidth_bytes_per_s)
    return replace(rate, rate_per_s=found)


def _launches(board: Device, machine: Device, gpu: bool) -> dict[str, Any]:
    """Return what starting things takes: as the board says, else as on the machine."""
    known = {
        name: getattr(machine if getattr(board, name) is None else board, name)
        for name in _LAUNCHES
    }
    launched = ("op_launch_s", "loop_op_launch_s") if gpu and board.op_launch_s is None else ()
    return known | dict.fromkeys(launched, GPU_LAUNCH_S)


_LAUNCHES = (
    "dispatch_s", "op_launch_s", "loop_op_launch_s", "loop_step_s", "argument_s", "result_s",
)  # fmt: skip
