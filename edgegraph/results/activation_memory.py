"""The memory that a model's activations need, by the rules that papers count with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPeak:
    """The layer that needs the most memory for activations, by one of the rules.

    Attributes:
        bytes: What it needs.
        op: Name of its op in the module before optimisation.
        opcode: XLA's opcode of that op.
        layer: Scope of the model, or None.
    """

    bytes: int
    op: str
    opcode: str
    layer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationMemory:
    """Peak activation memory of the program as it was written, before XLA fuses anything.

    Parameters and state of the model are not counted; what is elementwise happens in place; a
    loop or a conditional is one op. `edgegraph.cost.activations` has the rules in full.

    Attributes:
        in_out: A layer needs its inputs and its output, and nothing else is held (the rule of
            EfficientML, lecture 2).
        inplace_depthwise: The same, but a depthwise convolution writes over its input (MCUNetV2).
        liveness: All that a later op still reads is held too, such as residuals, and what a
            backward pass will need.
    """

    in_out: ActivationPeak
    inplace_depthwise: ActivationPeak
    liveness: ActivationPeak
