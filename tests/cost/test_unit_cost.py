"""One execution of an op, and what it sends, held against XLA and against arithmetic by hand."""

from __future__ import annotations

import pytest

from edgegraph import xla
from edgegraph.cost.cost import ZERO
from edgegraph.cost.price import OpCost, price_nodes
from edgegraph.cost.unit_cost import wire_bytes
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.module import Collective, Instruction, Module, Shape
from tests import programs
from tests.children import on_four_devices
from tests.cost.test_price import priced, total


def test_border_bytes_go_to_the_ops_that_use_and_make_them() -> None:
    nodes, costs = priced(programs.compiled(programs.small_cnn, 32))
    fused = {
        node.instruction.op_name.split("/")[-2]: costs[node.name].cost
        for node in nodes
        if node.instruction.opcode in ("dot", "convolution")
    }
    assert fused["conv1"].bytes_read == 4 * (32 * 28 * 28 * 1 + 3 * 3 * 1 * 32)
    assert fused["conv2"].bytes_read == 4 * 3 * 3 * 32 * 64
    assert fused["dense1"].bytes_read == 4 * 3136 * 256
    assert fused["dense1"].bytes_written == 0


def test_no_op_of_a_gathering_kernel_reads_less_than_nothing() -> None:
    """XLA takes it for the gather alone, and its other operands for unread."""
    text = """HloModule m
    f {
      a = f32[] parameter(0)
      b = f32[] abs(a)
      c = f32[] parameter(1)
      d = f32[] abs(c)
      x = f32[1] parameter(2)
      i = s32[1] parameter(3)
      y = f32[1] gather(x, i), offset_dims={0}, collapsed_slice_dims={}, start_index_map={0},
        index_vector_dim=0, slice_sizes={1}
      ROOT all = (f32[], f32[], f32[1]) tuple(b, d, y)
    }
    ENTRY e {
      p = f32[] parameter(0)
      q = f32[] parameter(1)
      r = f32[1] parameter(2)
      s = s32[1] parameter(3)
      ROOT t = (f32[], f32[], f32[1]) fusion(p, q, r, s), kind=kCustom, calls=f
    }"""
    serialized = xla.parse_text(text)
    nodes, costs = priced(serialized)
    moved = total(nodes, costs, "bytes_read") + total(nodes, costs, "bytes_written")
    assert moved == xla.cost_analysis(serialized)["bytes accessed"]
    assert min(cost.cost.bytes_read or 0 for cost in costs.values()) == 0


def test_what_xla_counts_as_more_or_less_than_it_is() -> None:
    text = """HloModule m
    ENTRY e {
      x = f32[6,8] parameter(0)
      w = f32[2,8,5] parameter(1)
      sizes = s32[2] parameter(2)
      experts = f32[6,5] ragged-dot(x, w, sizes), lhs_contracting_dims={1},
        rhs_contracting_dims={1}, lhs_ragged_dims={0}, rhs_group_dims={0}
      pair = (f32[6,5], f32[6,8]) tuple(experts, x)
      ROOT again = f32[6,5] get-tuple-element(pair), index=0
    }"""
    _, costs = priced(xla.parse_text(text))
    # Every row meets the weights of one group only.
    assert (costs["experts"].cost.macs, costs["experts"].cost.flops) == (6 * 8 * 5, 2 * 6 * 8 * 5)
    assert costs["experts"].working_set_bytes == 4 * (6 * 8 + 2 * 8 * 5 + 2 + 6 * 5)
    # XLA writes the two pointers of a tuple.
    assert costs["again"].cost == ZERO


def test_a_prefetch_reads_and_writes_the_array_once() -> None:
    text = """HloModule m, is_scheduled=true
    ENTRY e {
      x = f32[256] parameter(0)
      start = (f32[256], f32[256], u32[]) copy-start(x)
      ROOT done = f32[256] copy-done(start)
    }"""
    _, costs = priced(xla.parse_text(text))
    assert (costs["start"].cost.bytes_read, costs["start"].cost.bytes_written) == (1024, 1024)
    assert costs["done"].cost == ZERO


