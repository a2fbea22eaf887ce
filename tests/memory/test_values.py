"""Whose memory an op may or must reuse, on programs written by hand."""

from __future__ import annotations

from tests.memory.scheduled import KIB, alive, profile, scheduled


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
