"""Kernels that say their cost, callbacks, markers, selection and random bits."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from edgegraph.cost.cost import ZERO
from tests.cost.custom_calls.calls import array, call, calls, compiled, lowered


def test_python_on_the_host_costs_the_device_what_is_handed_over() -> None:
    def run(x: Any) -> Any:
        jax.debug.callback(lambda v: None, x)
        return jax.pure_callback(lambda v: v, jax.ShapeDtypeStruct((4,), jnp.float32), x)

    found = calls(compiled(run, array(4)))["xla_ffi_python_cpu_callback"]
    assert [(op.cost.flops, op.unpriced) for op in found] == [(0, None)] * 2
    assert sorted((op.cost.bytes_read, op.cost.bytes_written) for op in found) == [
        (16, 0),
        (16, 16),
    ]


def test_markers_cost_nothing() -> None:
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    found = calls(lowered(lambda x: lax.with_sharding_constraint(x, device) * 2, array(8, 8)))
    assert [op.cost for ops in found.values() for op in ops] == [ZERO]


@pytest.mark.parametrize(
    ("result", "operands", "target", "moved"),
    [
        # A half of 40 kB is brought to the chip; on the chip only its name is new.
        ("f32[100,100]{1,0:S(1)}", "c64[100,100]{1,0}", "X64SplitLow", 40_000),
        ("f32[100,100]{1,0:S(1)}", "c64[100,100]{1,0:S(1)}", "X64SplitHigh", 0),
        # libtpu's memory statistics of `x.real` with 8192 x 8192: 512 MiB of argument, 256 MiB of
        # result, none of them aliased; of complex(sin(a), cos(a)): 512 MiB of temporaries.
        ("f32[8192,8192]{1,0}", "c64[8192,8192]{1,0}", "X64SplitLow", 268_435_456),
        ("u32[100,100]{1,0}", "u64[100,100]{1,0}", "X64SplitHigh", 40_000),
        ("c64[8192,8192]{1,0}", "f32[8192,8192]{1,0} f32[8192,8192]{1,0}", "X64Combine", 1 << 29),
        (
            "c64[100,100]{1,0}",
            "f32[100,100]{1,0:S(1)} f32[100,100]{1,0:S(1)}",
            "X64Combine",
            80_000,
        ),
    ],
)
def test_the_halves_of_64_bits_are_moved_or_renamed(
    result: str, operands: str, target: str, moved: int
) -> None:
    found = call(result, operands, target)
    assert (found.cost.bytes_read, found.cost.bytes_written) == (moved, moved)
    assert (found.cost.flops, found.unpriced) == (0, None)


def test_a_pallas_kernel_says_what_it_costs() -> None:
    estimate = {"flops": "1234", "transcendentals": "56", "bytes_accessed": "789000",
                "remote_bytes_transferred": "77"}  # fmt: skip
    config = {"custom_call_config": {"body": "TUzvUg==", "cost_estimate": estimate}}
    found = call("f32[256,256]", "f32[256,256] f32[256,256]", "tpu_custom_call", config=config)
    assert (found.cost.flops, found.cost.transcendentals) == (1234, 56)
    assert found.cost.bytes_written == 256 * 256 * 4
    assert found.cost.bytes_read == 789000 - 256 * 256 * 4
    assert (found.cost.wire_bytes, found.cost.macs) == (77, None)
    assert found.unpriced is None


def test_a_kernel_without_an_estimate_is_unknown() -> None:
    config = {"custom_call_config": {"body": "TUzvUg=="}}
    found = call("f32[256]", "f32[256]", "tpu_custom_call", config=config)
    assert found.cost.flops is None
    assert "tpu_custom_call" in (found.unpriced or "")


@pytest.mark.parametrize(
    ("target", "result", "operands", "flops"),
    [
        ("__gpu$TopK", "(f32[4,5], s32[4,5])", "f32[4,2000]", 4 * 2000 * 3),  # log2(5), rounded up
        ("TopK", "(f32[4,1], s32[4,1])", "f32[4,100]", 400),
        ("PartialReduce", "(f32[4,256], s32[4,256])", "f32[4,2048] s32[4,2048]", 8192),
        ("AssumeGatherIndicesInBound", "s32[1024]", "s32[1024]", 0),
        ("cu_lu_pivots_to_permutation", "s32[64]", "s32[8]", 0),
        # Salmon et al.: 20 rounds of 5 operations, a key schedule of 19, for two words each.
        ("cu_threefry2x32_ffi", "(u32[64], u32[64])", "u32[64] u32[64]", 64 * (20 * 5 + 19)),
    ],
)
def test_selection_and_random_bits(target: str, result: str, operands: str, flops: int) -> None:
    found = call(result, operands, target)
    assert found.cost.flops == flops
    assert found.unpriced is None