def test_the_ops_of_a_fusion_touch_its_bytes_together() -> None:
    text = """HloModule m
    f { p = f32[256] parameter(0)
        q = f32[64] parameter(1)
        a = f32[256] tanh(p)
        b = f32[64] negate(q)
        ROOT c = f32[320] concatenate(a, b), dimensions={0} }
    ENTRY e { x = f32[256] parameter(0)
              y = f32[64] parameter(1)
              ROOT z = f32[320] fusion(x, y), kind=kLoop, calls=f }"""
    _, costs = priced(xla.parse_text(text))
    assert {costs[name].working_set_bytes for name in "abcz"} == {4 * 640}
    moved = {name: (costs[name].cost.bytes_read, costs[name].cost.bytes_written) for name in "abc"}
    assert moved == {"a": (1024, 0), "b": (256, 0), "c": (0, 1280)}


def test_what_two_ops_read_is_shared_in_whole_bytes() -> None:
    text = """HloModule m
    f { p = s8[3] parameter(0)
        a = s8[3] negate(p)
        b = s8[3] abs(p)
        ROOT c = (s8[3], s8[3]) tuple(a, b) }
    ENTRY e { x = s8[3] parameter(0)
              ROOT z = (s8[3], s8[3]) fusion(x), kind=kLoop, calls=f }"""
    _, costs = priced(xla.parse_text(text))
    assert [costs[name].cost.bytes_read for name in "ab"] == [2, 1]


ADD = """add {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] add(a, b)
}"""


