from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgegraph import xla
from edgegraph.errors import FormatError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.module import Module
from edgegraph.memory.live import MemoryProfile, profile_memory
from tests import programs

KIB = 1024
"""Bytes of an f32[256], the array of most programs here."""


def scheduled(body: str, computations: str = "", header: str = "") -> Module:
    """Write a module; `v` stands for f32[256], which takes 1 KiB."""
    text = f"HloModule m, is_scheduled=true{header}\n{computations}\nENTRY e {{\n{body}\n}}"
    return decode(xla.parse_text(text.replace("v[", "f32[256").replace("= v", "= f32[256]")))


def profile(module: Module) -> MemoryProfile:
    found = profile_memory(module, flatten(module))
    assert found is not None
    return found


def alive(module: Module) -> dict[str, int]:
    """Return KiB alive at every op of the entry computation."""
    found = profile(module)
    assert all(count % KIB == 0 for count in found.alive_bytes), found.alive_bytes
    return {
        node.name: count // KIB for node, count in zip(found.steps, found.alive_bytes, strict=True)
    }


def held(module: Module) -> list[tuple[str, int, str]]:
    """Return name, KiB and role of the buffers at the peak."""
    return [(b.node.name, b.bytes // KIB, b.role) for b in profile(module).held]


def test_chain() -> None:
    # reverse may not write over its operand; negate may, and does.
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      b = v reverse(a), dimensions={0}
      c = v negate(b)
      ROOT d = v reverse(c), dimensions={0}""")
    assert alive(module) == {"x": 1, "a": 2, "b": 3, "c": 2, "d": 3}
    assert held(module) == [("x", 1, "argument"), ("a", 1, "temporary"), ("b", 1, "temporary")]
    # a waits in the memory of the result, which nobody needs yet; b and c take turns beside it.
    assert profile(module).allocation.temp_bytes == KIB
    assert profile(module).allocation.output_bytes == KIB


def test_diamond_holds_what_the_other_arm_needs() -> None:
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      left = v reverse(a), dimensions={0}
      right = v negate(a)
      ROOT sum = v add(left, right)""")
    # right writes over a, sum over left or right.
    assert alive(module) == {"x": 1, "a": 2, "left": 3, "right": 3, "sum": 2 + 1}
    assert profile(module).allocation.temp_bytes == KIB


def test_what_is_read_again_is_not_written_over() -> None:
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      b = v negate(a)
      ROOT c = v subtract(a, b)""")
    assert alive(module) == {"x": 1, "a": 2, "b": 3, "c": 3}


def test_parameter_is_not_written_over() -> None:
    module = scheduled("x = v parameter(0)\n ROOT y = v negate(x)")
    assert alive(module) == {"x": 1, "y": 2}


def test_unused_result_is_alive_while_its_op_runs() -> None:
    module = scheduled("""
      x = v parameter(0)
      unused = f32[1024] concatenate(x, x, x, x), dimensions={0}
      ROOT y = v reverse(x), dimensions={0}""")
    assert alive(module) == {"x": 1, "unused": 5, "y": 2}


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


def test_update_in_place_counts_once() -> None:
    module = scheduled("""
      x = f32[1024] parameter(0)
      u = v parameter(1)
      zero = s32[] parameter(2)
      cache = f32[1024] reverse(x), dimensions={0}
      first = f32[1024] dynamic-update-slice(cache, u, zero)
      ROOT second = f32[1024] dynamic-update-slice(first, u, zero)""")
    found = profile(module)
    arguments = 5 * KIB + 4
    assert found.alive_bytes == (*[arguments] * 3, *[arguments + 4 * KIB] * 3)
    assert found.allocation.temp_bytes == 0
    assert found.allocation.output_bytes == 4 * KIB


def test_fusion_that_updates_in_place() -> None:
    module = scheduled(
        """
      x = v parameter(0)
      u = f32[16] parameter(1)
      a = v reverse(x), dimensions={0}
      updated = v fusion(a, u), kind=kLoop, calls=f
      ROOT y = v reverse(updated), dimensions={0}""",
        """f { p = v parameter(0)
               q = f32[16] parameter(1)
               at = s32[] constant(3)
               ROOT d = v dynamic-update-slice(p, q, at) }""",
    )
    assert [count - KIB - 64 for count in profile(module).alive_bytes] == [
        0, 0, KIB, KIB, 2 * KIB
    ]  # fmt: skip


def test_elementwise_fusion_takes_over_an_operand_and_another_does_not() -> None:
    # The result is too small for a to wait in its memory.
    body = """
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      b = v fusion(a), kind=kLoop, calls=f
      ROOT y = f32[16] slice(b), slice={[0:16]}"""
    elementwise = "f { p = v parameter(0) n = v negate(p) ROOT m = v multiply(n, p) }"
    mixing = "f { p = v parameter(0) n = v reverse(p), dimensions={0} ROOT m = v add(n, p) }"
    assert profile(scheduled(body, elementwise)).alive_bytes[2] == 2 * KIB
    assert profile(scheduled(body, mixing)).alive_bytes[2] == 3 * KIB


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


def test_donated_argument_is_not_counted_again() -> None:
    module = scheduled(
        """
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      ROOT y = v reverse(a), dimensions={0}""",
        header=", input_output_alias={ {}: (0, {}, may-alias) }",
    )
    # y lies where x lay; a cannot, as x is read while a is made.
    assert alive(module) == {"x": 1, "a": 2, "y": 2}
    assert profile(module).allocation.output_bytes == 0
    assert profile(module).allocation.temp_bytes == KIB


def test_temporaries_wait_in_donated_arguments() -> None:
    module = scheduled(
        """
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      b = v reverse(a), dimensions={0}
      c = v reverse(b), dimensions={0}
      ROOT y = v reverse(c), dimensions={0}""",
        header=", input_output_alias={ {}: (0, {}, may-alias) }",
    )
    # x is dead after a: b lies where it lay. c lies where a lay.
    assert alive(module) == {"x": 1, "a": 2, "b": 2, "c": 2, "y": 2}
    assert profile(module).allocation.temp_bytes == KIB


def test_outputs_stay_to_the_end() -> None:
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      b = v reverse(x), dimensions={0}
      c = v reverse(x), dimensions={0}
      ROOT all = (v[], v[], v[], v[]) tuple(a, b, c, x)""")
    assert alive(module) == {"x": 1, "a": 2, "b": 3, "c": 4, "all": 4}
    # The table of four pointers is part of the result.
    assert profile(module).allocation.output_bytes == 3 * KIB + 4 * 8
    assert {role for _, _, role in held(module)} == {"argument", "output"}


