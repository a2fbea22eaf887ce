"""What the compiler for a device expects of its own program, beside what the roofline says.

XLA's compilers for TPUs and GPUs leave estimates of single kernels in an instruction's
``backend_config``: ``estimated_cycles`` (TPU), ``reification_cost`` (GPU, from its cost models).
They are shown as they are, wild ones too, in a column of their own. Of some kernels a compiler
says nothing (a TPU's sorts, a GPU's library calls): their time is unknown, and how much of the
program that concerns is told by `compiler_coverage`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from edgegraph.bulk import bulk
from edgegraph.graph import Node
from edgegraph.hlo import opcodes
from edgegraph.hlo.module import Instruction
from edgegraph.hlo.op_tree import OpTree
from edgegraph.kernel_times import distribute
from edgegraph.results.records import OpRecord

_CYCLES = re.compile(r'"estimated_cycles"\s*:\s*"?(\d{1,15})\b')
_COST = re.compile(r'"reification_cost"\s*:\s*\[(.*?)\]', re.DOTALL)
_MICROSECONDS = re.compile(r'"exec_time_us"\s*:\s*([-+.\deE]+)')


def compiler_time_s(instruction: Instruction, clock_hz: float | None) -> float | None:
    """Return the compiler's own estimate of one execution of a kernel.

    Args:
        instruction: With the ``backend_config`` that the compiler wrote.
        clock_hz: Of the device, to turn a TPU's cycles into seconds; None where unknown.

    Returns:
        Seconds; None where the compiler says nothing. Of several estimates of a GPU's cost models
        the first, that of the model which XLA itself prefers for such a kernel.

    Example:
        >>> from edgegraph.hlo.module import Shape
        >>> fusion = Instruction(name="f", opcode="fusion", shape=Shape(dtype="f32"),
        ...     backend_config='{"window_config":{"estimated_cycles":"3000"}}')
        >>> compiler_time_s(fusion, clock_hz=1.5e9)
        2e-06
    """
    config = instruction.backend_config
    if "estimated_cycles" in config and clock_hz is not None:
        cycles = _CYCLES.search(config)
        return None if cycles is None else int(cycles[1]) / clock_hz
    if "reification_cost" in config:
        cost = _COST.search(config)
        times = _MICROSECONDS.findall(cost[1]) if cost else []
        found = [float(time) * 1e-6 for time in times if float(time) > 0]
        return found[0] if found else None
    return None


@bulk
def with_compiler_times(
    nodes: Sequence[Node], records: Sequence[OpRecord], clock_hz: float | None
) -> tuple[OpRecord, ...]:
    """Put the compiler's estimates on the records.

    What it says of a fusion is split over the ops inside as their roofline times, so that layers
    get their part; what a loop or call holds is counted as often as it runs.

    Args:
        nodes: All nodes, containers before their contents.
        records: Of the nodes, in the same order.
        clock_hz: Of the device, or None.
    """
    said: dict[str, float] = {}
    for node, record in zip(nodes, records, strict=True):
        once = compiler_time_s(node.instruction, clock_hz)
        if once is not None:
            said[node.name] = once * (1 if record.executions is None else record.executions)
    if not said:
        return tuple(records)
    # What is said of a loop is said of the kernels in it, too.
    times = distribute({name: (time_s,) for name, time_s in said.items()}, OpTree(records))
    return tuple(
        replace(record, compiler_time_s=times[record.name][0]) if record.name in times else record
        for record in records
    )


def compiler_coverage(records: Sequence[OpRecord]) -> float | None:
    """Return the share of the time at the roof that is of ops with an estimate of the compiler.

    Asynchronous transfers are left out, since they run beside the kernels.

    Args:
        records: What `with_compiler_times` returned.

    Returns:
        From 0 to 1; None where the compiler says nothing at all, or no op has a time.
    """
    beside = {record.name for record in records if record.opcode in opcodes.STARTS}
    known_s, whole_s, said = 0.0, 0.0, False
    for record in OpTree(records).leaves:
        if record.name in beside or record.parent in beside:
            continue
        roof_s = max(record.compute_time_s or 0.0, record.memory_time_s or 0.0)
        whole_s += roof_s
        if record.compiler_time_s is not None:
            known_s += roof_s
            said = True
    return known_s / whole_s if said and whole_s else None