def wire(body: str, parameters: str = "x = f32[1024] parameter(0)") -> dict[str, int | None]:
    """Return the bytes on the wire of every op in the entry computation."""
    module = decode(xla.parse_text(f"HloModule m\n{ADD}\nENTRY e {{\n{parameters}\n{body}\n}}"))
    costs = price_nodes(module, flatten(module))
    return {name: op.cost.wire_bytes for name, op in costs.items()}


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("f32[1024] all-reduce(x), {g}, to_apply=add", 2 * 3 * 4096 // 4),
        ("f32[4096] all-gather(x), {g}, dimensions={0}", 3 * 4 * 4096 // 4),
        ("f32[256] reduce-scatter(x), {g}, dimensions={0}, to_apply=add", 3 * 4096 // 4),
        ("f32[1024] all-to-all(x), {g}, dimensions={0}", 3 * 4096 // 4),
        ("f32[1024] collective-broadcast(x), {g}", 4096),
        ("f32[1024] collective-permute(x), source_target_pairs={{0,1},{1,0}}", 4096),
        ("f32[1024] collective-permute(x), source_target_pairs={{0,0},{1,1}}", 0),
        ("f32[1024] collective-permute(x), source_target_pairs={}", 0),
        ("(f32[1024], u32[], token[]) send(x, t), channel_id=1", 4096),
        ("(f32[1024], u32[], token[]) send(x, t), channel_id=1, is_host_transfer=true", 0),
        ("f32[1024] all-reduce(x), replica_groups={{0},{1}}, to_apply=add", 0),
        ("f32[1024] all-reduce(x), replica_groups={{0,1,2},{3}}, to_apply=add", 5462),
        ("f32[1024] all-reduce(x), replica_groups=[2,8]<=[16], to_apply=add", 2 * 7 * 512),
        ("f32[1024] all-reduce(x), replica_groups={}, to_apply=add", None),
    ],
)
def test_every_op(op: str, expected: int | None) -> None:
    text = op.replace("{g}", "replica_groups={{0,1,2,3}}")
    assert wire(f"t = token[] after-all()\nROOT y = {text}")["y"] == expected


@pytest.mark.parametrize(("devices", "expected"), [(1, 0), (4, 4096), (None, None)])
def test_a_reduction_to_one_passes_its_operands_along(
    devices: int | None, expected: int | None
) -> None:
    x = Shape(dtype="f32", dimensions=(1024,))
    reduction = Instruction(
        name="r", opcode="collective-reduce", shape=x, collective=Collective(group_size=devices)
    )
    module = Module(name="m", entry="e", computations={})
    assert wire_bytes(reduction, [x], module) == expected


def test_the_start_sends_and_the_done_waits() -> None:
    groups = "replica_groups={{0,1,2,3}}"
    assert wire(f"""
      r = f32[1024] all-reduce-start(x), {groups}, to_apply=add
      s = f32[1024] all-reduce-done(r)
      g = (f32[1024], f32[4096]) all-gather-start(s), {groups}, dimensions={{0}}
      h = f32[4096] all-gather-done(g)
      p = (f32[4096], f32[4096], u32[], u32[]) collective-permute-start(h),
        source_target_pairs={{{{0,1}},{{1,0}}}}
      ROOT q = f32[4096] collective-permute-done(p)""") == {
        "x": 0, "r": 6144, "s": 0, "g": 12288, "h": 0, "p": 16384, "q": 0,
    }  # fmt: skip


def test_an_async_wrapper_sends_what_is_inside() -> None:
    groups = "replica_groups={{0,1,2,3}}, dimensions={0}, to_apply=add"
    assert wire(f"""
      s = ((f32[1024]), f32[256], s32[]) reduce-scatter-start(x), {groups}
      ROOT d = f32[256] reduce-scatter-done(s)""") == {
        "x": 0, "s": 3072, "async_param": 0, "reduce-scatter": 3072, "d": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("plain", "start", "done"),
    [
        (
            "f32[4096] all-gather(x), {g}, dimensions={0}",
            "(f32[1024], f32[4096]) all-gather-start(x), {g}, dimensions={0}",
            "f32[4096] all-gather-done(y)",
        ),
        (
            "f32[1024] all-reduce(x), {g}, to_apply=add",
            "f32[1024] all-reduce-start(x), {g}, to_apply=add",
            "f32[1024] all-reduce-done(y)",
        ),
        (
            "f32[1024] collective-permute(x), source_target_pairs={{0,1}}",
            "(f32[1024], f32[1024], u32[], u32[]) collective-permute-start(x),"
            " source_target_pairs={{0,1}}",
            "f32[1024] collective-permute-done(y)",
        ),
        (
            "f32[256] reduce-scatter(x), {g}, dimensions={0}, to_apply=add",
            "((f32[1024]), f32[256], s32[]) reduce-scatter-start(x), {g}, dimensions={0},"
            " to_apply=add",
            "f32[256] reduce-scatter-done(y)",
        ),
        (
            "f32[1024] copy(x)",
            "(f32[1024], f32[1024], u32[]) copy-start(x)",
            "f32[1024] copy-done(y)",
        ),
    ],
)
def test_two_halves_cost_what_the_whole_costs(plain: str, start: str, done: str) -> None:
    def module(body: str) -> bytes:
        body = body.replace("{g}", "replica_groups={{0,1,2,3}}")
        text = f"HloModule m\n{ADD}\nENTRY e {{\nx = f32[1024] parameter(0)\n{body}\n}}"
        return xla.parse_text(text)

    def costs(serialized: bytes) -> dict[str, OpCost]:
        decoded = decode(serialized)
        return price_nodes(decoded, flatten(decoded))

    whole = costs(module(f"ROOT y = {plain}"))["y"].cost
    halves = costs(module(f"y = {start}\nROOT z = {done}"))
    assert (halves["y"].cost, halves["z"].cost) == (whole, ZERO)
    said = xla.cost_analysis(module(f"ROOT y = {plain}"))["bytes accessed"]
    assert (whole.bytes_read or 0) + (whole.bytes_written or 0) == said


def test_several_operands_are_sent_together() -> None:
    parameters = "x = f32[1024] parameter(0)\ny = bf16[512] parameter(1)"
    both = "ROOT z = (f32[1024], bf16[512]) all-reduce(x, y), replica_groups={{0,1}}, to_apply=add"
    assert wire(both, parameters)["z"] == 2 * (4096 + 1024) // 2


@pytest.mark.parametrize(
    ("opcode", "collective", "devices"),
    [
        ("all-reduce", Collective(), 2),
        ("all-reduce", Collective(channel_id=1), 8),
        ("all-reduce", Collective(channel_id=1, use_global_device_ids=True), 8),
        ("all-reduce", Collective(channel_id=1, group_size=2), 8),
        ("all-reduce", Collective(channel_id=1, group_size=4, use_global_device_ids=True), 4),
        ("all-to-all", Collective(), 2),
        ("all-to-all", Collective(channel_id=1), 4),
        ("all-to-all", Collective(channel_id=1, group_size=2), 2),
    ],
)
def test_whom_groups_are_of(opcode: str, collective: Collective, devices: int) -> None:
    """By XLA's CollectiveOpGroupMode, on 2 replicas of 4 partitions."""
    shape = Shape(dtype="f32", dimensions=(8192,))
    instruction = Instruction(name="x", opcode=opcode, shape=shape, collective=collective)
    module = Module(name="m", entry="e", computations={}, replica_count=2, partition_count=4)
    rounds = 2 if opcode == "all-reduce" else 1
    assert wire_bytes(instruction, [shape], module) == rounds * (devices - 1) * 32768 // devices


def test_what_is_unknown_is_said() -> None:
    text = f"""HloModule m
    {ADD}
    ENTRY e {{
      x = f32[8] parameter(0)
      ROOT y = f32[8] all-reduce(x), replica_groups={{}}, to_apply=add
    }}"""
    module = decode(xla.parse_text(text))
    cost = price_nodes(module, flatten(module))["y"]
    assert cost.cost.wire_bytes is None
    assert cost.cost.flops == 8
    assert "all-reduce" in (cost.unpriced or "")


SHARDED = """
import json
import jax, numpy
from jax import lax, shard_map
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from edgegraph import xla
from edgegraph.cost.price import price_nodes
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.decode import decode

def several(x):
    gathered = lax.all_gather(x, "x", tiled=True)
    return (lax.psum(x, "x"), gathered, lax.psum_scatter(gathered, "x", tiled=True),
            lax.ppermute(x, "x", [(i, (i + 1) % 4) for i in range(4)]),
            lax.all_to_all(gathered.reshape(4, -1), "x", 0, 0))

def train(x):
    return lax.fori_loop(0, 5, lambda i, v: lax.pmean(v * 2, "y"), x)

def sent(function, mesh, specification):
    lowered = jax.jit(function).lower(jax.ShapeDtypeStruct(
        (64, 16), "float32", sharding=NamedSharding(mesh, specification)))
    found = []
    for serialized in (xla.lowered_module(lowered), xla.compiled_module(lowered.compile())):
        module = decode(serialized)
        nodes = flatten(module)
        costs = price_nodes(module, nodes)
        found.append({node.instruction.opcode: costs[node.name].cost.wire_bytes
                      for node in nodes if node.instruction.collective})
    return found

devices = numpy.array(jax.devices())
line, grid = Mesh(devices, ("x",)), Mesh(devices.reshape(2, 2), ("x", "y"))
parts = P("x"), P("x", "y")
both = shard_map(several, mesh=line, in_specs=parts[0],
                 out_specs=(P(), P(), P("x"), P("x"), P("x")), check_vma=False)
loop = shard_map(train, mesh=grid, in_specs=parts[1], out_specs=parts[1], check_vma=False)
print(json.dumps([sent(both, line, parts[0]), sent(loop, grid, parts[1])]))
"""


def test_shard_map_over_four_devices() -> None:
    several, loop = on_four_devices(SHARDED)
    shard = 16 * 16 * 4
    for stage in several:
        assert stage == {
            "all-reduce": 2 * 3 * shard // 4,
            "all-gather": 3 * 4 * shard // 4,
            "reduce-scatter": 3 * 4 * shard // 4,
            "collective-permute": shard,
            "all-to-all": 3 * 4 * shard // 4,
        }
    for stage in loop:
        assert stage == {"all-reduce": 5 * 2 * (32 * 8 * 4) // 2}
