"""How much memory the activations of a program need, by the rules that papers use.

The program is taken as the model was written, before XLA's optimisation. Convolutions, matrix
products, pools, other reductions and sums of two activations are layers; ReLU, batch
normalisation and all that is elementwise happen in place. The image is an activation like the
others; parameters and other state of the model are not counted. What XLA really allocates after
fusing stands in the program's memory statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from edgegraph.errors import InputError
from edgegraph.hlo.module import BITS_BY_DTYPE, Module, Shape
from edgegraph.hlo.op_name import UNATTRIBUTED
from edgegraph.memory.dataflow import Dataflow, Step, trace_activations

Policy = Literal["in_out", "inplace_depthwise", "liveness"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerActivations:
    """What one layer needs while it runs: `elements` and their `bytes`, by the policy.

    `name` is that of its op in the graph, `layer` the scope of the model.
    """

    name: str
    layer: str | None
    opcode: str
    output_elements: int
    elements: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationMemory:
    """The activation memory of a program under one policy; its layers are in order of execution."""

    policy: Policy
    input_elements: int
    layers: tuple[LayerActivations, ...]

    @property
    def total_elements(self) -> int:
        """Sum of the inputs and of every layer's output."""
        return self.input_elements + sum(layer.output_elements for layer in self.layers)

    @property
    def peak(self) -> LayerActivations | None:
        """The layer that needs the most bytes, the first of equals; None without layers."""
        return max(self.layers, key=lambda layer: layer.bytes, default=None)

    @property
    def peak_elements(self) -> int:
        """Elements at the peak."""
        return self.peak.elements if self.peak else self.input_elements

    @property
    def peak_bytes(self) -> int:
        """Bytes at the peak; 0 without layers."""
        return self.peak.bytes if self.peak else 0

    def peaks(self, depth: int) -> Mapping[str, int]:
        """Return the peak bytes of every scope of `depth` names, in order of execution."""
        peaks: dict[str, int] = {}
        for layer in self.layers:
            scope = "/".join((layer.layer or UNATTRIBUTED).split("/")[:depth])
            peaks[scope] = max(peaks.get(scope, 0), layer.bytes)
        return peaks


def activation_memory(
    module: Module, *, policy: Policy = "liveness", dtype: str | None = None
) -> ActivationMemory:
    """Compute the activation memory of a program from its module before optimisation.

    The policies:

    - ``in_out``: a layer needs its inputs and its output. What other layers hold for later, such
      as a residual, is left out. This is the rule of lectures (EfficientML, lecture 2).
    - ``inplace_depthwise``: the same, but a depthwise convolution writes each channel over its
      input and needs only the larger of the two (MCUNetV2).
    - ``liveness``: everything that a later op still reads is held as well, and an elementwise op
      copies what it may not overwrite.

    With a `dtype` (``s8``) it counts as if every activation were of that.
    """
    if policy not in POLICIES:
        raise InputError(f"policy {policy!r} is unknown; expected one of {', '.join(POLICIES)}")
    if dtype is not None and dtype not in BITS_BY_DTYPE:
        raise InputError(f"dtype {dtype!r} is not one of XLA's, such as f32, bf16 or s8")
    return _apply(policy, trace_activations(module), dtype)


def activation_peaks(module: Module) -> Mapping[Policy, LayerActivations] | None:
    """Find the layer that needs the most memory, by every policy.

    None where no layer makes an activation, or fusions of an optimised module hide what is stored.
    """
    if any(
        instruction.opcode == "fusion"
        for computation in module.computations.values()
        for instruction in computation.instructions
    ):
        return None
    flow = trace_activations(module)
    peaks = {policy: _apply(policy, flow, None).peak for policy in POLICIES}
    found = {policy: peak for policy, peak in peaks.items() if peak is not None}
    return found if len(found) == len(POLICIES) else None


