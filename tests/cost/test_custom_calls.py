"""Prices of custom calls that JAX makes on this host, by hand from the published formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

import edgegraph as eg
from edgegraph import xla
from edgegraph.cost.cost import ZERO, Cost
from edgegraph.cost.custom_calls import price_custom_call, registry
from edgegraph.cost.price import OpCost, price_nodes
from edgegraph.errors import InputError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.module import Instruction, Shape


def array(*dimensions: int, dtype: str = "float32") -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(dimensions, jnp.dtype(dtype))


def calls(serialized: bytes) -> dict[str, list[OpCost]]:
    """Return the prices of the custom calls of a module by target."""
    module = decode(serialized)
    nodes = flatten(module)
    costs = price_nodes(module, nodes)
    found: dict[str, list[OpCost]] = {}
    for node in nodes:
        if node.instruction.opcode == "custom-call":
            target = node.instruction.custom_call_target or ""
            found.setdefault(target, []).append(costs[node.name])
    return found


def compiled(function: Callable[..., Any], *arguments: Any) -> bytes:
    return xla.compiled_module(jax.jit(function).lower(*arguments).compile())


def lowered(function: Callable[..., Any], *arguments: Any) -> bytes:
    return xla.lowered_module(jax.jit(function).lower(*arguments))


def thin_svd(x: Any) -> Any:
    return jnp.linalg.svd(x, full_matrices=False)


def full_svd(x: Any) -> Any:
    return jnp.linalg.svd(x, full_matrices=True)


def svd_by_qr(x: Any) -> Any:
    return lax.linalg.svd(x, full_matrices=False, algorithm=lax.linalg.SvdAlgorithm.QR)


def solve_lower(a: Any, b: Any) -> Any:
    return lax.linalg.triangular_solve(a, b, left_side=True, lower=True)


def solve_right_unit(a: Any, b: Any) -> Any:
    return lax.linalg.triangular_solve(a, b, left_side=False, lower=True, unit_diagonal=True)


def pivoted_qr(x: Any) -> Any:
    return lax.linalg.qr(x, pivoting=True)


def both_eigenvectors(x: Any) -> Any:
    return lax.linalg.eig(x)


# Of an n x n matrix with n = 8, unless said otherwise, by LAPACK Working Note 41.
LINEAR_ALGEBRA: list[tuple[Callable[..., Any], tuple[Any, ...], str, int]] = [
    # n^3/3 + n^2/2 + n/6 = 204, of 3 matrices.
    (jnp.linalg.cholesky, (array(3, 8, 8),), "lapack_spotrf_ffi", 3 * 204),
    (jnp.linalg.cholesky, (array(8, 8, dtype="complex64"),), "lapack_cpotrf_ffi", 204),
    # m n^2 - n^3/3 - n^2/2 + 5n/6 of 8 x 6: 288 - 72 - 18 + 5.
    (lax.linalg.lu, (array(8, 6),), "lapack_sgetrf_ffi", 203),
    (lax.linalg.lu, (array(6, 8),), "lapack_sgetrf_ffi", 203),
    # 2 m n^2 - 2n^3/3 + m n + n^2 + 14n/3 of 8 x 6: 576 - 144 + 48 + 36 + 28.
    (jnp.linalg.qr, (array(5, 8, 6),), "lapack_sgeqrf_ffi", 5 * 544),
    (pivoted_qr, (array(8, 6),), "lapack_sgeqp3_ffi", 544),
    # 4mnk - 2(m + n)k^2 + 3nk - mk - k^2 + (4k^3 - 4k)/3, k = n = 6:
    # 1152 - 1008 + 108 - 48 - 36 + 280.
    (jnp.linalg.qr, (array(5, 8, 6),), "lapack_sorgqr_ffi", 5 * 448),
    (jnp.linalg.qr, (array(8, 6, dtype="complex64"),), "lapack_cungqr_ffi", 448),
    # n^2 for each of 5 right-hand sides; n fewer with ones on the diagonal.
    (solve_lower, (array(3, 8, 8), array(3, 8, 5)), "lapack_strsm_ffi", 3 * 5 * 64),
    (solve_right_unit, (array(8, 8), array(5, 8)), "lapack_strsm_ffi", 5 * 56),
    # 4n^3/3 + 7n^2/2 - 17n/6 - 19 = 865, and 2n^3 for the vectors.
    (jnp.linalg.eigh, (array(3, 8, 8),), "lapack_ssyevd_ffi", 3 * (865 + 1024)),
    (jnp.linalg.eigh, (array(8, 8, dtype="complex64"),), "lapack_cheevd_ffi", 865 + 1024),
    (lambda x: lax.linalg.tridiagonal(x, lower=True), (array(8, 8),), "lapack_ssytrd_ffi", 865),
    # 10n^3/3 - n^2/2 - 11n/6 - 21.
    (jax.scipy.linalg.hessenberg, (array(3, 8, 8),), "lapack_sgehrd_ffi", 3 * 1639),
    # 10n^3; 26 1/3 n^3 with right eigenvectors; 4/3 n^3 more with left ones.
    (jnp.linalg.eigvals, (array(8, 8),), "lapack_sgeev_ffi", 5120),
    (jnp.linalg.eig, (array(8, 8),), "lapack_sgeev_ffi", 79 * 512 // 3),
    (both_eigenvectors, (array(8, 8),), "lapack_sgeev_ffi", 83 * 512 // 3),
    (jax.scipy.linalg.schur, (array(8, 8),), "lapack_sgees_ffi", 25 * 512),
    # GEBRD of 8 x 6: 4mn^2 + 3n^2 - mn + (25n - 4n^3)/3 = 1152 + 108 - 48 - 238 = 974; ORMQR
    # from the left on 8 x 6: 828; from the right on 6 x 6: 525.
    (thin_svd, (array(3, 8, 6),), "lapack_sgesdd_ffi", 3 * (974 + 828 + 525)),
    (lambda x: jnp.linalg.svd(x, compute_uv=False), (array(8, 6),), "lapack_sgesdd_ffi", 974),
    # Tall, 24 x 6: GEQRF 1792, ORGQR 1504, the rest of 6 x 6 (GEBRD 698, ORMQR 540 and 525), and
    # the product with Q: 2 m n^2.
    (thin_svd, (array(24, 6),), "lapack_sgesdd_ffi", 1792 + 1504 + 698 + 540 + 525 + 1728),
    # Golub-Reinsch of 8 x 6: 14mn^2 + 8n^3.
    (svd_by_qr, (array(8, 6),), "lapack_sgesvd_ffi", 14 * 8 * 36 + 8 * 216),
    # 3(n - 1) + 2 (7n - 8), of 3 systems.
    (
        lax.linalg.tridiagonal_solve,
        (array(3, 8), array(3, 8), array(3, 8), array(3, 8, 2)),
        "lapack_sgtsv_ffi",
        3 * 117,
    ),
    # 400 elements, log2(5) rounded up.
    (lambda x: lax.top_k(x, 5), (array(4, 100),), "TopK", 400 * 3),
]


@pytest.mark.parametrize(("function", "arguments", "target", "flops"), LINEAR_ALGEBRA)
def test_linear_algebra_of_this_host(
    function: Callable[..., Any], arguments: tuple[Any, ...], target: str, flops: int
) -> None:
    (found,) = calls(compiled(function, *arguments))[target]
    assert found.cost.flops == flops
    assert found.cost.macs == 0
    assert found.unpriced is None


def test_the_full_svd_of_a_square_matrix_is_the_users_guides() -> None:
    """LAPACK Users' Guide: 2.67 n^3 for the values, 6.67 n^3 with all vectors."""
    n = 512
    (values,) = calls(compiled(lambda x: jnp.linalg.svd(x, compute_uv=False), array(n, n)))[
        "lapack_sgesdd_ffi"
    ]
    (vectors,) = calls(compiled(full_svd, array(n, n)))["lapack_sgesdd_ffi"]
    assert values.cost.flops == pytest.approx(2.67 * n**3, rel=0.01)
    assert vectors.cost.flops == pytest.approx(6.67 * n**3, rel=0.01)


