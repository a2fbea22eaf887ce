"""How a program is spread over several chips: a mesh of them, and a partition of every argument.

Two ways, and both together. *Data parallel*: every chip holds all parameters and a part of the
batch. *Tensor parallel*, after Megatron-LM (Shoeybi et al., "Megatron-LM: Training Multi-Billion
Parameter Language Models Using Model Parallelism", 2019): of two products in a row the first
kernel is split by its output features and the second by its input features, so that nothing is
exchanged between them, and a sum over the chips stands behind the second. All other arrays are
whole on every chip; what must be exchanged for that, XLA's partitioner (Shardy) puts in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from edgegraph.errors import InputError, positive_integer
from edgegraph.workload import Call, Workload

DATA, TENSOR = "data", "tensor"

AUTOMATIC = (AxisType.Auto, AxisType.Auto)
"""XLA's partitioner decides about all that is not said, and the program need not know of it."""

Partition = Callable[[str, tuple[int, ...]], "PartitionSpec | None"]
"""From the path of an array among the arguments (``0/dense/kernel``) and its shape, how it is
split; None leaves it to the rules of this module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMesh:
    """How many chips share the batch, and over how many every kernel is split.

    Example:
        >>> mesh = DeviceMesh(data=4, tensor=2)
        >>> mesh.chips, str(mesh), str(DeviceMesh(data=4))
        (8, 'data 4 x tensor 2', 'data 4')
    """

    data: int = 1
    tensor: int = 1

    def __post_init__(self) -> None:
        """Refuse sizes that are none."""
        for size in (self.data, self.tensor):
            positive_integer(size, "the size of a mesh axis")

    @property
    def chips(self) -> int:
        """How many there are."""
        return self.data * self.tensor

    def __str__(self) -> str:
        """Name the sides that there are."""
        sides = [(DATA, self.data), (TENSOR, self.tensor)]
        named = [f"{name} {size}" for name, size in sides if size > 1]
        return " x ".join(named) or "one chip"


def sharded(
    workload: Workload, batch: int, mesh: DeviceMesh, partition: Partition | None = None
) -> Call:
    """Return the call of a workload with its arguments spread over a mesh of chips.

    The batch axis of an array is the one that grows with the batch size. Kernels are split as
    the module's text says, in the order in which the program uses them; where the chips do not
    divide a kernel evenly it stays whole. `batch` is over all chips; `partition` says of single
    arrays how they are split.
    """
    call = workload.call(batch)
    leaves, structure = jax.tree.flatten(call.abstract)
    paths = _paths(call.abstract)
    doubled = jax.tree.leaves(workload.call(2 * batch).abstract)
    specs = [_by_batch(one, two, mesh, batch) for one, two in zip(leaves, doubled, strict=True)]
    if mesh.tensor > 1:
        split = _by_tensor(call, mesh.tensor)
        for number, path in enumerate(paths):
            # An optimizer's state of a parameter is split as the parameter is.
            owner = split.get(number) or next(
                (split[at] for at in split if _same(paths[at], leaves[at], path, leaves[number])),
                None,
            )
            if owner is not None and not specs[number]:
                specs[number] = owner
    if partition is not None:
        for number, (path, leaf) in enumerate(zip(paths, leaves, strict=True)):
            specs[number] = _asked(partition, path, leaf) or specs[number]
    names = AbstractMesh((mesh.data, mesh.tensor), (DATA, TENSOR), axis_types=AUTOMATIC)
    abstract = [
        jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=NamedSharding(names, spec))
        for leaf, spec in zip(leaves, specs, strict=True)
    ]
    return Call(
        function=call.function,
        abstract=jax.tree.unflatten(structure, abstract),
        concrete=call.concrete,
        donate=call.donate,
    )


def _paths(tree: Any) -> list[str]:
    found, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in found]


def _by_batch(one: Any, two: Any, mesh: DeviceMesh, batch: int) -> PartitionSpec:
    sizes = zip(one.shape, two.shape, strict=True)
    axis = next((at for at, (size, grown) in enumerate(sizes) if size != grown), None)
    if axis is None or mesh.data == 1:
        return PartitionSpec()
    if one.shape[axis] % mesh.data:
        raise InputError(
            f"{mesh.data} chips do not divide the batch of {batch} evenly; give a multiple of"
            f" {mesh.data}"
        )
    return PartitionSpec(*[None] * axis, DATA)


def _same(path: str, leaf: Any, other: str, candidate: Any) -> bool:
    """Return whether an array is kept beside a parameter: of its shape, under its path."""
    tail = path.partition("/")[2]
    return bool(tail) and other.endswith(f"/{tail}") and leaf.shape == candidate.shape


def _asked(partition: Partition, path: str, leaf: Any) -> PartitionSpec | None:
    spec = partition(path, tuple(leaf.shape))
    if spec is not None and not isinstance(spec, PartitionSpec):
        raise InputError(
            f"the partition of {path!r} is {spec!r}; give a jax.sharding.PartitionSpec with the"
            f" axes {DATA!r} and {TENSOR!r}, or None"
        )
    return spec


def _by_tensor(call: Call, chips: int) -> dict[int, PartitionSpec]:
    """Return the partition of every kernel, by its position among the arguments."""
    jaxpr = jax.make_jaxpr(call.function)(*call.abstract).jaxpr
    kernels = _Kernels(chips)
    kernels.walk(jaxpr, [_Value(argument=number) for number in range(len(jaxpr.invars))])
    return kernels.found


@dataclass(frozen=True, slots=True)
class _Value:
    """What is known of a value while the program is walked through.

    Attributes:
        argument: The argument that it is, perhaps converted; None for what was computed.
        skipped: Leading axes of the argument that a scan has taken off.
        split: Whether its features are spread over the chips.
    """

    argument: int | None = None
    skipped: int = 0
    split: bool = False


class _Kernels:
    """Decides for one kernel after the other, in the order of use."""

    def __init__(self, chips: int) -> None:
        self._chips = chips
        self.found: dict[int, PartitionSpec] = {}

    def walk(self, jaxpr: Any, arguments: Sequence[_Value]) -> list[_Value]:
        """Follow the values through a program; return those of its results."""
        known: dict[Any, _Value] = dict(zip(jaxpr.invars, arguments, strict=True))

        def of(atom: Any) -> _Value:
            return _Value() if hasattr(atom, "val") else known.get(atom, _Value())

        for equation in jaxpr.eqns:
            operands = [of(atom) for atom in equation.invars]
            results = self._equation(equation, operands)
            known |= dict(zip(equation.outvars, results, strict=True))
        return [of(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, operands: list[_Value]) -> list[_Value]:
        name, count = equation.primitive.name, len(equation.outvars)
        if name == "scan":
            return self._scan(equation, operands)
        inner = _called(equation)
        if inner is not None and len(inner.invars) == len(operands):
            return self.walk(inner, operands)
        if name in ("convert_element_type", "copy") and operands[0].argument is not None:
            return operands
        if name in ("dot_general", "conv_general_dilated"):
            for side in (1, 0):
                kernel, other = operands[side], operands[1 - side]
                if kernel.argument is not None and other.argument != kernel.argument:
                    split = self._product(equation, kernel, side, split=other.split)
                    if split is not None:
                        return [_Value(split=split)] * count
        return [_Value(split=any(operand.split for operand in operands))] * count

    def _scan(self, equation: Any, operands: list[_Value]) -> list[_Value]:
        body = _called(equation)
        # What is scanned comes in without its first axis.
        inside = [
            value
            if inner.aval.ndim == outer.aval.ndim
            else _Value(argument=value.argument, skipped=value.skipped + 1, split=value.split)
            for value, outer, inner in zip(operands, equation.invars, body.invars, strict=True)
        ]
        return self.walk(body, inside)

    def _product(self, equation: Any, kernel: _Value, side: int, *, split: bool) -> bool | None:
        """Split a kernel; return whether the result's features are spread, None if it is none."""
        shape = equation.invars[side].aval.shape
        outputs, inputs = _features(equation, side)
        grouped = equation.params.get("feature_group_count", 1) > 1
        if not outputs or len(shape) < 2 or (inputs is None and not grouped):
            return None
        argument = kernel.argument
        assert argument is not None
        if argument in self.found:
            return not split
        axis = inputs if split else outputs[0]
        if grouped:  # its channels stay apart, so it is split only where they are
            axis = outputs[0] if split else None
        if axis is None or shape[axis] % self._chips:
            return split and grouped
        self.found[argument] = PartitionSpec(*[None] * (kernel.skipped + axis), TENSOR)
        return grouped or not split


def _called(equation: Any) -> Any:
    """Return the program that an equation calls once with its operands; None without one."""
    params = equation.params
    inner = next((params[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in params), None)
    return getattr(inner, "jaxpr", inner)


def _features(equation: Any, side: int) -> tuple[list[int], int | None]:
    """Return the axes of a kernel that make output features, and the first that is summed over."""
    if equation.primitive.name == "conv_general_dilated":
        numbers = equation.params["dimension_numbers"]
        return ([numbers.rhs_spec[0]], numbers.rhs_spec[1]) if side == 1 else ([], None)
    contracting, batch = equation.params["dimension_numbers"]
    summed, shared = contracting[side], batch[side]
    rank = len(equation.invars[side].aval.shape)
    outputs = [axis for axis in range(rank) if axis not in (*summed, *shared)]
    return outputs, summed[0] if summed else None
