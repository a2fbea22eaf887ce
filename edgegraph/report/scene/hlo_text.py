"""What stands in an instruction's line of HLO text beside its name, shape and operands.

The page writes the line itself, ``%name = shape opcode(operands), attributes``, so that names
and shapes are kept once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgegraph.hlo.module import (
    ConvolutionDimensions,
    DotDimensions,
    Instruction,
    WindowDimension,
)

_LONGEST_CONFIG = 200


def argument(instruction: Instruction) -> str:
    """Return what stands in the brackets of an instruction without operands, or "".

    Example:
        >>> from edgegraph.hlo.module import Shape
        >>> argument(Instruction(name="x", opcode="parameter", shape=Shape(dtype="f32"),
        ...                      parameter_number=3))
        '3'
    """
    if instruction.parameter_number is not None:
        return str(instruction.parameter_number)
    if instruction.opcode == "constant":
        return "…" if instruction.literal is None else str(instruction.literal).lower()
    return ""


def attributes(instruction: Instruction) -> str:
    """Return the attributes as XLA writes them, each after a comma; metadata is left out.

    Example:
        >>> from edgegraph.hlo.module import Shape
        >>> attributes(Instruction(name="t", opcode="get-tuple-element",
        ...                        shape=Shape(dtype="f32"), tuple_index=1))
        ', index=1'
    """
    return "".join(f", {text}" for text in _attributes(instruction))


def _attributes(instruction: Instruction) -> Iterator[str]:
    if instruction.tuple_index is not None:
        yield f"index={instruction.tuple_index}"
    if instruction.dimensions:
        yield f"dimensions={_braces(instruction.dimensions)}"
    if instruction.comparison is not None:
        yield f"direction={instruction.comparison}"
    if instruction.window:
        yield f"window={{{' '.join(_window(instruction.window))}}}"
    if instruction.convolution is not None:
        yield f"dim_labels={_labels(instruction.convolution)}"
    if instruction.feature_group_count != 1:
        yield f"feature_group_count={instruction.feature_group_count}"
    if instruction.batch_group_count != 1:
        yield f"batch_group_count={instruction.batch_group_count}"
    if instruction.dot is not None:
        yield from _dot(instruction.dot)
    if instruction.precision is not None:
        yield f"operand_precision={instruction.precision}"
    yield from _called(instruction)
    if instruction.custom_call_target is not None:
        yield f'custom_call_target="{instruction.custom_call_target}"'
    if instruction.control_predecessors:
        names = ", ".join(f"%{name}" for name in instruction.control_predecessors)
        yield f"control-predecessors={{{names}}}"
    if instruction.backend_config:
        config = instruction.backend_config
        cut = config if len(config) <= _LONGEST_CONFIG else f"{config[:_LONGEST_CONFIG]}…"
        yield f"backend_config={cut}"


def _braces(numbers: Sequence[int]) -> str:
    return f"{{{','.join(map(str, numbers))}}}"


def _called(instruction: Instruction) -> Iterator[str]:
    names = [f"%{name}" for name in instruction.called]
    if instruction.opcode == "fusion":
        yield f"kind={instruction.fusion_kind}"
        yield f"calls={names[0]}"
    elif instruction.opcode == "while":
        yield f"body={names[0]}, condition={names[1]}"
    elif instruction.opcode == "conditional":
        yield f"branch_computations={{{', '.join(names)}}}"
    elif len(names) == 1:
        called = "calls" if instruction.opcode.startswith("async") else "to_apply"
        yield f"{called}={names[0]}"
    elif names:
        yield f"called_computations={{{', '.join(names)}}}"


def _window(window: Sequence[WindowDimension]) -> Iterator[str]:
    yield "size=" + "x".join(str(d.size) for d in window)
    if any(d.stride != 1 for d in window):
        yield "stride=" + "x".join(str(d.stride) for d in window)
    if any(d.padding_low or d.padding_high for d in window):
        yield "pad=" + "x".join(f"{d.padding_low}_{d.padding_high}" for d in window)
    if any(d.base_dilation != 1 for d in window):
        yield "lhs_dilate=" + "x".join(str(d.base_dilation) for d in window)
    if any(d.window_dilation != 1 for d in window):
        yield "rhs_dilate=" + "x".join(str(d.window_dilation) for d in window)
    if any(d.reversal for d in window):
        yield "rhs_reversal=" + "x".join(str(int(d.reversal)) for d in window)


def _labels(found: ConvolutionDimensions) -> str:
    """Write dimension numbers as XLA does: ``b01f_01io->b01f``."""

    def side(first: int, second: int, spatial: Sequence[int], names: str) -> str:
        placed = {first: names[0], second: names[1]}
        placed |= {at: str(number) for number, at in enumerate(spatial)}
        return "".join(placed[at] for at in sorted(placed))

    image = side(found.input_batch, found.input_feature, found.input_spatial, "bf")
    kernel = side(
        found.kernel_input_feature, found.kernel_output_feature, found.kernel_spatial, "io"
    )
    result = side(found.output_batch, found.output_feature, found.output_spatial, "bf")
    return f"{image}_{kernel}->{result}"


def _dot(dot: DotDimensions) -> Iterator[str]:
    if dot.lhs_batch:
        yield f"lhs_batch_dims={_braces(dot.lhs_batch)}"
    yield f"lhs_contracting_dims={_braces(dot.lhs_contracting)}"
    if dot.rhs_batch:
        yield f"rhs_batch_dims={_braces(dot.rhs_batch)}"
    yield f"rhs_contracting_dims={_braces(dot.rhs_contracting)}"
