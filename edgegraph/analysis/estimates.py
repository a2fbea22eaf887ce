"""The time to expect of every op: calibrated here, or what its compiler expects.

A roof bounds a time from below; the calibration's table (`edgegraph.device.kernel_rates`) tells
what kernels of a kind and size take in fact. A kernel is expected to take

    launch + max(products + functions + arithmetic, data, roof)

where each is its work over the rate that its measured neighbours reached. What a fusion computes
again wherever it reads it counts as often (`edgegraph.analysis.evaluations`). What the CPU's
compiler made one function of, such as a scan of a few small ops, is launched once. The range is
that in which the table's own kernels lie when the others tell their rate, four times of five.

XLA's compilers for TPUs and GPUs leave estimates of single kernels in an instruction's
``backend_config``: ``estimated_cycles`` (TPU), ``reification_cost`` (GPU, from its cost models).
They are shown as they are, outliers too, in a column of their own. Of some kernels a compiler
says nothing (a TPU's sorts, a GPU's library calls): their time is unknown, and how much of the
program that concerns is in `compiler_coverage`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from edgegraph.analysis.evaluations import ONCE, PERHAPS_ONE_BY_ONE, evaluations
from edgegraph.analysis.kernel_work import move_kind, work_of
from edgegraph.analysis.overhead import one_kernel
from edgegraph.base.timing import bulk
from edgegraph.cost.custom_calls.kernels import is_callback
from edgegraph.device.device import Device
from edgegraph.device.kernel_rates import (
    FUNCTIONS,
    LOOPS,
    TIMED_APART,
    VECTORS,
    KernelRates,
)
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Instruction, Shape
from edgegraph.hlo.op_tree import OpTree
from edgegraph.results.records import OpRecord, main_memory_bytes

Times = tuple[float, ...]
"""Times of all executions in one call, in seconds, by several estimates."""


def distribute(whole: Mapping[str, Times], tree: OpTree[OpRecord]) -> Mapping[str, Times]:
    """Split kernels' times over the ops in them as their roofline times, and add up.

    Each kernel has as many times, of all executions. Those of containers are returned as well; ops
    of which nothing is known are left out.
    """
    times: dict[str, Times] = {}
    parents = {op.name: op.parent for op in tree.ops}

    def add(name: str | None, last: str | None, amount: Times) -> None:
        """Add to the containers from `name` outwards, to below `last`."""
        while name is not None and name != last:
            held = times.get(name)
            times[name] = amount if held is None else tuple(map(float.__add__, held, amount))
            name = parents[name]

    for kernel in tree.kernels:
        known, parent = whole.get(kernel.name), kernel.head.parent
        if known is None:
            continue
        nothing = (0.0,) * len(known)
        weights = [max(op.compute_time_s or 0.0, op.memory_time_s or 0.0) for op in kernel.leaves]
        total = sum(weights)
        if not total:
            weights[-1] = total = 1.0
        for op, weight in zip(kernel.leaves, weights, strict=True):
            part = nothing
            if weight:
                share = weight / total
                part = tuple([share * time for time in known])
            times[op.name] = part
            if op.parent not in (kernel.name, parent):
                add(op.parent, kernel.name, part)
        times[kernel.name] = known
        add(parent, None, known)
    return times


@bulk
def with_expected_times(
    nodes: Sequence[Node], records: Sequence[OpRecord], device: Device | None
) -> tuple[OpRecord, ...]:
    """Put the times to expect on the records, if a calibration measured the device's kernels."""
    if device is None or not device.kernel_rates:
        return tuple(records)
    tree, node_of = OpTree(records), {node.name: node for node in nodes}
    record_of = {record.name: record for record in records}
    shapes = {node.name: node.instruction.shape for node in nodes}
    rates = KernelRates(device.kernel_rates, device.peak_flops_per_s, device.guessed_kinds)
    model = _Model(rates, device, shapes)
    conditions = _conditions(nodes)
    outer, looped = one_kernel(nodes), _in_loops(nodes)
    launched: set[str] = set()
    whole: dict[str, Times] = {}
    for kernel in tree.kernels:
        if is_callback(node_of[kernel.head.name].instruction.custom_call_target):
            continue  # What Python takes on the host is unknown.
        call = outer.get(kernel.name, kernel.name)
        launches = 0 if call in launched else _times(record_of[call])
        launched.add(call)
        head = node_of[kernel.head.name].instruction
        started = _started(launches, conditions.get(kernel.head.name), call in looped)
        times = model.kernel_s(head, [(node_of[op.name], op) for op in kernel.leaves], started)
        if times is None:
            return tuple(records)  # A sum over some of the kernels would pass for that over all.
        whole[kernel.name] = times
    return _with_times(records, distribute(whole, tree), *_EXPECTED)


