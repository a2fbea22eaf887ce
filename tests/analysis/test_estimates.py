"""What is expected of ops, on a made-up machine whose kernels all run at round rates."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph import xla
from edgegraph.analysis.attribution import attribute, model_macs, with_model_macs
from edgegraph.analysis.estimates import (
    compiler_coverage,
    compiler_optimal_s,
    compiler_time_s,
    with_compiler_times,
    with_expected_times,
)
from edgegraph.analysis.records import op_records
from edgegraph.cost.price import price_nodes
from edgegraph.device.catalogue import find_device
from edgegraph.device.device import Device, MemoryLevel
from edgegraph.device.kernel_rates import KernelRate
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.module import Instruction, Shape
from edgegraph.results.records import OpRecord

DEVICE = Device(
    name="made up",
    peak_flops_per_s={"f32": 1e12},
    memory=(MemoryLevel(name="DRAM", size_bytes=None, bandwidth_bytes_per_s=1e12),),
    origin="calibrated",
    source="made up",
    op_launch_s=1e-6,
    kernel_rates=tuple(
        KernelRate(kind=kind, dtype="f32", rows=64, rate_per_s=rate)
        for kind, rate in (("dot", 1e9), ("elementwise", 1e9), ("copy", 5e8))
    ),
)
PROGRAM = """HloModule m
inner { a = f32[64,64] parameter(0)
  b = f32[64,64] multiply(a, a)
  ROOT c = f32[64,64] add(b, a) }
