"""What a program holds in memory, by the layers of its model."""

from __future__ import annotations

from collections.abc import Mapping

from edgegraph.analysis.attribution import Attribution
from edgegraph.compiler.program import Program
from edgegraph.hlo.op_name import parse_parameter_name
from edgegraph.memory.activations import activation_peaks
from edgegraph.memory.live import HeldBuffer, MemoryProfile
from edgegraph.results.memory import ActivationMemory, ActivationPeak, LiveBuffer, LiveMemory

MOST_INSTRUCTIONS = 20_000
"""Compiled programs larger than this are not taken back to what they were before optimisation:
building that module again takes seconds, and analysing is to take a fraction of compiling."""


def live_memory(
    profile: MemoryProfile | None, attributions: Mapping[str, Attribution]
) -> LiveMemory | None:
    """Return which layers the buffers belong to, and what they are to the model."""
    if profile is None:
        return None
    return LiveMemory(
        ops=tuple([node.name for node in profile.steps]),
        alive_bytes=profile.alive_bytes,
        peak_position=profile.peak_step,
        peak_op=profile.peak_node.name,
        peak_layer=attributions[profile.peak_node.name].layer,
        peak_buffers=tuple(
            [
                LiveBuffer(
                    name=buffer.node.name,
                    layer=attributions[buffer.node.name].layer,
                    bytes=buffer.bytes,
                    kind=_kind(buffer, attributions[buffer.node.name]),
                )
                for buffer in profile.held
            ]
        ),
        temp_bytes=profile.allocation.temp_bytes,
        output_bytes=profile.allocation.output_bytes,
    )


def activation_memory(program: Program) -> ActivationMemory | None:
    """Find the activation memory of a program before optimisation, where that is at hand.

    None for a compiled module from a file, a compiled program that is very large, and where no
    layer makes an activation.
    """
    if program.stage != "lowered" and program.module.instruction_count > MOST_INSTRUCTIONS:
        return None
    module = program.module_before
    peaks = None if module is None else activation_peaks(module)
    if peaks is None:
        return None
    return ActivationMemory(
        **{
            policy: ActivationPeak(
                bytes=peak.bytes, op=peak.name, opcode=peak.opcode, layer=peak.layer
            )
            for policy, peak in peaks.items()
        }
    )


def _kind(buffer: HeldBuffer, attribution: Attribution) -> str:
    if buffer.role == "argument":
        named = parse_parameter_name(buffer.node.instruction.op_name)
        return "argument" if named is None else "weights"
    forward = attribution.phase in ("forward", "rematerialised")
    if buffer.role == "temporary" and buffer.from_input and forward:
        return "activation"
    return buffer.role