def older_calibration(records: Sequence[OpRecord], device: Device | None) -> str | None:
    """Say in a line why nothing is expected, where a calibration never timed what there is."""
    if device is None or not device.kernel_rates or any(op.expected_time_s for op in records):
        return None
    missing = sorted({*TIMED_APART} - {rate.kind for rate in device.kernel_rates})
    if not missing or not OpTree(records).kernels:
        return None
    return (
        f"no times are expected: this calibration has no rates of {', '.join(missing)}; run"
        " `edgegraph calibrate` again"
    )


class Started(NamedTuple):
    """How often a kernel is started: in a row, in a loop, and to decide on one more iteration."""

    launches: int = 0
    looped: int = 0
    decided: int = 0


def _started(launches: int, condition: str | None, looped: bool) -> Started:
    if condition is not None:  # of a loop of known length nothing is asked
        return Started(decided=0 if _KNOWN_LENGTH in condition else launches)
    return Started(looped=launches) if looped else Started(launches=launches)


_KNOWN_LENGTH = '"known_trip_count"'


def _in_loops(nodes: Sequence[Node]) -> frozenset[str]:
    """Name what stands in a loop, at any depth."""
    inside: set[str] = set()
    loops = {node.name for node in nodes if node.opcode == "while"}
    for node in nodes:  # containers stand before their contents
        if node.parent in loops or node.parent in inside:
            inside.add(node.name)
    return frozenset(inside)


def _conditions(nodes: Sequence[Node]) -> Mapping[str, str]:
    """Return the kernels of loops' conditions with the loops' configuration by XLA."""
    loops = {node.name: node.instruction for node in nodes if node.opcode == "while"}
    return {
        node.name: loops[node.parent].backend_config
        for node in nodes
        if node.parent in loops
        and loops[node.parent].called[1] == node.computation
        and node.opcode not in opcodes.NO_KERNEL
    }


LAUNCH_FACTOR = 2.0
"""By which the time to start an op may be off either way: it depends on the op's kind."""

_EXPECTED = ("expected_time_s", "expected_low_s", "expected_high_s")


def _with_times(
    records: Sequence[OpRecord], times: Mapping[str, Times], *columns: str
) -> tuple[OpRecord, ...]:
    """Put times on those records that have some."""
    return tuple(
        replace(record, **dict(zip(columns, times[record.name], strict=True)))
        if record.name in times
        else record
        for record in records
    )