def _apply(policy: Policy, flow: Dataflow, dtype: str | None) -> ActivationMemory:
    sizes = [_Size.of(shape, dtype) for shape in flow.shapes]
    layers = (
        _held_by_liveness(flow, sizes)
        if policy == "liveness"
        else _held_by_layer(flow, sizes, inplace_depthwise=policy == "inplace_depthwise")
    )
    return ActivationMemory(
        policy=policy,
        input_elements=sum(sizes[number].elements for number in flow.inputs),
        layers=layers,
    )


@dataclass(frozen=True, slots=True, order=True)
class _Size:
    """Size of an activation, or of several together."""

    bytes: int = 0
    elements: int = 0

    @classmethod
    def of(cls, shape: Shape, dtype: str | None) -> _Size:
        elements = sum(leaf.size for leaf in shape.leaves())
        if dtype is None:
            return cls(shape.bytes, elements)
        return cls((elements * BITS_BY_DTYPE[dtype] + 7) // 8, elements)

    def __add__(self, other: _Size) -> _Size:
        return _Size(self.bytes + other.bytes, self.elements + other.elements)

    def __sub__(self, other: _Size) -> _Size:
        return _Size(self.bytes - other.bytes, self.elements - other.elements)


_NOTHING = _Size()


def _layer(step: Step, output: _Size, needed: _Size) -> LayerActivations:
    return LayerActivations(
        name=step.name,
        layer=step.layer,
        opcode=step.opcode,
        output_elements=output.elements,
        elements=needed.elements,
        bytes=needed.bytes,
    )


def _is_layer(step: Step) -> bool:
    """Return whether an op is a layer of its own, not one that happens in place."""
    return step.makes is not None and (step.joins or not step.in_place)


def _held_by_layer(
    flow: Dataflow, sizes: list[_Size], *, inplace_depthwise: bool
) -> tuple[LayerActivations, ...]:
    """Return the inputs and the output of every layer."""
    layers = []
    for step in flow.steps:
        if step.makes is None or not _is_layer(step):
            continue
        inputs = sum((sizes[number] for number in step.reads), _NOTHING)
        output = sizes[step.makes]
        if step.in_place:
            needed = inputs
        elif step.depthwise and inplace_depthwise:
            needed = max(inputs, output)
        else:
            needed = inputs + output
        layers.append(_layer(step, output, needed))
    return tuple(layers)


def _held_by_liveness(flow: Dataflow, sizes: list[_Size]) -> tuple[LayerActivations, ...]:
    """Hold every activation from the op that makes it to the last that reads it."""
    last_read = dict.fromkeys(range(len(sizes)), -1)
    for position, step in enumerate(flow.steps):
        last_read.update(dict.fromkeys(step.reads, position))
    last_read.update(dict.fromkeys(flow.outputs, len(flow.steps)))

    buffers = {number: sizes[number] for number in flow.inputs if last_read[number] >= 0}
    live = sum(buffers.values(), _NOTHING)
    layers = []
    for position, step in enumerate(flow.steps):
        dying = [number for number in step.reads if last_read[number] == position]
        made = step.makes
        if made is not None:
            overwritten = _overwritten(step, dying, buffers, sizes[made])
            if overwritten is None:
                buffers[made] = sizes[made]
                live += sizes[made]
            else:
                buffers[made] = buffers.pop(overwritten)
                dying.remove(overwritten)
            if overwritten is None or _is_layer(step):
                layers.append(_layer(step, sizes[made], live))
            if last_read[made] < 0:
                dying.append(made)
        for number in dying:
            live -= buffers.pop(number)
    return tuple(layers)


def _overwritten(
    step: Step, dying: list[int], buffers: Mapping[int, _Size], needed: _Size
) -> int | None:
    """Choose the smallest operand that an op may write over: large enough, and read by no other."""
    if not step.in_place:
        return None
    fitting = [number for number in dying if buffers[number] >= needed]
    return min(fitting, key=lambda number: buffers[number], default=None)