def test_matrices_in_place_are_read_and_written() -> None:
    (call,) = calls(compiled(jnp.linalg.cholesky, array(3, 8, 8)))["lapack_spotrf_ffi"]
    assert call.cost.bytes_read == 3 * 64 * 4
    assert call.cost.bytes_written == 3 * 64 * 4 + 3 * 4  # one status each


def test_vectors_that_are_not_computed_are_not_written() -> None:
    (call,) = calls(compiled(lambda x: jnp.linalg.svd(x, compute_uv=False), array(8, 6)))[
        "lapack_sgesdd_ffi"
    ]
    assert call.cost.bytes_written == 4 * (48 + 6 + 1)


def test_a_solve_is_its_parts() -> None:
    found = calls(compiled(jnp.linalg.solve, array(8, 8), array(8, 2)))
    assert sum(op.cost.flops or 0 for op in found["lapack_sgetrf_ffi"]) == 316
    assert [op.cost.flops for op in found["lapack_strsm_ffi"]] == [2 * 56, 2 * 64]


def test_python_on_the_host_is_unknown_on_purpose() -> None:
    def run(x: Any) -> Any:
        return jax.pure_callback(lambda v: v, jax.ShapeDtypeStruct((4,), jnp.float32), x)

    (call,) = calls(compiled(run, array(4)))["xla_ffi_python_cpu_callback"]
    assert call.cost.flops is None
    assert "xla_ffi_python_cpu_callback" in (call.unpriced or "")