class _Model:
    """Expects times of kernels."""

    def __init__(self, rates: KernelRates, device: Device, shapes: Mapping[str, Shape]) -> None:
        self._rates = rates
        self._launch_s = device.op_launch_s or 0.0
        looped_s = device.loop_op_launch_s
        self._looped_s = self._launch_s if looped_s is None else looped_s
        self._step_s = device.loop_step_s or 0.0
        self._shapes = shapes

    def kernel_s(
        self, head: Instruction, ops: Sequence[tuple[Node, OpRecord]], started: Started
    ) -> Times | None:
        """Return the time of all executions of a kernel, and its range, from the ops in it.

        None where an older calibration did not measure what it consists of.
        """
        times = _times(ops[0][1])  # what is in one kernel runs together
        arithmetic = self._arithmetic(head, ops)
        if arithmetic is None:
            return None
        arithmetic_s, factor, higher = arithmetic
        bytes_, compute_s, memory_s = 0, 0.0, 0.0
        for _, record in ops:
            compute_s += record.compute_time_s or 0.0
            if record.memory_time_s:
                memory_s += record.memory_time_s
                bytes_ += main_memory_bytes(record) or 0
        floor_s = max(compute_s, memory_s)
        moved = self._rates.expect(move_kind(ops), "f32", max(1, bytes_ // max(1, times)))
        moves_s = floor_s if moved is None else bytes_ / moved.rate_per_s
        if moved is not None and moves_s > arithmetic_s:
            factor, higher = moved.factor, moved.higher
        work_s = max(arithmetic_s, moves_s, floor_s)
        launch_s = (
            self._launch_s * started.launches
            + self._looped_s * started.looped
            + self._step_s * started.decided
        )
        return (
            launch_s + work_s,
            max(floor_s, launch_s / LAUNCH_FACTOR + work_s / higher),
            launch_s * LAUNCH_FACTOR + work_s * factor,
        )

    def _arithmetic(
        self, head: Instruction, ops: Sequence[tuple[Node, OpRecord]]
    ) -> tuple[float, float, float] | None:
        """Return the time of products and functions, and the factors of the one that takes most."""
        whole_s, most_s, factor, higher = 0.0, 0.0, 1.0, 1.0
        loops = head.opcode == "fusion" and head.fusion_kind != "kCustom"
        computed = evaluations([node for node, _ in ops], self._shapes) if loops else {}
        for node, record in ops:
            operands = [self._shapes[operand] for operand in node.operands]
            work = work_of(node, record, head, operands)
            known = self._rates.expect(work.kind, work.dtype, *work.sizes) if work.amount else None
            if known is not None:
                times, slowed = computed.get(node.name, ONCE)
                if work.kind not in VECTORISED:
                    slowed = 1.0
                took_s = work.amount * times * slowed / known.rate_per_s
                whole_s += took_s
                if took_s > most_s:
                    perhaps = min(slowed, PERHAPS_ONE_BY_ONE)
                    most_s, factor, higher = took_s, known.factor * perhaps, known.higher * perhaps
            elif work.kind in LOOPS + FUNCTIONS and (
                work.amount * _SLOWEST_S > self._launch_s * _times(record)
            ):
                return None
        return whole_s, factor, higher


VECTORISED = frozenset({"arithmetic", *VECTORS})
"""What is computed many values at a time, unless a condition stands before each."""

_SLOWEST_S = 1e-7
"""More than any function takes for a value, or a loop for a FLOP: few of them hardly show."""


def _times(record: OpRecord) -> int:
    return 1 if record.executions is None else record.executions


_CYCLES = re.compile(r'"estimated_cycles"\s*:\s*"?(\d{1,15})\b')
_COST = re.compile(r'"reification_cost"\s*:\s*\[(.*?)\]', re.DOTALL)
_ESTIMATE = re.compile(r'"exec_time_us"\s*:\s*([-+.\deE]+)[^{}]*?"name"\s*:\s*"([^"]*)"')
_TILED = re.compile(r'"kind"\s*:\s*"__triton"')
_OF_TILES = "indexing-cost-model"


def compiler_time_s(instruction: Instruction, clock_hz: float | None) -> float | None:
    """Return the compiler's own estimate of one execution of a kernel, in seconds.

    `clock_hz` turns a TPU's cycles into seconds. Of several estimates of a GPU's cost models it is
    the first, that of the model which XLA itself prefers for such a kernel; of a fusion that XLA
    cuts into tiles for Triton (softmax, norms) that of the tiles: the first says 2.1 s, and this
    10 µs, of the softmax of 4096 x 1024 on an H100, which reads and writes it in 10 µs.
    """
    config = instruction.backend_config
    if "estimated_cycles" in config and clock_hz is not None:
        cycles = _CYCLES.search(config)
        return None if cycles is None else int(cycles[1]) / clock_hz
    if "reification_cost" in config:
        cost = _COST.search(config)
        said = _ESTIMATE.findall(cost[1]) if cost else []
        found = [(model, float(time) * 1e-6) for time, model in said if float(time) > 0]
        if _TILED.search(config):
            found.sort(key=lambda estimate: estimate[0] != _OF_TILES)
        return found[0][1] if found else None
    return None


@bulk
def with_compiler_times(
    nodes: Sequence[Node], records: Sequence[OpRecord], clock_hz: float | None
) -> tuple[OpRecord, ...]:
    """Put the compiler's estimates on the records.

    What it says of a fusion is split over the ops inside as their roofline times, so that layers
    get their part; what a loop or call holds is counted as often as it runs.
    """
    said: dict[str, float] = {}
    for node, record in zip(nodes, records, strict=True):
        once = compiler_time_s(node.instruction, clock_hz)
        if once is not None:
            said[node.name] = once * _times(record)
    if not said:
        return tuple(records)
    # What is said of a loop is said of the kernels in it, too.
    times = distribute({name: (time_s,) for name, time_s in said.items()}, OpTree(records))
    return _with_times(records, times, "compiler_time_s")


def compiler_coverage(records: Sequence[OpRecord], waits_s: float = 0.0) -> float | None:
    """Return the share (0 to 1) of the time at the roof of ops with an estimate of the compiler.

    Asynchronous transfers have none. What runs beside kernels is left out, and `waits_s`, for
    which the kernels wait, is not: weights that a TPU fetches ahead cost its compiler no cycles.
    None where the compiler says nothing at all, or no op has a time.
    """
    if all(record.compiler_time_s is None for record in records):
        return None
    beside = {record.name for record in records if record.opcode in opcodes.STARTS}
    known_s, whole_s, said = 0.0, waits_s, False
    for record in OpTree(records).leaves:
        if record.name in beside or record.parent in beside:
            continue
        roof_s = max(record.compute_time_s or 0.0, record.memory_time_s or 0.0)
        whole_s += roof_s
        if record.compiler_time_s is not None:
            known_s += roof_s
            said = True
    return known_s / whole_s if said and whole_s else None


_SHOWN = 0.05
"""How far rounding may put XLA's roofline off."""

_HALF_UNIT = 2.0**-24
"""By which rounding to float32 puts off a number near 1."""

_MOST_S = 0.5
"""Programs that take longer than that at our own roofs may take a second by XLA's."""


def compiler_optimal_s(
    optimal_s: float, added: Sequence[str], roof_s: float | None
) -> float | None:
    """Return XLA's roofline without what it takes off for custom calls: a second each, for some.

    It takes none off for those that it can price, nor inside of fusions. The sum itself shows how
    many it took, where the program takes well under a second. What rounding puts off grows with the
    root of the number of terms (Higham, Accuracy and Stability of Numerical Algorithms, 2.8).

    Args:
        optimal_s: XLA's ``optimal_seconds``, a sum in float32.
        added: Opcodes of what it adds up: all nodes outside of fusions.
        roof_s: Time at our own roofs; None where unknown.

    Returns:
        Seconds; None where the sum does not show it, or rounding has eaten what it showed.

    Example:
        >>> compiler_optimal_s(7e-6, ["copy", "custom-call"], 5e-6)  # nothing was taken off
        7e-06
        >>> round(compiler_optimal_s(-1.9995, ["custom-call"] * 2 + ["fusion"], 3e-4), 5)
        0.0005
        >>> compiler_optimal_s(-0.9999998, ["custom-call", "fusion"], 1e-7)  # 0.2 us of 1 s
    """
    calls = added.count("custom-call")
    if not calls:
        return optimal_s
    taken = max(0, math.ceil(-optimal_s))
    found = optimal_s + taken
    terms = sum(opcode not in opcodes.FREE for opcode in added)
    rounding = math.sqrt(terms) * taken * _HALF_UNIT
    shown = taken <= calls and found * _SHOWN >= rounding and found > 0
    return found if shown and roof_s is not None and roof_s < _MOST_S else None
