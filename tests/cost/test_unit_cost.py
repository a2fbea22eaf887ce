"""One execution of an op, held against XLA's total and against arithmetic by hand."""

from __future__ import annotations

from edgegraph import xla
from edgegraph.cost.cost import ZERO
from tests import programs
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
