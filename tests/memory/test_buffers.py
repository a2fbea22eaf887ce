"""Which values share memory, and how long they live, on programs written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgegraph.errors import FormatError
from tests.memory.scheduled import KIB, alive, profile, scheduled


def test_views_take_no_memory() -> None:
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      flat = f32[16,16] bitcast(a)
      pair = (f32[16,16], v[]) tuple(flat, a)
      back = f32[16,16] get-tuple-element(pair), index=0
      barrier = f32[16,16] opt-barrier(back)
      ROOT y = f32[16,16] reverse(barrier), dimensions={0}""")
    assert alive(module) == {
        "x": 1, "a": 2, "flat": 2, "pair": 2, "back": 2, "barrier": 2, "y": 3
    }  # fmt: skip


def test_loop_state_counts_once() -> None:
    module = scheduled(
        """
      x = v parameter(0)
      start = s32[] parameter(1)
      init = v reverse(x), dimensions={0}
      state = (v[], s32[]) tuple(init, start)
      loop = (v[], s32[]) while(state), condition=cond, body=body
      ROOT y = v get-tuple-element(loop), index=0""",
        """body {
             p = (v[], s32[]) parameter(0)
             s = v get-tuple-element(p), index=0
             i = s32[] get-tuple-element(p), index=1
             big = f32[2048] concatenate(s, s, s, s, s, s, s, s), dimensions={0}
             next = v slice(big), slice={[0:256]}
             one = s32[] constant(1)
             j = s32[] add(i, one)
             ROOT r = (v[], s32[]) tuple(next, j) }
           cond { p = (v[], s32[]) parameter(0)
                  i = s32[] get-tuple-element(p), index=1
                  ten = s32[] constant(10)
                  ROOT c = pred[] compare(i, ten), direction=LT }""",
    )
    # Inside: the state, and the 8 KiB beside it; the constants take 4 bytes each.
    found = profile(module)
    fixed = KIB + 4 + 4 + 4
    assert found.alive_bytes == (
        fixed, fixed, fixed + KIB, fixed + KIB, fixed + 9 * KIB, fixed + KIB
    )  # fmt: skip
    assert found.steps[found.peak_step].name == "loop"
    assert found.peak_node.name == "big"
    assert [(b.node.name, b.role) for b in found.held[:3]] == [
        ("big", "temporary"), ("x", "argument"), ("init", "output")
    ]  # fmt: skip


def test_conditional_needs_the_larger_branch() -> None:
    module = scheduled(
        """
      flag = pred[1024] parameter(0)
      x = v parameter(1)
      which = pred[] parameter(2)
      a = v reverse(x), dimensions={0}
      ROOT y = v conditional(which, a, a), true_computation=small, false_computation=large""",
        """small { p = v parameter(0) ROOT q = v reverse(p), dimensions={0} }
           large { p2 = v parameter(0)
                   wide = f32[1024] concatenate(p2, p2, p2, p2), dimensions={0}
                   ROOT q2 = v slice(wide), slice={[256:512]} }""",
    )
    found = profile(module)
    fixed = 2 * KIB + 1
    # Alive: a, and in the larger branch 4 KiB while the 1 KiB of the result is cut out of it.
    assert found.alive_bytes == (fixed, fixed, fixed, fixed + KIB, fixed + 6 * KIB)
    assert found.peak_node.name == "q2"


def test_call_hands_its_result_on() -> None:
    module = scheduled(
        """
      x = v parameter(0)
      a = v call(x), to_apply=f
      ROOT y = v reverse(a), dimensions={0}""",
        """f { p = v parameter(0)
               t = v reverse(p), dimensions={0}
               ROOT r = v reverse(t), dimensions={0} }""",
    )
    assert alive(module) == {"x": 1, "a": 3, "y": 3}


def test_transfer_holds_both_ends_until_it_is_done() -> None:
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      start = (v[], v[], u32[256]) copy-start(a)
      b = v reverse(x), dimensions={0}
      done = v copy-done(start)
      ROOT y = v subtract(done, b)""")
    # a lies where y will be, so y has no operand to write over.
    assert alive(module) == {"x": 1, "a": 2, "start": 4, "b": 5, "done": 5, "y": 4}


def test_asynchronous_computation() -> None:
    module = scheduled(
        """
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      start = ((v[]), v[], s32[]) async-start(a), calls=f
      done = v async-done(start)
      ROOT y = v reverse(done), dimensions={0}""",
        "f { p = v parameter(0) ROOT r = v reverse(p), dimensions={0} }",
    )
    assert [count // KIB for count in profile(module).alive_bytes] == [1, 2, 3, 3, 3]


def test_what_depends_on_inputs() -> None:
    module = scheduled("""
      w = v parameter(0), metadata={op_name="params['dense']['kernel']"}
      x = v parameter(1), metadata={op_name="x"}
      scaled = v reverse(w), dimensions={0}
      hidden = v reverse(x), dimensions={0}
      ROOT y = v subtract(hidden, scaled)""")
    found = {b.node.name: b.from_input for b in profile(module).held}
    assert found == {"w": False, "x": True, "scaled": False, "hidden": True}


def test_a_loop_that_gives_back_another_state_is_refused() -> None:
    module = scheduled(
        """
      x = v parameter(0)
      state = (v[]) tuple(x)
      ROOT loop = (v[]) while(state), condition=cond, body=body""",
        """body { p = (v[]) parameter(0) ROOT s = (v[]) copy(p) }
           cond { q = (v[]) parameter(0) ROOT c = pred[] constant(false) }""",
    )
    body = module.computations["body"]
    parameter, root = body.instructions
    broken = replace(
        body, instructions=(parameter, _with_shape(root, parameter.shape.elements * 2))
    )
    module = replace(module, computations={**module.computations, "body": broken})
    with pytest.raises(FormatError, match=r"'loop': its result has 1 arrays, but .* gets 2 back"):
        profile(module)


def _with_shape(instruction: Any, elements: tuple[Any, ...]) -> Any:
    from msgspec.structs import replace as replace_struct

    return replace_struct(instruction, shape=replace_struct(instruction.shape, elements=elements))


def test_a_gather_holds_both_ends_until_it_is_done() -> None:
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      start = (v[], f32[1024]) all-gather-start(a), replica_groups={{0,1,2,3}}, dimensions={0}
      done = f32[1024] all-gather-done(start)
      ROOT y = v slice(done), slice={[0:256]}""")
    # Both are held until the gather is done; then a is not needed any more.
    assert alive(module) == {"x": 1, "a": 2, "start": 6, "done": 6, "y": 6}