body { s = (s32[], f32[64,64]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  x = f32[64,64] get-tuple-element(s), index=1
  one = s32[] constant(1)
  next = s32[] add(i, one)
  d = f32[64,64] dot(x, x), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT t = (s32[], f32[64,64]) tuple(next, d) }
condition { s = (s32[], f32[64,64]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  end = s32[] constant(3)
  ROOT less = pred[] compare(i, end), direction=LT }
ENTRY main { x = f32[64,64] parameter(0)
  f = f32[64,64] fusion(x), kind=kLoop, calls=inner
  zero = s32[] constant(0)
  start = (s32[], f32[64,64]) tuple(zero, f)
  loop = (s32[], f32[64,64]) while(start), condition=condition, body=body
  made = f32[64,64] get-tuple-element(loop), index=1
  ROOT out = f32[64,64] transpose(made), dimensions={1,0} }"""


SINGLE = """HloModule m
larger { a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] maximum(a, b) }
ENTRY main { x = f32[1,64] parameter(0)
  w = f32[64,1024] parameter(1)
  least = f32[] constant(0)
  d = f32[1,1024] dot(x, w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  square = f32[32,32] reshape(d)
  ROOT p = f32[16,16] reduce-window(square, least), window={size=2x2 stride=2x2},
    to_apply=larger }"""


def predicted(device: Device, program: str = PROGRAM) -> dict[str, OpRecord]:
    module = decode(xla.parse_text(program))
    nodes = flatten(module)
    records = op_records(nodes, price_nodes(module, nodes), attribute(nodes), device)
    return {record.name: record for record in with_expected_times(nodes, records, device)}


def test_kernels_take_their_launch_and_their_work() -> None:
    ops = predicted(DEVICE)
    half_mib = 2 * 64 * 64 * 4
    assert ops["f"].expected_time_s == pytest.approx(1e-6 + half_mib / 1e9)
    assert ops["out"].expected_time_s == pytest.approx(1e-6 + half_mib / 5e8)
    # Three times, each 2 * 64^3 FLOPs.
    assert ops["d"].expected_time_s == pytest.approx(3 * (1e-6 + 2 * 64**3 / 1e9))


def test_a_product_reads_and_a_window_pools() -> None:
    """A product that only waits for its weights reads them as a reduction reads its input."""
    rates = (("dot", 1e12), ("elementwise", 1e6), ("reduction", 1e9), ("pooling", 2e9))
    device = replace(
        DEVICE,
        kernel_rates=tuple(
            KernelRate(kind=kind, dtype="f32", rows=64, rate_per_s=rate) for kind, rate in rates
        ),
    )
    ops = predicted(device, SINGLE)
    weights = 4 * (64 + 64 * 1024 + 1024)
    assert ops["d"].expected_time_s == pytest.approx(1e-6 + weights / 1e9)
    pooled = 4 * (32 * 32 + 16 * 16 + 1)
    assert ops["p"].expected_time_s == pytest.approx(1e-6 + pooled / 2e9)


LOOPED = """HloModule m
ENTRY main { x = u8[64,64] parameter(0)
  d = u8[64,64] dot(x, x), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  f = f32[64,64] convert(d)
  ROOT t = f32[64,64] tan(f) }"""


def test_functions_and_products_without_a_library_have_rates_of_their_own() -> None:
    """Neither the rate of the dot that a library runs nor that of data says what they take."""
    slow = tuple(
        KernelRate(kind=kind, dtype=dtype, rows=64, rate_per_s=1e6)
        for kind, dtype in (("loop-dot", "s8"), ("tan", "f32"))
    )
    ops = predicted(replace(DEVICE, kernel_rates=DEVICE.kernel_rates + slow), LOOPED)
    assert ops["d"].expected_time_s == pytest.approx(1e-6 + 2 * 64**3 / 1e6)
    assert ops["t"].expected_time_s == pytest.approx(1e-6 + 64 * 64 / 1e6)
    assert ops["f"].expected_time_s == pytest.approx(1e-6 + 5 * 64 * 64 / 1e9)


FUSED = """HloModule m
inner { x = s8[1,8,8,4] parameter(0)
  k = s8[3,3,4,8] parameter(1)
  c = s32[1,8,8,8] convolution(x, k), window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f
  ROOT n = s32[1,8,8,8] negate(c)
}
ENTRY main { x = s8[1,8,8,4] parameter(0)
  k = s8[3,3,4,8] parameter(1)
  ROOT f = s32[1,8,8,8] fusion(x, k), kind=kLoop, calls=inner }"""


@pytest.mark.parametrize("negated", [True, False])
def test_the_fusion_says_whether_a_library_runs_its_product(negated: bool) -> None:
    """Jax 0.12 puts int8 products in loops, beside others or not; a library has kCustom ones."""
    rates = tuple(
        KernelRate(kind=kind, dtype=dtype, rows=64, rate_per_s=rate)
        for kind, dtype, rate in (
            ("loop-convolution", "s8", 1e6), ("convolution", "s32", 1e9), ("reduction", "f32", 1e9)
        )
    )  # fmt: skip
    program = FUSED if negated else FUSED.replace("c = ", "ROOT c = ").replace("  ROOT n", "  //")
    device = replace(DEVICE, kernel_rates=rates)
    looped = predicted(device, program)
    library = predicted(device, program.replace("kLoop", "kCustom"))
    # Of 3 taps at 8 places 22 are no padding, along each axis.
    work = 2 * 22 * 22 * 4 * 8
    assert looped["f"].expected_time_s == pytest.approx(1e-6 + work / 1e6)
    assert library["f"].expected_time_s == pytest.approx(1e-6 + work / 1e9)


def test_a_calibration_that_never_timed_what_there_is_expects_nothing() -> None:
    assert all(op.expected_time_s is None for op in predicted(DEVICE, LOOPED).values())
    assert all(
        op.expected_time_s
        for op in predicted(DEVICE, LOOPED.replace("64", "1")).values()
        if op.opcode in ("dot", "tan")
    )  # one value is lost in the launch


def test_an_analysis_says_that_the_calibration_is_too_old() -> None:
    x = jax.ShapeDtypeStruct((64, 64), "float32")
    (note,) = eg.analyze(jnp.tan, args=(x,), device=DEVICE).notes
    assert note == (
        "no times are expected: this calibration has no rates of arithmetic, atan2, cbrt,"
        " divide, exponential, exponential-minus-one, fft, lapack, library-arithmetic, log,"
        " log-plus-one, loop-convolution, loop-dot, power, remainder, sine, sort, sqrt, tan, tanh;"
        " run `edgegraph calibrate` again"
    )
    assert eg.analyze(jnp.negative, args=(x,), device=DEVICE).notes == ()


def test_containers_add_up_what_is_inside() -> None:
    ops = predicted(DEVICE)
    for name in ("f", "loop"):
        inside = [op.expected_time_s or 0 for op in ops.values() if op.parent == name]
        assert ops[name].expected_time_s == pytest.approx(sum(inside))


def test_the_range_holds_the_time_and_the_roof_stays_below() -> None:
    for op in predicted(DEVICE).values():
        if op.expected_time_s is not None:
            assert op.expected_low_s is not None
            assert op.expected_high_s is not None
            assert op.expected_low_s <= op.expected_time_s <= op.expected_high_s
            roof = max(op.compute_time_s or 0, op.memory_time_s or 0)
            assert roof <= op.expected_time_s * (1 + 1e-9)


def test_nothing_is_expected_without_a_table() -> None:
    bare = replace(DEVICE, kernel_rates=())
    assert all(op.expected_time_s is None for op in predicted(bare).values())


TPU = '{"window_config":{"estimated_cycles":"1500"},"flag_configs":[]}'


GPU = (
    '{"fusion_backend_config":{"kind":"__triton"},"reification_cost":[{"end_to_end_cycles":0,'
    '"exec_time_us":2.5,"compute_time_us":0.1,"memory_access_time_us":2.4,"name":""}]}'
)


SAID = """HloModule m
inner {{ a = f32[64,64] parameter(0)
  b = f32[64,64] multiply(a, a)
  ROOT c = f32[64,64] dot(b, a), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}} }}
