"""The same module under other names and numbers, in another order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random

import edgegraph as eg
from edgegraph.hlo import schema
from edgegraph.hlo.schema import Proto


def shuffled(program: eg.Program, random: Random) -> eg.Program:
    """Rename, renumber and reorder all instructions and computations.

    Operands stay before their users, and computations before those that call them.
    """
    module = schema.HloModuleProto.FromString(program.serialized)
    computations = list(module.computations)
    computation_ids = _numbers([each.id for each in computations], random)
    orders: dict[int, list[int]] = {}
    for computation in computations:
        _reorder(computation, random)
        orders[computation.id] = [each.id for each in computation.instructions]
    instructions = [each for computation in computations for each in computation.instructions]
    ids = _numbers([each.id for each in instructions], random)
    for entry in module.schedule.entries:
        entry.value.instruction_ids[:] = [ids[each] for each in orders[entry.key]]
        entry.key = computation_ids[entry.key]
    names = random.sample(range(10 * len(instructions)), len(instructions))
    for instruction, name in zip(instructions, names, strict=True):
        _renumber(instruction, f"op.{name}", ids, computation_ids)
    for number, computation in enumerate(computations):
        computation.name = f"computation.{number}"
        computation.id = computation_ids[computation.id]
        computation.root_id = ids[computation.root_id]
    module.entry_computation_id = computation_ids[module.entry_computation_id]
    (module.entry_computation_name,) = (
        each.name for each in computations if each.id == module.entry_computation_id
    )
    return replace(program, serialized=module.SerializeToString())


def _numbers(old: Iterable[int], random: Random) -> Mapping[int, int]:
    old = list(old)
    return dict(zip(old, random.sample(range(1, 10 * len(old) + 1), len(old)), strict=True))


def _reorder(computation: Proto, random: Random) -> None:
    """Take one after the other of those whose operands have been taken."""
    waiting = list(computation.instructions)
    taken: list[Proto] = []
    done: set[int] = set()
    while waiting:
        ready = [
            each
            for each in waiting
            if done.issuperset(each.operand_ids) and done.issuperset(each.control_predecessor_ids)
        ]
        taken.append(random.choice(ready))
        waiting.remove(taken[-1])
        done.add(taken[-1].id)
    copies = [schema.HloInstructionProto.FromString(each.SerializeToString()) for each in taken]
    del computation.instructions[:]
    computation.instructions.extend(copies)


def _renumber(
    instruction: Proto, name: str, ids: Mapping[int, int], computations: Mapping[int, int]
) -> None:
    instruction.name = name
    instruction.id = ids[instruction.id]
    for field, numbers in (
        ("operand_ids", ids),
        ("control_predecessor_ids", ids),
        ("called_computation_ids", computations),
    ):
        known = getattr(instruction, field)
        known[:] = [numbers[each] for each in known]
