"""Rules of users and of EdgeGraph, and calls of any form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

import edgegraph as eg
from edgegraph import xla
from edgegraph.cost.cost import Cost
from edgegraph.cost.custom_calls import price_custom_call, registry
from edgegraph.errors import InputError
from edgegraph.hlo.module import Instruction, Shape
from tests.cost.custom_calls.calls import array, calls, compiled


@pytest.fixture
def own_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what a test registers."""
    monkeypatch.setattr(registry, "_registered", {})


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
    target=st.sampled_from(sorted(registry.built_in_rules())),
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