ENTRY main {{ x = f32[64,64] parameter(0)
  ROOT f = f32[64,64] fusion(x), kind=kOutput, calls=inner, backend_config={config} }}"""


def said(config: str) -> tuple[OpRecord, ...]:
    module = decode(xla.parse_text(SAID.format(config=config)))
    nodes = flatten(module)
    device = find_device("tpu-v5e")
    found = op_records(nodes, price_nodes(module, nodes), attribute(nodes), device)
    return with_compiler_times(nodes, found, device.clock_hz)


def estimates(kind: str, **times_us: float) -> str:
    """Return what XLA's GPU compiler says of a fusion by several models."""
    models = {name.strip("_").replace("_", "-"): time_us for name, time_us in times_us.items()}
    said = ",".join(f'{{"exec_time_us":{us},"name":"{model}"}}' for model, us in models.items())
    return f'{{"fusion_backend_config":{{"kind":"{kind}"}},"reification_cost":[{said}]}}'


# As jax 0.10.2 says for an H100: of a softmax of 4096 x 1024, which moves 33.6 MB at 3.35 TB/s and
# so takes 10 us, and of a product of 512 x 512.
SOFTMAX = estimates("__triton", _=2113374.15525, indexing_cost_model=10.37, sol=0.01)
PRODUCT = estimates(
    "__triton_nested_gemm_fusion", _=8.10225, indexing_cost_model=9.64425, sol=79.232
)


@pytest.mark.parametrize(
    ("config", "expected_s"),
    [(TPU, 1e-6), (GPU, 2.5e-6), (SOFTMAX, 10.37e-6), (PRODUCT, 8.10225e-6)],
)
def test_a_fusion_takes_what_its_compiler_says(config: str, expected_s: float) -> None:
    ops = {op.name: op for op in said(config)}
    assert ops["f"].compiler_time_s == pytest.approx(expected_s)  # 1,500 cycles at 1.5 GHz
    inside = [op.compiler_time_s or 0 for op in ops.values() if op.parent == "f"]
    assert sum(inside) == pytest.approx(expected_s)


def test_cycles_need_a_clock_and_nothing_is_made_up() -> None:
    def fusion(config: str) -> Instruction:
        return Instruction(
            name="f", opcode="fusion", shape=Shape(dtype="f32"), backend_config=config
        )

    assert compiler_time_s(fusion(TPU), None) is None
    assert compiler_time_s(fusion("{}"), 1e9) is None
    assert compiler_time_s(fusion('{"reification_cost":[]}'), 1e9) is None
    assert all(op.compiler_time_s is None for op in said("{}"))


SORTED = """HloModule m
less {{ a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = pred[] compare(a, b), direction=LT }}
ENTRY main {{ x = f32[65536] parameter(0)
  n = f32[65536] negate(x), backend_config={config}
  ROOT s = f32[65536] sort(n), dimensions={{0}}, to_apply=less }}"""


def test_what_a_compiler_says_nothing_of_is_unknown_and_told() -> None:
    """A TPU's compiler has no cycles for sorts, so that its sum is of the rest."""
    module = decode(xla.parse_text(SORTED.format(config=TPU)))
    nodes = flatten(module)
    device = find_device("tpu-v5e")
    found = op_records(nodes, price_nodes(module, nodes), attribute(nodes), device)
    assert compiler_coverage(found) is None
    ops = {op.name: op for op in with_compiler_times(nodes, found, device.clock_hz)}
    assert ops["n"].compiler_time_s == pytest.approx(1e-6)
    assert ops["s"].compiler_time_s is None
    # Both read and write 65,536 floats, and the sort compares besides.
    coverage = compiler_coverage(tuple(ops.values()))
    assert coverage is not None
    assert coverage <= 0.5


