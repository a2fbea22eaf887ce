"""Decoded instructions, written and compared as XLA itself writes them in its HLO text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from edgegraph.hlo.module import ConvolutionDimensions, Instruction, Module, Shape, WindowDimension


def instruction_lines(text: str) -> dict[str, str]:
    """Return every instruction's line by its name, in XLA's order, without sigils and comments."""
    text = re.sub(r"/\*.*?\*/", "", text.replace("%", ""))
    found: dict[str, str] = {}
    for line in text.splitlines():
        instruction = re.match(r"\s+(?:ROOT )?([\w.-]+) = (.*)", line)
        if instruction:
            found[instruction[1]] = instruction[2]
    return found


def written_shape(shape: Shape) -> str:
    """Write a shape with its layout."""
    if shape.dtype == "tuple":
        return "(" + ", ".join(written_shape(element) for element in shape.elements) + ")"
    space = f":S({shape.memory_space})" if shape.memory_space else ""
    order = ",".join(map(str, shape.layout or ()))
    layout = f"{{{order}{space}}}" if order or space else ""
    return f"{shape}{layout}"


def written_parts(instruction: Instruction) -> Iterator[str]:
    """Write everything that a decoded instruction says; XLA's line must hold each part."""
    i = instruction
    arguments = ", ".join(i.operands)
    if i.opcode == "parameter":
        arguments = str(i.parameter_number)
    if i.opcode != "constant":
        yield f"{written_shape(i.shape)} {i.opcode}({arguments})"
    if i.tuple_index is not None:
        yield f"index={i.tuple_index}"
    if i.fusion_kind is not None:
        yield f"kind={i.fusion_kind}"
    if i.custom_call_target is not None:
        yield f'custom_call_target="{i.custom_call_target}"'
    if i.opcode in ("broadcast", "reduce", "transpose", "concatenate", "sort"):
        yield f"dimensions={{{','.join(map(str, i.dimensions))}}}"
    if i.window:
        yield f"window={{{' '.join(_written_window(i.window))}}}"
    if i.dot is not None:
        yield f"lhs_contracting_dims={_braces(i.dot.lhs_contracting)}"
        yield f"rhs_contracting_dims={_braces(i.dot.rhs_contracting)}"
        if i.dot.lhs_batch:
            yield f"lhs_batch_dims={_braces(i.dot.lhs_batch)}"
            yield f"rhs_batch_dims={_braces(i.dot.rhs_batch)}"
    if i.convolution is not None:
        yield f"dim_labels={_written_labels(i.convolution)}"
    if i.feature_group_count != 1:
        yield f"feature_group_count={i.feature_group_count}"
    if i.batch_group_count != 1:
        yield f"batch_group_count={i.batch_group_count}"
    if i.control_predecessors:
        yield f"control-predecessors={{{', '.join(i.control_predecessors)}}}"
    yield from _written_calls(i)


def compare(module: Module, text: str, *, metadata: bool) -> int:
    """Assert that `module` says what XLA's text says; return the number of instructions."""
    lines = instruction_lines(text)
    instructions = {i.name: i for c in module.computations.values() for i in c.instructions}
    assert instructions.keys() == lines.keys()
    for name, line in lines.items():
        instruction = instructions[name]
        for part in written_parts(instruction):
            assert part in line, (name, part, line)
        _compare_backend_config(instruction.backend_config, line)
        for attribute in ("window=", "dim_labels=", "_group_count=", "control-predecessors="):
            written = any(attribute in part for part in written_parts(instruction))
            assert (attribute in line) == written, (name, attribute, line)
        if metadata:
            op_name = re.search(r'op_name="((?:[^"\\]|\\.)*)"', line)
            unescaped = re.sub(r"\\(.)", r"\1", op_name[1]) if op_name else ""
            assert instruction.op_name == unescaped, line
            frame = re.search(r"stack_frame_id=(\d+)", line)
            assert instruction.stack_frame_id == (int(frame[1]) if frame else 0)
    return len(lines)


def _compare_backend_config(ours: str, line: str) -> None:
    """Compare as JSON, whose keys XLA's text sorts, or else literally."""
    found = re.search(r"backend_config=", line)
    assert bool(ours) == bool(found), line
    if found and ours.startswith('{"'):
        theirs, _ = json.JSONDecoder().raw_decode(line, found.end())
        assert json.loads(ours) == theirs, line
    elif found:
        quoted = '"' + ours.replace('"', '\\"') + '"'
        assert line.startswith((ours, quoted), found.end()), line


def _braces(dimensions: tuple[int, ...]) -> str:
    return "{" + ",".join(map(str, dimensions)) + "}"


def _written_window(window: tuple[WindowDimension, ...]) -> Iterator[str]:
    """Write a window; XLA leaves out what is the same in all dimensions as by default."""
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


def _written_labels(c: ConvolutionDimensions) -> str:
    """Write dimension numbers: ``b01f_01io->b01f``."""

    def labels(first: tuple[int, str], second: tuple[int, str], spatial: tuple[int, ...]) -> str:
        places = dict([first, second]) | {place: str(k) for k, place in enumerate(spatial)}
        return "".join(places[place] for place in sorted(places))

    lhs = labels((c.input_batch, "b"), (c.input_feature, "f"), c.input_spatial)
    rhs = labels((c.kernel_input_feature, "i"), (c.kernel_output_feature, "o"), c.kernel_spatial)
    out = labels((c.output_batch, "b"), (c.output_feature, "f"), c.output_spatial)
    return f"{lhs}_{rhs}->{out}"


def _written_calls(i: Instruction) -> Iterator[str]:
    if i.opcode == "while":
        body, condition = i.called
        yield f"condition={condition}, body={body}"
    elif i.opcode == "conditional":
        yield ", ".join(i.called)
    elif i.opcode in ("fusion", "async-start"):
        yield f"calls={i.called[0]}"
    elif i.called and i.opcode != "custom-call":
        yield f"to_apply={i.called[0]}"
