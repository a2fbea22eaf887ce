"""An instruction's operands and attributes as XLA writes them in its HLO text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgegraph.hlo.module import ConvolutionDimensions, DotDimensions, Instruction, WindowDimension

_LONGEST_CONFIG = 200


def argument_text(instruction: Instruction) -> str:
    """Return what stands in the brackets of an instruction without operands, or ""."""
    if instruction.parameter_number is not None:
        return str(instruction.parameter_number)
    if instruction.opcode != "constant":
        return ""
    literal = instruction.literal
    if instruction.shape.dtype == "pred" and literal is not None:
        return str(bool(literal)).lower()
    return "…" if literal is None else str(literal)


def attributes_text(instruction: Instruction) -> str:
    """Return the attributes as XLA writes them, each after a comma; metadata is left out.

    Where operands or branches differ in what XLA writes (how exact products are, which branch a
    predicate takes), one word stands for all.
    """
    return "".join(f", {text}" for text in _attributes(instruction))


def _attributes(instruction: Instruction) -> Iterator[str]:
    if instruction.tuple_index is not None:
        yield f"index={instruction.tuple_index}"
    if instruction.dimensions and instruction.opcode == "iota":
        yield f"iota_dimension={instruction.dimensions[0]}"
    elif instruction.dimensions:
        yield f"dimensions={braces(instruction.dimensions)}"
    if instruction.comparison is not None:
        yield f"direction={instruction.comparison}"
    yield from _product(instruction)
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


def _product(instruction: Instruction) -> Iterator[str]:
    """Yield what convolutions, dots and windows have."""
    if instruction.window:
        yield f"window={{{window_text(instruction.window)}}}"
    if instruction.convolution is not None:
        yield f"dim_labels={dimension_labels(instruction.convolution)}"
    if instruction.feature_group_count != 1:
        yield f"feature_group_count={instruction.feature_group_count}"
    if instruction.batch_group_count != 1:
        yield f"batch_group_count={instruction.batch_group_count}"
    if instruction.dot is not None:
        yield dot_text(instruction.dot)
    if instruction.fft_lengths:
        yield f"fft_length={braces(instruction.fft_lengths)}"
    if instruction.precision is not None:
        yield f"operand_precision={instruction.precision}"


def braces(numbers: Sequence[int]) -> str:
    """Return a list of dimensions as XLA writes it: ``{0,2}``."""
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
    elif len(names) == 1 and instruction.opcode != "custom-call":
        called = "calls" if instruction.opcode.startswith("async") else "to_apply"
        yield f"{called}={names[0]}"
    elif names:
        yield f"called_computations={{{', '.join(names)}}}"


def window_text(window: Sequence[WindowDimension]) -> str:
    """Return a window as XLA writes it; what is as by default along all axes is left out."""
    parts = {
        "size": [f"{axis.size}" for axis in window],
        "stride": [f"{axis.stride}" for axis in window],
        "pad": [f"{axis.padding_low}_{axis.padding_high}" for axis in window],
        "lhs_dilate": [f"{axis.base_dilation}" for axis in window],
        "rhs_dilate": [f"{axis.window_dilation}" for axis in window],
        "rhs_reversal": [f"{int(axis.reversal)}" for axis in window],
    }
    return " ".join(
        f"{name}={'x'.join(values)}"
        for name, values in parts.items()
        if set(values) - _WINDOW_DEFAULTS.get(name, set())
    )


_WINDOW_DEFAULTS = {
    "stride": {"1"}, "pad": {"0_0"}, "lhs_dilate": {"1"}, "rhs_dilate": {"1"},
    "rhs_reversal": {"0"},
}  # fmt: skip


def dimension_labels(found: ConvolutionDimensions) -> str:
    """Return what each dimension of input, kernel and output is: ``b01f_01io->b01f``."""

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


def dot_text(dot: DotDimensions) -> str:
    """Return which dimensions are batch and which are contracted."""
    parts = {
        "lhs_batch_dims": dot.lhs_batch,
        "lhs_contracting_dims": dot.lhs_contracting,
        "rhs_batch_dims": dot.rhs_batch,
        "rhs_contracting_dims": dot.rhs_contracting,
    }
    return ", ".join(
        f"{name}={braces(dimensions)}"
        for name, dimensions in parts.items()
        if dimensions or "contracting" in name
    )