def test_custom_call_that_writes_over_its_operand() -> None:
    module = scheduled("""
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      call = (v[], s32[256]) custom-call(a), custom_call_target="lapack_sgetrf_ffi",
        output_to_operand_aliasing={{0}: (0, {})}
      lu = v get-tuple-element(call), index=0
      ROOT y = v reverse(lu), dimensions={0}""")
    assert alive(module) == {"x": 1, "a": 2, "call": 3, "lu": 2, "y": 3}


def test_sort_keeps_its_arrays_in_place() -> None:
    module = scheduled(
        """
      x = v parameter(0)
      a = v reverse(x), dimensions={0}
      b = v reverse(x), dimensions={0}
      ROOT sorted = (v[], v[]) sort(a, b), dimensions={0}, to_apply=less""",
        """less { p = f32[] parameter(0) q = f32[] parameter(1)
                  r = f32[] parameter(2) s = f32[] parameter(3)
                  ROOT l = pred[] compare(p, q), direction=LT }""",
    )
    assert alive(module)["sorted"] == 3


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


def test_other_memory_spaces_are_not_counted() -> None:
    module = scheduled("""
      x = v parameter(0)
      fast = f32[256]{0:S(1)} reverse(x), dimensions={0}
      ROOT y = v reverse(fast), dimensions={0}""")
    assert alive(module) == {"x": 1, "fast": 1, "y": 2}


def test_four_bit_numbers_are_packed() -> None:
    module = scheduled("x = s4[2048] parameter(0)\n ROOT y = s4[2048] reverse(x), dimensions={0}")
    assert alive(module) == {"x": 1, "y": 2}


def test_constants_are_alive_for_the_whole_run() -> None:
    module = scheduled(f"""
      x = f32[4] parameter(0)
      c = f32[4] constant({{{", ".join("1234")}}})
      ROOT y = f32[4] add(x, c)""")
    assert profile(module).alive_bytes == (32, 32, 48)
    assert {b.role for b in profile(module).held} == {"argument", "constant", "output"}


def test_nothing_is_said_before_there_is_a_schedule() -> None:
    module = decode(xla.parse_text("HloModule m ENTRY e { ROOT x = f32[8] parameter(0) }"))
    assert profile_memory(module, flatten(module)) is None
    lowered = decode(programs.lowered(programs.small_cnn, 1))
    assert profile_memory(lowered, flatten(lowered)) is None


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
    with pytest.raises(FormatError, match=r"'loop': 1 arrays are made of 1 .* and 2 that are"):
        profile(module)


def _with_shape(instruction: Any, elements: tuple[Any, ...]) -> Any:
    from msgspec.structs import replace as replace_struct

    return replace_struct(instruction, shape=replace_struct(instruction.shape, elements=elements))


def test_more_memory_than_there_is_is_refused() -> None:
    module = scheduled("x = f32[4611686018427387904] parameter(0)\n ROOT y = f32[] constant(1)")
    with pytest.raises(FormatError, match="add up to over"):
        profile(module)
