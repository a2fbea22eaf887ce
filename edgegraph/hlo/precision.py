"""How exact a product is to be, as XLA writes it down."""

from __future__ import annotations

from edgegraph.hlo.schema import Proto

_LEVELS = {0: "default", 1: "high", 2: "highest"}
"""XLA's ``PrecisionConfig.Precision`` by number, the least exact first."""

_ALGORITHMS = {
    1: "dot_any_f8_any_f8_f32",
    2: "dot_any_f8_any_f8_f32_fast_accum",
    3: "dot_f16_f16_f16",
    4: "dot_f16_f16_f32",
    5: "dot_bf16_bf16_bf16",
    6: "dot_bf16_bf16_f32",
    7: "dot_bf16_bf16_f32_x3",
    8: "dot_bf16_bf16_f32_x6",
    9: "dot_tf32_tf32_f32",
    10: "dot_tf32_tf32_f32_x3",
    11: "dot_f32_f32_f32",
    12: "dot_f64_f64_f64",
    13: "dot_bf16_bf16_f32_x9",
}
"""XLA's ``PrecisionConfig.Algorithm`` by number."""


def decode_precision(proto: Proto) -> str | None:
    """Return the precision of an instruction that has one.

    Returns:
        The name of an algorithm, or ``high`` or ``highest``; of operands that differ the less
        exact. None where nothing is asked for.
    """
    config = proto.precision_config
    algorithm = _ALGORITHMS.get(config.algorithm)
    if algorithm is not None:
        return algorithm
    level = min(config.operand_precision, default=0)
    return _LEVELS.get(level) if level > 0 else None
