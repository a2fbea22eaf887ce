"""What fuzzing has found: inputs on which something crashed, hung or filled the memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import edgegraph as eg
from edgegraph import xla
from edgegraph.cost.price import price_nodes
from edgegraph.cost.trip_counts import trip_counts
from edgegraph.errors import FormatError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import MAX_NODES, flatten
from edgegraph.hlo.module import Computation, Instruction, Module, Shape
from edgegraph.hlo.read import module_in
from edgegraph.hlo.schema import HloModuleProto, Proto
from edgegraph.memory.live import profile_memory
from tests.corpus.files import serialized


def damaged(name: str, change: Callable[[Proto], object]) -> bytes:
    module = HloModuleProto.FromString(serialized(f"handwritten/{name}.hlo"))
    change(module)
    return bytes(module.SerializeToString())


def instruction(module: Proto, opcode: str) -> Proto:
    return next(i for c in module.computations for i in c.instructions if i.opcode == opcode)


def test_a_conditional_has_branches() -> None:
    def change(module: Proto) -> None:
        conditional = instruction(module, "conditional")
        conditional.ClearField("called_computation_ids")
        del conditional.operand_ids[1:]

    with pytest.raises(FormatError, match="it has no branches"):
        decode(damaged("tpu_conditional", change))


@pytest.mark.parametrize(
    "opcode", ["broadcast", "dynamic-update-slice", "fft", "reduce-window", "scatter", "topk"]
)
def test_what_reads_its_operands_has_some(opcode: str) -> None:
    def change(module: Proto) -> None:
        changed = instruction(module, "tanh")
        changed.opcode = opcode
        changed.ClearField("operand_ids")

    with pytest.raises(FormatError, match="it has 0 operands"):
        decode(damaged("tpu_slice_start", change))


@pytest.mark.parametrize("dimensions", [[], [2], [-1], [0, 1]])
def test_a_sort_runs_along_one_dimension_of_its_operand(dimensions: list[int]) -> None:
    def change(module: Proto) -> None:
        instruction(module, "sort").dimensions[:] = dimensions

    with pytest.raises(FormatError, match="it runs along"):
        decode(damaged("tpu_sort", change))


@pytest.mark.parametrize("dimensions", [[1 << 62, 4], [0, 1 << 40, 1 << 40], [2] * 70])
def test_a_shape_has_as_many_elements_as_xla_can_count(dimensions: list[int]) -> None:
    def change(module: Proto) -> None:
        instruction(module, "tanh").shape.dimensions[:] = dimensions

    with pytest.raises(FormatError, match="more than 2\\^63 elements"):
        decode(damaged("tpu_slice_start", change))


def test_tuples_nest_as_deep_as_protobuf_reads() -> None:
    def nest(module: Proto, times: int) -> None:
        shape = instruction(module, "tanh").shape
        for _ in range(times):
            shape.element_type = 13
            shape = shape.tuple_shapes.add(element_type=11)

    decode(module_in(damaged("tpu_slice_start", lambda module: nest(module, 90))))
    with pytest.raises(FormatError, match="its tuples nest deeper than 90"):
        decode(damaged("tpu_slice_start", lambda module: nest(module, 91)))


@pytest.mark.parametrize(
    ("field", "value"),
    [("base_dilation", 0), ("window_dilation", -1), ("stride", 0), ("size", -1), ("size", 1 << 40)],
)
def test_a_window_has_steps_and_a_size(field: str, value: int) -> None:
    def change(module: Proto) -> None:
        setattr(instruction(module, "convolution").window.dimensions[0], field, value)

    with pytest.raises(FormatError, match="its window has size"):
        decode(damaged("tpu_output_fusion", change))


def test_a_window_that_steps_over_holes_can_be_walked_over() -> None:
    def change(module: Proto) -> None:
        convolution = instruction(module, "convolution")
        axis = convolution.window.dimensions[0]
        axis.size, axis.stride, axis.base_dilation = 1 << 20, 2, 2
        convolution.shape.dimensions[1] = 1 << 20

    with pytest.raises(FormatError, match="steps over holes to 1048576 places"):
        decode(damaged("tpu_output_fusion", change))


def wide(leaves: int, times: int) -> Module:
    """Call a computation whose one result is a tuple of many arrays often."""
    shape = Shape(dtype="tuple", elements=(Shape(dtype="f32"),) * leaves)
    inner = Instruction(name="many", opcode="custom-call", shape=shape)
    calls = tuple(
        Instruction(name=f"call{time}", opcode="call", shape=shape, called=("inner",))
        for time in range(times)
    )
    computations = (
        Computation(name="inner", instructions=(inner,) * 10, root="many"),
        Computation(name="main", instructions=calls, root="call0"),
    )
    return Module(name="wide", entry="main", computations={c.name: c for c in computations})


def test_wide_tuples_count_when_a_module_expands() -> None:
    assert len(flatten(wide(leaves=1, times=1000))) == 1000 * 11
    with pytest.raises(FormatError, match=f"expands into more than {MAX_NODES:,} ops"):
        flatten(wide(leaves=300, times=1000))


def test_a_large_module_may_be_as_large_as_it_is() -> None:
    instructions = tuple(
        Instruction(name=f"x{number}", opcode="constant", shape=Shape(dtype="f32"))
        for number in range(MAX_NODES + 1)
    )
    main = Computation(name="main", instructions=instructions, root="x0")
    assert len(flatten(Module(name="m", entry="main", computations={"main": main}))) > MAX_NODES


@pytest.mark.parametrize("digits", ["1" * 25, "1" * 5000])
def test_a_trip_count_beyond_64_bits_is_none(digits: str) -> None:
    def change(module: Proto) -> None:
        loop = instruction(module, "while")
        loop.backend_config = f'{{"known_trip_count":{{"n":"{digits}"}}}}'.encode()

    # It is derived from the condition then.
    assert trip_counts(decode(damaged("gpu_loop_with_trip_count", change))) == {"while": 12}


def test_loops_do_not_run_more_often_than_can_be_counted() -> None:
    def change(module: Proto) -> None:
        for computation in module.computations:
            for inner in computation.instructions:
                if inner.opcode == "while":
                    inner.backend_config = b'{"known_trip_count":{"n":"9000000000000000000"}}'

    module = decode(damaged("tpu_while", change))
    with pytest.raises(FormatError, match=r"'inner': .* more than 2\^63 times"):
        price_nodes(module, flatten(module))


def test_a_cost_estimate_that_is_no_number_is_unknown() -> None:
    def change(module: Proto) -> None:
        instruction(module, "custom-call").backend_config = b'{"cost_estimate":{"flops":1e999}}'

    module = decode(damaged("tpu_mosaic_kernel", change))
    assert price_nodes(module, flatten(module))["kernel"].unpriced is not None


def test_donating_an_argument_without_elements_takes_no_memory() -> None:
    module = decode(
        xla.parse_text("""HloModule m, is_scheduled=true, input_output_alias={ {}: (0, {}) }
        ENTRY e { x = f32[0] parameter(0)
                  ROOT y = f32[0] negate(x) }""")
    )
    profile = profile_memory(module, flatten(module), ())
    assert profile is not None
    assert profile.alive_bytes == (0, 0)


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000])
def test_an_attribute_beyond_64_bits_is_unknown(number: str) -> None:
    def change(module: Proto) -> None:
        call = instruction(module, "custom-call")
        call.custom_call_target = "lapack_sgetrf_ffi"
        call.backend_config = f"{{lower = {number} : ui8}}".encode()

    module = decode(damaged("gpu_cusolver_potrf", change))
    assert price_nodes(module, flatten(module))


@pytest.mark.parametrize(
    "op_name", ["params['a'][" + "7" * 5000 + "].b", r"params['\ud800']['bias']"]
)
def test_a_parameter_may_be_called_anything(op_name: str, tmp_path: Path) -> None:
    def change(module: Proto) -> None:
        instruction(module, "parameter").metadata.op_name = op_name

    serialized = damaged("tpu_slice_start", change)
    program = eg.Program(
        name="named", batch=None, target="unknown", stage="optimized", serialized=serialized
    )
    analysis = eg.analyze(program)
    assert eg.load(analysis.save(tmp_path / "saved")) == analysis