def test_what_a_compiler_says_something_of_is_covered() -> None:
    assert compiler_coverage(said(TPU)) == 1.0
    assert compiler_coverage(said("{}")) is None


def test_the_models_macs_replace_those_of_padded_products() -> None:
    before = decode(
        xla.parse_text("""HloModule m
      ENTRY main { x = f32[3,64] parameter(0)
        w = f32[64,64] parameter(1)
        ROOT y = f32[3,64] dot(x, w), lhs_contracting_dims={1}, rhs_contracting_dims={0} }""")
    )
    wanted = model_macs(before)
    assert wanted == {(None, "forward"): 3 * 64 * 64}
    ops = {op.name: op for op in with_model_macs(said(TPU), wanted)}
    assert (ops["c"].macs, ops["b"].macs, ops["f"].macs) == (3 * 64 * 64, 0, 3 * 64 * 64)
    assert ops["c"].flops == 2 * 64**3  # what the padded product does


@pytest.mark.parametrize(
    ("xla_s", "calls", "ops", "expected_s"),
    [
        # What libtpu 0.0.52 says for a v5e: of top-k nothing is taken off, of splits all is.
        (7.118547273421427e-06, 1, 3, 7.1185e-06),
        (-2.999272346496582, 3, 6, 7.2765e-4),
        # 0.5 us beside 5 s is within the rounding of float32.
        (-4.999999046325684, 5, 13, None),
        (-1.0, 1, 2, None),
        # More was taken off than there are calls.
        (-2.5, 2, 4, None),
        (3e-3, 0, 400, 3e-3),
        # ResNet-50 on a v5e, batch 32 and 1, has 9 custom calls. At batch 1 its 351,840,256 bytes
        # take 477 us at 738 GB/s: 2 % are lost beside 9 s. Of a program 5 times smaller, all is.
        (-8.996814727783203, 9, 900, 3.1853e-3),
        (-8.999533653259277, 9, 1038, 466.35e-6),
        (-8.9999, 9, 1038, None),
    ],
)
def test_the_compilers_roofline_is_given_back_what_it_took_off(
    xla_s: float, calls: int, ops: int, expected_s: float | None
) -> None:
    nodes = ["custom-call"] * calls + ["fusion"] * (ops - calls)
    found = compiler_optimal_s(xla_s, nodes, 1e-6)
    assert found == (None if expected_s is None else pytest.approx(expected_s, rel=1e-3))


def test_a_program_of_seconds_hides_what_was_taken_off() -> None:
    assert compiler_optimal_s(0.3, ["custom-call", "fusion"], 2.0) is None
    assert compiler_optimal_s(0.3, ["custom-call", "fusion"], None) is None


def test_what_is_one_function_is_launched_once() -> None:
    """XLA makes one function of a short loop; its ops are launched by no one, as traces show."""
    inside = """call = (s32[], f32[64,64]) call(start), to_apply=whole,
    frontend_attributes={xla_cpu_small_call="true"}
  made = f32[64,64] get-tuple-element(call)"""
    whole = """whole { start = (s32[], f32[64,64]) parameter(0)
  ROOT loop = (s32[], f32[64,64]) while(start), condition=condition, body=body }
ENTRY"""
    loop = """loop = (s32[], f32[64,64]) while(start), condition=condition, body=body
  made = f32[64,64] get-tuple-element(loop)"""
    assert loop in PROGRAM
    called = PROGRAM.replace(loop, inside).replace("ENTRY", whole)
    device = replace(DEVICE, loop_step_s=1e-6)
    marked, plain = (
        predicted(device, text)
        for text in (called, called.replace("xla_cpu_small_call", "another"))
    )
    # Three products and sums and four decisions; started one by one, or the whole once.
    plain_s, marked_s = plain["call"].expected_time_s, marked["call"].expected_time_s
    assert plain_s is not None
    assert marked_s is not None
    assert plain_s - marked_s == pytest.approx((3 + 3 + 4 - 1) * 1e-6)
    assert marked["f"].expected_time_s == plain["f"].expected_time_s


def test_no_time_is_expected_of_python_on_the_host() -> None:
    def run(x: jax.Array) -> jax.Array:
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jnp.tanh(jax.pure_callback(lambda value: value, shape, x)) @ x

    analysis = eg.analyze(run, args=(jnp.ones((64, 64)),), device=DEVICE)
    expected = {op.opcode: op.expected_time_s for op in analysis.op_records if op.parent is None}
    assert expected["custom-call"] is None
    assert expected["fusion"] is not None