def test_markers_cost_nothing() -> None:
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    found = calls(lowered(lambda x: lax.with_sharding_constraint(x, device) * 2, array(8, 8)))
    assert [op.cost for ops in found.values() for op in ops] == [ZERO]


@pytest.fixture
def own_rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take back what a test registers."""
    monkeypatch.setattr(registry, "_registered", {})
    return


def foreign(target: str) -> bytes:
    return xla.parse_text(f"""HloModule m
    ENTRY e {{
      x = f32[8,4] parameter(0)
      ROOT y = f32[8] custom-call(x), custom_call_target="{target}"
    }}""")


@pytest.mark.usefixtures("own_rules")
def test_a_users_rule_prices_a_call() -> None:
    assert calls(foreign("row_norms"))["row_norms"][0].cost.flops is None

    @eg.register_custom_call("row_norms", "row_norms_fast")
    def row_norms(call: eg.CustomCall) -> eg.Cost:
        return call.cost(flops=2 * call.operands[0].size, transcendentals=call.result.size)

    for target in ("row_norms", "row_norms_fast"):
        (found,) = calls(foreign(target))[target]
        assert found.unpriced is None
        assert found.cost == Cost(flops=64, transcendentals=8, bytes_read=128, bytes_written=32)


@pytest.mark.usefixtures("own_rules")
def test_a_users_rule_comes_before_ours_and_may_say_unknown() -> None:
    eg.register_custom_call("TopK")(lambda call: None)
    (found,) = calls(compiled(lambda x: lax.top_k(x, 5), array(4, 100)))["TopK"]
    assert found.cost.flops is None
    assert "TopK" in (found.unpriced or "")


def test_a_rule_without_a_target_is_refused() -> None:
    with pytest.raises(InputError, match="name at least one"):
        eg.register_custom_call()


def test_the_registry_is_restored() -> None:
    assert calls(foreign("row_norms"))["row_norms"][0].cost.flops is None


SHAPES = st.builds(
    lambda dtype, dimensions: Shape(dtype=dtype, dimensions=tuple(dimensions)),
    st.sampled_from(["f32", "bf16", "s8", "c64", "token"]),
    st.lists(st.integers(0, 5), max_size=4),
)
CONFIGURATIONS = st.sampled_from(
    ["", "{}", "[", "{" * 2000, "{mode = 83 : ui8}", "{left = true, side = 300 : ui16}",
     '{"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["7"]}}}',
     '{"gemm_backend_config":[]}', '{"onednn_conv_config":{"window":{}}}', '"cost_estimate":{x}',
     '{"cudnn_fmha_backend_config":{"intermediate_tensor_shape":{"dimensions":["a"]}}}',
     '{"onednn_matmul_config":{"transpose_a":true}}', '"cost_estimate":{"flops":"x"}']
)  # fmt: skip


@given(
    target=st.sampled_from(sorted(registry.built_in_targets())),
    operands=st.lists(SHAPES, max_size=5),
    results=st.lists(SHAPES, max_size=5),
    configuration=CONFIGURATIONS,
)
def test_calls_of_any_form_are_priced_or_unknown(
    target: str, operands: list[Shape], results: list[Shape], configuration: str
) -> None:
    shape = Shape(dtype="tuple", elements=tuple(results)) if len(results) != 1 else results[0]
    instruction = Instruction(
        name="x",
        opcode="custom-call",
        shape=shape,
        custom_call_target=target,
        backend_config=configuration,
    )
    cost = price_custom_call(instruction, operands)
    assert cost is None or all(
        figure is None or (isinstance(figure, int) and figure >= 0)
        for figure in (cost.macs, cost.flops, cost.transcendentals, cost.bytes_read)
    )
