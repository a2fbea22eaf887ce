"""How XLA lays a program's buffers in memory: what it sets aside, and what takes over what.

Memory for the results is set aside for the whole run; so is that of donated arguments. What is
alive before a result is made may lie where the result will be. All other buffers share one heap.

Source: openxla/xla, ``BufferAssigner`` and ``HeapSimulator::RunComputation``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgegraph.errors import FormatError
from edgegraph.hlo.module import Module, Shape
from edgegraph.memory.heap import Request, TimeSlots, heap_bytes
from edgegraph.memory.values import BufferReuse, InPlace, Value, Values, find_buffer_reuse

POINTER_BYTES = 8
"""What an element takes in the table of a tuple."""

MAX_BYTES = 1 << 60
"""A program that needs more memory than this is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What XLA sets aside for a program.

    Attributes:
        sizes: Bytes of every storage.
        temp_bytes: Size of the heap that the temporaries share.
        output_bytes: Bytes of the results, with a tuple's table of pointers, and without what
            lies in donated arguments.
        in_arguments: Storages that lie in donated arguments.
        taken_over: Values whose memory the op that reads them last uses for its result.
    """

    sizes: Mapping[int, int]
    temp_bytes: int
    output_bytes: int
    in_arguments: frozenset[int]
    taken_over: frozenset[int]


def allocate(module: Module, values: Values, in_place: InPlace) -> Allocation:
    """Lay a program's buffers in memory as XLA does.

    Args:
        module: The scheduled module.
        values: Its values.
        in_place: Which ops may write over their operands.

    Raises:
        FormatError: The buffers are larger than any memory.
    """
    members = values.by_storage()
    sizes = {
        storage: max([values.all[number].bytes for number in numbers])
        for storage, numbers in members.items()
    }
    if sum(sizes.values()) > MAX_BYTES:
        raise FormatError(f"HLO module {module.name!r}: its buffers add up to over 2^60 bytes")
    held = values.storages(values.arguments + values.constants)
    outputs = values.storages(values.outputs)
    reuse = find_buffer_reuse(values, in_place)
    layout = _Layout(values, members, sizes, reuse, _ranks(module, values.all))
    places = layout.lay_in_results(outputs, held)
    heap = [s for s in members if s not in places and s not in held and sizes[s]]
    requests, groups = layout.replay(heap)
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


def _ranks(module: Module, values: Sequence[Value]) -> list[int]:
    """Number the values as XLA does: by the instructions' order in the file."""
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
    """Return the size of the tables of pointers by which a tuple is handed over."""
    inside = sum(_table_bytes(element) for element in shape.elements)
    return POINTER_BYTES * len(shape.elements) + inside


class _Layout:
    """The buffers of a program and what XLA goes by when it lays them."""

    def __init__(
        self,
        values: Values,
        members: Mapping[int, Sequence[int]],
        sizes: Mapping[int, int],
        reuse: BufferReuse,
        ranks: Sequence[int],
    ) -> None:
        self._values = values
        self._members = members
        self._sizes = sizes
        self._reuse = reuse
        self._ranks = ranks

    def lay_in_results(self, outputs: frozenset[int], held: frozenset[int]) -> dict[int, int]:
        """Set memory aside for results, and lay into it what has left it when they are made.

        Args:
            outputs: Storages of results.
            held: Storages of arguments and constants; those that are results too are donated.

        Returns:
            The number of the result's memory by storage, for all storages laid there.
        """
        ranks = {s: min([self._ranks[n] for n in numbers]) for s, numbers in self._members.items()}
        laid = _Laid(self._values, self._members, self._reuse)
        waiting = [s for s in self._members if (s in outputs or s not in held) and self._sizes[s]]
        for storage in sorted(waiting, key=lambda s: (-self._sizes[s], s not in outputs, ranks[s])):
            if storage in outputs:
                laid.reserve(storage)
            else:
                laid.try_to_lay(storage)
        return laid.places

    def replay(self, heap: Iterable[int]) -> tuple[list[Request], dict[int, int]]:
        """Replay in which order the heap's buffers are needed and freed.

        Args:
            heap: Storages that lie in the heap.

        Returns:
            What is needed when, and a number by storage that is the same for those that take
            over each other's memory.
        """
        every = self._values.all
        ordered = sorted(
            (every[number].start, every[number].end, self._ranks[number], number)
            for storage in heap
            for number in self._members[storage]
        )
        made: dict[int, list[int]] = {}
        freed: dict[int, list[int]] = {}
        for start, end, _, number in ordered:
            made.setdefault(start, []).append(number)
            freed.setdefault(end, []).append(number)
        replay = _Replay(self._values, self._members, self._reuse)
        for time in sorted(made.keys() | freed.keys()):
            replay.step(made.get(time, ()), freed.get(time, []))
        return replay.requests(self._sizes, self._ranks), replay.groups()


class _Laid:
    """What lies in the memory of results."""

    def __init__(
        self, values: Values, members: Mapping[int, Sequence[int]], reuse: BufferReuse
    ) -> None:
        self._values = values
        self._members = members
        self._reuse = reuse
        self._slots = TimeSlots(len(values.nodes))
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
        self,
        neighbours: Iterable[int],
        time: int,
        others: Mapping[tuple[int, int], set[int]],
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


class _Replay:
    """The heap's buffers in the order in which they are needed and freed.

    Attributes:
        clock: Counts every making and freeing; XLA's heap knows no other time.
    """

    def __init__(
        self, values: Values, members: Mapping[int, Sequence[int]], reuse: BufferReuse
    ) -> None:
        self._values = values
        self._members = members
        self._reuse = reuse
        self._clock = 0
        self._made: dict[int, int] = {}
        self._freed: dict[int, int] = {}
        self._first: dict[int, int] = {}
        self._together: dict[int, list[int]] = {}

    def step(self, made: Iterable[int], freed: list[int]) -> None:
        """Run an op: its results are made, then what dies with it is freed.

        Args:
            made: Values that begin.
            freed: Values that end; those that are taken over are removed.
        """
        for number in made:
            storage = self._values.all[number].storage
            source = None if storage in self._first else self._source(number, freed)
            if source is not None:
                freed.remove(source)
                self._free(source)
                self._first[storage] = self._first[self._values.all[source].storage]
            first = self._first.setdefault(storage, number)
            self._together.setdefault(first, []).append(number)
            self._made[number] = self._tick()
        for number in freed:
            self._free(number)

    def requests(self, sizes: Mapping[int, int], ranks: Sequence[int]) -> list[Request]:
        """Return what is needed when."""
        return [
            Request(
                size_bytes=max([sizes[self._values.all[number].storage] for number in numbers]),
                spans=tuple([(self._made[number], self._freed[number]) for number in numbers]),
                rank=ranks[first],
            )
            for first, numbers in self._together.items()
        ]

    def groups(self) -> dict[int, int]:
        """Number the storages that take over each other's memory, below zero."""
        return {storage: -1 - first for storage, first in self._first.items()}

    def _source(self, number: int, freed: Sequence[int]) -> int | None:
        """Find the operand whose memory a value takes over: one that no other value shares."""
        every, members = self._values.all, self._members
        value = every[number]
        if len(members[value.storage]) > 1:
            return None
        for source in self._reuse.sources.get(number, ()):
            storage = every[source].storage
            alone = len(members[storage]) == 1 and storage in self._first
            if alone and every[source].node.name in value.node.operands and source in freed:
                return source
        return None

    def _free(self, number: int) -> None:
        self._freed[number] = self._tick()

    def _tick(self) -> int:
        self._clock += 1
        return self._clock - 1
