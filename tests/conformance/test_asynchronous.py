"""What moves data while others compute: each transfer counts once, at the op that starts it."""

from __future__ import annotations

import pytest

from edgegraph import xla
from tests.conformance.harness import check

ADD = "add { a = f32[] parameter(0)\n b = f32[] parameter(1)\n ROOT c = f32[] add(a, b) }\n"
SLICE = "w { q = f32[64,32] parameter(0)\n ROOT r = f32[8,32] slice(q), slice={[0:8], [0:32]} }\n"
BODY = """g {
  q = f32[64,32] parameter(0)
  e = f32[64,32] exponential(q)
  ROOT r = f32[64,32] add(e, q)
}
"""
P = "p = f32[64,32] parameter(0)"
PAIR = "source_target_pairs={{0,1},{1,0}}"
GROUPS = "replica_groups={{0,1}}"


def module(*lines: str, before: str = "", schedule: str = "") -> bytes:
    """Parse an entry computation of these lines; the last is its root."""
    body = "\n  ".join([*lines[:-1], "ROOT " + lines[-1]])
    return xla.parse_text(f"HloModule m{schedule}\n{before}\nENTRY main {{\n  {body}\n}}\n")


ASYNCHRONOUS: dict[str, tuple[bytes, int]] = {
    "copy": (
        module(
            P,
            "s = (f32[64,32]{1,0:S(1)}, f32[64,32]{1,0}, u32[]) copy-start(p)",
            "d = f32[64,32]{1,0:S(1)} copy-done(s)",
        ),
        2 * 8192,
    ),
    "slice": (
        module(
            P,
            "s = ((f32[64,32]), f32[8,32]{1,0:S(1)}, s32[]) slice-start(p), slice={[0:8],[0:32]}",
            "d = f32[8,32]{1,0:S(1)} slice-done(s)",
        ),
        2 * 1024,
    ),
    "slice in three parts": (
        module(
            P,
            "s = ((f32[64,32]), f32[8,32], s32[]) async-start(p), calls=w",
            "u = ((f32[64,32]), f32[8,32], s32[]) async-update(s)",
            "d = f32[8,32] async-done(u)",
            before=SLICE,
        ),
        2 * 1024,
    ),
    "dynamic slice": (
        module(
            P,
            "i = s32[] parameter(1)",
            "s = ((f32[64,32], s32[], s32[]), f32[8,32], s32[]) dynamic-slice-start(p, i, i),"
            " dynamic_slice_sizes={8,32}",
            "d = f32[8,32] dynamic-slice-done(s)",
        ),
        2 * 1024 + 4,  # Of several indices XLA counts the first.
    ),
    "fusion": (
        module(
            P,
            "s = ((f32[64,32]), f32[64,32], s32[]) fusion-start(p), kind=kLoop, calls=g",
            "d = f32[64,32] fusion-done(s)",
            before=BODY,
        ),
        2 * 8192,
    ),
    "all-reduce": (
        module(
            P,
            f"s = f32[64,32] all-reduce-start(p), to_apply=add, {GROUPS}",
            "d = f32[64,32] all-reduce-done(s)",
            before=ADD,
        ),
        2 * 8192,
    ),
    "all-gather": (
        module(
            P,
            f"s = (f32[64,32], f32[128,32]) all-gather-start(p), dimensions={{0}}, {GROUPS}",
            "d = f32[128,32] all-gather-done(s)",
        ),
        8192 + 2 * 8192,
    ),
    "all-gather of two": (
        module(
            P,
            "s = ((f32[64,32], f32[64,32]), (f32[128,32], f32[128,32])) all-gather-start(p, p),"
            f" dimensions={{0}}, {GROUPS}",
            "d = (f32[128,32], f32[128,32]) all-gather-done(s)",
        ),
        2 * 3 * 8192,
    ),
    "reduce-scatter": (
        module(
            P,
            "s = ((f32[64,32]), f32[32,32]) reduce-scatter-start(p), dimensions={0},"
            f" to_apply=add, {GROUPS}",
            "d = f32[32,32] reduce-scatter-done(s)",
            before=ADD,
        ),
        8192 + 4096,
    ),
    "collective-permute": (
        module(
            P,
            "s = (f32[64,32], f32[64,32], u32[], u32[]) collective-permute-start(p)," + PAIR,
            "d = f32[64,32] collective-permute-done(s)",
        ),
        2 * 8192,
    ),
    "send": (
        module(
            P,
            "t = token[] after-all()",
            "s = (f32[64,32], u32[], token[]) send(p, t), channel_id=1",
            "d = token[] send-done(s), channel_id=1",
        ),
        8192,
    ),
    "recv": (
        module(
            "t = token[] after-all()",
            "s = (f32[64,32], u32[], token[]) recv(t), channel_id=1",
            "d = (f32[64,32], token[]) recv-done(s), channel_id=1",
        ),
        8192,
    ),
}


@pytest.mark.parametrize(("serialized", "moved"), ASYNCHRONOUS.values(), ids=ASYNCHRONOUS)
def test_an_asynchronous_op_moves_its_data_once(serialized: bytes, moved: int) -> None:
    assert check(serialized).total.bytes == moved
