"""How XLA lays a program's buffers in memory: what it sets aside, and what takes over what.

Memory for the results is set aside for the whole run; so is that of donated arguments. What is
alive before a result is made may lie where the result will be. All other buffers share one heap.

Source: openxla/xla, ``BufferAssigner`` and ``HeapSimulator::RunComputation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from edgegraph.errors import FormatError
from edgegraph.hlo.module import Module, Shape
from edgegraph.memory.heap import Request, TimeSlots, heap_bytes
from edgegraph.memory.values import BufferReuse, Value, Values, find_buffer_reuse

POINTER_BYTES = 8
"""What an element takes in the table of a tuple."""

MAX_BYTES = 1 << 60
"""A program that needs more memory than this is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What XLA sets aside for a program: of every storage, of the heap of temporaries, of results.

    `output_bytes` have a tuple's table of pointers, and nothing of what lies in donated arguments.
    Of values that are `taken_over`, the op that reads them last uses the memory for its result.
    """

    sizes: Mapping[int, int]
    temp_bytes: int
    output_bytes: int
    in_arguments: frozenset[int]
    taken_over: frozenset[int]


def allocate(module: Module, values: Values) -> Allocation:
    """Lay the buffers of a scheduled module in memory as XLA does."""
    buffers = _buffers(module, values)
    members, sizes, reuse = buffers.members, buffers.sizes, buffers.reuse
    held = values.storages(values.arguments + values.constants)
    outputs = values.storages(values.outputs)
    places = _lay_in_results(buffers, outputs, held)
    heap = [s for s in members if s not in places and s not in held and sizes[s]]
    requests, groups = _replay(buffers, heap)
    places |= groups
    result = values.shapes[module.computations[module.entry].root]
    # What takes no memory has no place in it.
    donated = {places[storage] for storage in outputs & held if storage in places}
    return Allocation(
        sizes=sizes,
        temp_bytes=heap_bytes(requests),
        output_bytes=sum(sizes[storage] for storage in outputs - held) + _table_bytes(result),
        in_arguments=frozenset(
            storage for storage, place in places.items() if place in donated and storage not in held
        ),
        taken_over=frozenset(
            source
            for target, sources in reuse.sources.items()
            for source in sources
            if places.get(values.all[source].storage, -1)
            == places.get(values.all[target].storage, -2)
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Buffers:
    """The buffers of a program, by storage, and what XLA goes by when it lays them.

    The values' `ranks` are their numbers as XLA counts them: by the instructions' order in files.
    """

    values: Values
    members: Mapping[int, Sequence[int]]
    sizes: Mapping[int, int]
    reuse: BufferReuse
    ranks: Sequence[int]


def _buffers(module: Module, values: Values) -> _Buffers:
    members = values.by_storage()
    sizes = {
        storage: max([values.all[number].bytes for number in numbers])
        for storage, numbers in members.items()
    }
    if sum(sizes.values()) > MAX_BYTES:
        raise FormatError(f"HLO module {module.name!r}: its buffers add up to over 2^60 bytes")
    return _Buffers(
        values=values,
        members=members,
        sizes=sizes,
        reuse=find_buffer_reuse(module, values),
        ranks=_ranks(module, values.all),
    )


def _ranks(module: Module, values: Sequence[Value]) -> list[int]:
    known: dict[str, dict[str, int]] = {}
    first = 0
    outside_fusions = {value.node.computation for value in values}
    for computation in module.computations.values():
        if computation.name in outside_fusions:
            known[computation.name] = {
                i.name: first + place for place, i in enumerate(computation.instructions)
            }
        first += len(computation.instructions)
    return [known[v.node.computation][v.node.instruction.name] for v in values]


def _table_bytes(shape: Shape) -> int:
    """Return the size of the tables of pointers by which a tuple is passed."""
    inside = sum(_table_bytes(element) for element in shape.elements)
    return POINTER_BYTES * len(shape.elements) + inside


def _lay_in_results(
    buffers: _Buffers, outputs: frozenset[int], held: frozenset[int]
) -> dict[int, int]:
    """Set memory aside for results, and lay into it what has left it when they are made.

    `held` are the storages of arguments and constants; those that are outputs too are donated.
    Returns the number of the result's memory, by storage laid there.
    """
    members, sizes = buffers.members, buffers.sizes
    ranks = {s: min([buffers.ranks[number] for number in members[s]]) for s in members}
    laid = _ResultMemory(buffers)
    waiting = [s for s in members if (s in outputs or s not in held) and sizes[s]]
    for storage in sorted(waiting, key=lambda s: (-sizes[s], s not in outputs, ranks[s])):
        if storage in outputs:
            laid.reserve(storage)
        else:
            laid.try_to_lay(storage)
    return laid.places


class _ResultMemory:
    """What lies in the memory of results: its number, by storage, in `places`."""

    def __init__(self, buffers: _Buffers) -> None:
        self._values = buffers.values
        self._members = buffers.members
        self._reuse = buffers.reuse
        self._slots = TimeSlots(len(buffers.values.nodes))
        self._count = 0
        self._beginning: dict[tuple[int, int], set[int]] = {}
        self._ending: dict[tuple[int, int], set[int]] = {}
        self.places: dict[int, int] = {}

    def reserve(self, storage: int) -> None:
        """Set memory aside for a result."""
        self._lay(storage, self._count)
        self._count += 1

    def try_to_lay(self, storage: int) -> None:
        """Lay a buffer into a result's memory if it fits: an operand's, else the smallest."""
        if not self._count:
            return
        taken = 0
        for number in self._members[storage]:
            taken |= self._in_the_way(number)
        free = ((1 << self._count) - 1) & ~taken
        if free:
            place = self._operands_place(storage, free)
            self._lay(storage, free.bit_length() - 1 if place is None else place)

    def _lay(self, storage: int, place: int) -> None:
        self.places[storage] = place
        for number in self._members[storage]:
            value = self._values.all[number]
            self._slots.take(place, value.start, value.end)
            self._beginning.setdefault((place, value.start), set()).add(storage)
            self._ending.setdefault((place, value.end), set()).add(storage)

    def _in_the_way(self, number: int) -> int:
        """Return the places taken while a value is alive, unless it takes over or is taken over."""
        value = self._values.all[number]
        start, end, slots = value.start, value.end, self._slots
        sources = self._reuse.sources.get(number, ())
        targets = self._reuse.targets.get(number, ())
        if not sources and not targets:
            return slots.taken(start, end)
        at_start = slots.taken(start, start) & ~self._yielding(sources, start, self._beginning)
        at_end = slots.taken(end, end) & ~self._yielding(targets, end, self._ending)
        if start == end:
            return at_start & at_end
        between = slots.taken(start + 1, end - 1) if end - start > 1 else 0
        return at_start | between | at_end

    def _yielding(
        self, neighbours: Iterable[int], time: int, others: Mapping[tuple[int, int], set[int]]
    ) -> int:
        """Return the places where at that time nothing is in the way but a neighbour in time."""
        bits = 0
        for neighbour in neighbours:
            storage = self._values.all[neighbour].storage
            place = self.places.get(storage)
            if place is not None and others.get((place, time), set()) <= {storage}:
                bits |= 1 << place
        return bits

    def _operands_place(self, storage: int, free: int) -> int | None:
        for number in self._members[storage]:
            for name in self._values.all[number].node.operands:
                for operand in self._values.leaves[name]:
                    place = self.places.get(self._values.all[operand].storage)
                    if place is not None and free >> place & 1:
                        return place
        return None


def _replay(buffers: _Buffers, heap: Iterable[int]) -> tuple[list[Request], dict[int, int]]:
    """Replay when the heap's buffers are needed and freed; every making and freeing is a time.

    Returns the requests, and a number below zero by storage, the same for those that take over
    each other's memory.
    """
    every, ranks = buffers.values.all, buffers.ranks
    numbers = [number for storage in heap for number in buffers.members[storage]]
    made: dict[int, list[int]] = {}
    freed: dict[int, list[int]] = {}
    for number in sorted(numbers, key=lambda n: (every[n].start, every[n].end, ranks[n], n)):
        made.setdefault(every[number].start, []).append(number)
        freed.setdefault(every[number].end, []).append(number)
    now = count()
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    first: dict[int, int] = {}  # value in the memory of each storage
    together: dict[int, list[int]] = {}
    for time in sorted(made.keys() | freed.keys()):
        dying = freed.get(time, [])
        for number in made.get(time, ()):
            storage = every[number].storage
            source = None if storage in first else _source(buffers, number, dying, first)
            if source is not None:
                dying.remove(source)
                ends[source] = next(now)
                first[storage] = first[every[source].storage]
            together.setdefault(first.setdefault(storage, number), []).append(number)
            begins[number] = next(now)
        ends |= {number: next(now) for number in dying}
    requests = [
        Request(
            size_bytes=max([buffers.sizes[every[number].storage] for number in shared]),
            spans=tuple([(begins[number], ends[number]) for number in shared]),
            rank=ranks[oldest],
        )
        for oldest, shared in together.items()
    ]
    return requests, {storage: -1 - oldest for storage, oldest in first.items()}


def _source(
    buffers: _Buffers, number: int, dying: Sequence[int], first: Mapping[int, int]
) -> int | None:
    """Find the operand whose memory a value takes over: one that no other value shares."""
    every, members = buffers.values.all, buffers.members
    if len(members[every[number].storage]) > 1:
        return None
    for source in buffers.reuse.sources.get(number, ()):
        storage = every[source].storage
        alone = len(members[storage]) == 1 and storage in first
        if alone and every[source].node.name in every[number].node.operands and source in dying:
            return source
    return None
