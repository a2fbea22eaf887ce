"""Which layer and phase the equations of a traced function belong to, by the rules for its ops.

Layers are timed alone from their equations, and priced by the ops that XLA makes of these. So that
both have the same rows, the equations are written as the ops that they become before optimisation,
and `attribute` places them like any others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgegraph.analysis.attribution import LayerPhase, attribute
from edgegraph.hlo.graph import Node
from edgegraph.hlo.module import Instruction, Shape
from edgegraph.measure.regions import Region, Regions, ScanParts, join, scan_parts, variables

_OPCODES = {
    "dot_general": "dot", "ragged_dot_general": "ragged-dot", "conv_general_dilated": "convolution",
    "broadcast_in_dim": "broadcast", "convert_element_type": "convert", "squeeze": "reshape",
    "expand_dims": "reshape", "reshape": "reshape", "transpose": "transpose", "copy": "copy",
    "slice": "slice", "rev": "reverse", "dynamic_slice": "dynamic-slice", "iota": "iota",
}  # fmt: skip
_REDUCTION = re.compile(r"reduce_(?!precision)\w+")
_DTYPE = re.compile(r"(b?)(float|uint|int|complex)(\w+)")
_LETTERS = {"float": "f", "uint": "u", "int": "s", "complex": "c"}


def place_equations(
    regions: Regions, arguments: Sequence[str]
) -> Mapping[tuple[Region, int], LayerPhase]:
    """Return layer and phase of every equation, by its region and its position there.

    `arguments` are the names of the function's arguments, one by one (``params['conv1']['bias']``).
    """
    ops = _Ops()
    root = regions.root
    given = root.jaxpr.invars[len(regions.constants) :]
    for variable in regions.constants:
        ops.made[variable] = ops.add("constant", shape=_shape(variable.aval))
    for number, (variable, name) in enumerate(zip(given, arguments, strict=True)):
        ops.made[variable] = ops.add(
            "parameter", shape=_shape(variable.aval), op_name=name, parameter_number=number
        )
    ops.write(root)
    outputs = [_shape(atom.aval) for atom in root.jaxpr.outvars]
    made = [ops.maker(atom) for atom in root.jaxpr.outvars]
    ops.add("tuple", made, Shape(dtype="tuple", elements=tuple(outputs)))
    places = attribute(ops.nodes)
    return {key: (places[name].layer, places[name].phase) for key, name in ops.equations.items()}


class _Ops:
    """The ops while they are written; `made` has the op behind every variable."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.made: dict[Any, str] = {}
        self.equations: dict[tuple[Region, int], str] = {}
        self._inside: tuple[str | None, str] = (None, "main")

    def add(
        self, opcode: str, operands: Sequence[str] = (), shape: Shape | None = None, **more: Any
    ) -> str:
        """Add an op where the writing stands; return its name."""
        name = f"op.{len(self.nodes)}"
        parent, computation = self._inside
        instruction = Instruction(
            name=name, opcode=opcode, operands=tuple(operands), shape=shape or _NUMBER, **more
        )
        self.nodes.append(
            Node(
                name=name,
                opcode=instruction.opcode,
                instruction=instruction,
                computation=computation,
                parent=parent,
                operands=instruction.operands,
                position=len(self.nodes),
            )
        )
        return name

    def maker(self, atom: Any) -> str:
        """Name the op that makes a value; a literal becomes a constant."""
        literal = next(iter(variables([atom])), None) is None
        return self.add("constant") if literal or atom not in self.made else self.made[atom]

    def write(self, region: Region) -> None:
        """Write the equations of a region, with those that they run."""
        for position, equation in enumerate(region.jaxpr.eqns):
            primitive = equation.primitive.name
            opened, path = position in region.inside, region.paths[position]
            op_name = join(path, "while" if opened else primitive)
            if opened:
                bodies = region.inside[position]
                write = self._branches if bodies[0].kind == "branch" else self._loop
                name = write(equation, bodies, op_name)
            else:
                operands = [self.maker(atom) for atom in equation.invars]
                shape = _shape(equation.outvars[0].aval) if equation.outvars else _NUMBER
                name = self.add(_opcode(primitive), operands, shape, op_name=op_name)
                self.made.update(dict.fromkeys(equation.outvars, name))
            self.equations[region, position] = name

    def _loop(self, equation: Any, bodies: Sequence[Region], op_name: str) -> str:
        """Write a loop as XLA has it: on a tuple of all that it keeps from turn to turn."""
        body = bodies[-1]
        scan = scan_parts(equation, body.jaxpr) if body.kind == "scan" else None
        kept = [self.maker(atom) for atom in equation.invars]
        kept += [self.add("constant") for _ in (scan.stacked if scan else ())]
        state = self.add("tuple", kept)
        computation = f"body.{len(self.nodes)}"
        loop = self.add("while", [state], op_name=op_name, called=(computation, "condition"))
        around, self._inside = self._inside, (loop, computation)
        taken = self._take(len(kept))
        if scan is None:
            skipped = equation.params["cond_nconsts"]
            self.made.update(zip(body.jaxpr.invars, taken[skipped:], strict=True))
            self.write(body)
            carried = skipped + equation.params["body_nconsts"]
            after = [*taken[:carried], *map(self.maker, body.jaxpr.outvars)]
        else:
            after, carried = self._scan(body, scan, taken, op_name), scan.constants
        self.add("tuple", after)
        if scan is None:  # the condition
            self._inside = (loop, "condition")
            taken = self._take(len(kept))
            constants = taken[: equation.params["cond_nconsts"]]
            given = [*constants, *taken[carried:]]
            self.made.update(zip(bodies[0].jaxpr.invars, given, strict=True))
            self.write(bodies[0])
        self._inside = around
        results = range(carried, len(kept)) if scan is None else _results(scan, len(kept))
        self._results(equation, loop, results)
        return loop

    def _scan(self, body: Region, scan: ScanParts, taken: Sequence[str], op_name: str) -> list[str]:
        """Write what a scan's body does with its rows; return what it hands on."""
        same = len(body.jaxpr.invars) - len(scan.rows)
        self.made.update(zip(body.jaxpr.invars, taken[:same], strict=False))
        for row, stack in zip(scan.rows, taken[same:], strict=False):
            sliced = f"{op_name}/body/dynamic_slice"
            self.made[row] = self.add("dynamic-slice", [stack], _shape(row.aval), op_name=sliced)
        self.write(body)
        stacks = taken[len(body.jaxpr.invars) :]
        stacked = [
            self.add(
                "dynamic-update-slice",
                [stack, self.maker(row)],
                op_name=f"{op_name}/body/dynamic_update_slice",
            )
            for stack, row in zip(stacks, scan.made, strict=True)
        ]
        carried = map(self.maker, body.jaxpr.outvars[: scan.carries])
        return [
            *taken[: scan.constants], *carried, *taken[same : len(body.jaxpr.invars)], *stacked
        ]  # fmt: skip

    def _branches(self, equation: Any, bodies: Sequence[Region], op_name: str) -> str:
        index, *given = (self.maker(atom) for atom in equation.invars)
        state = self.add("tuple", given)
        called = tuple(f"branch.{len(self.nodes)}.{number}" for number in range(len(bodies)))
        choice = self.add(
            "conditional", [index, *[state] * len(bodies)], op_name=op_name, called=called
        )
        around = self._inside
        for computation, body in zip(called, bodies, strict=True):
            self._inside = (choice, computation)
            self.made.update(zip(body.jaxpr.invars, self._take(len(given)), strict=True))
            self.write(body)
            self.add("tuple", [self.maker(atom) for atom in body.jaxpr.outvars])
        self._inside = around
        self._results(equation, choice, range(len(equation.outvars)))
        return choice

    def _take(self, count: int) -> list[str]:
        """Add the parameter of a body, a tuple, and take it apart."""
        parameter = self.add("parameter", parameter_number=0)
        return [
            self.add("get-tuple-element", [parameter], tuple_index=number)
            for number in range(count)
        ]

    def _results(self, equation: Any, container: str, numbers: Iterable[int]) -> None:
        for variable, number in zip(equation.outvars, numbers, strict=True):
            taken = self.add(
                "get-tuple-element", [container], _shape(variable.aval), tuple_index=number
            )
            self.made[variable] = taken


def _results(scan: ScanParts, kept: int) -> list[int]:
    """Return where in its tuple a scan keeps what it returns: what it carries, and the stacks."""
    first = scan.constants
    return [*range(first, first + scan.carries), *range(kept - len(scan.stacked), kept)]


_NUMBER = Shape(dtype="f32")


def _shape(aval: Any) -> Shape:
    """Return a value's shape as XLA has it; one that is no array is opaque."""
    found = _DTYPE.fullmatch(str(getattr(aval, "dtype", "")))
    if found is None:
        is_array = str(getattr(aval, "dtype", "")) == "bool"
        return Shape(dtype="pred" if is_array else "opaque", dimensions=getattr(aval, "shape", ()))
    dtype = f"{found[1]}{_LETTERS[found[2]]}{found[3].replace('_', '')}"
    return Shape(dtype=dtype, dimensions=aval.shape)


def _opcode(primitive: str) -> str:
    reduces = _REDUCTION.fullmatch(primitive) is not None
    return "reduce" if reduces else _OPCODES.get(primitive, "custom-call")
