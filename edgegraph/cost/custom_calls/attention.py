"""Rules for cuDNN's fused attention.

With B batches, N heads, T queries, S keys and values, and heads of size H (keys) and V (values),
the forward pass multiplies queries by keys (B N T S H MACs) and weights by values (B N T S V).
The backward pass has both again and the gradients of each operand of both: the scores are
recomputed, so it is 3 products of size H and 2 of size V, 2.5 times the forward pass where they
are equal (Dao, "FlashAttention-2", 2023, section 4.1).

FLOPs are those of the products, as papers on attention count; the exponentials of the softmax
are the transcendentals. A causal mask leaves out the scores above the diagonal, and a sliding
window those that are further back, as the kernels do. Sequences that are padded count in full.
"""

from __future__ import annotations

from edgegraph.cost.cost import Cost
from edgegraph.cost.custom_calls.form import (
    bytes_without_workspace,
    configuration,
    integer,
    integers,
    operand,
)
from edgegraph.cost.custom_calls.registry import CustomCall, UnknownFormError, built_in

_FORWARD = ("Softmax", "ScaleBiasSoftmax", "SoftmaxDropout", "ScaleBiasSoftmaxDropout")


@built_in(*[f"__cudnn$fmha{kind}" for kind in _FORWARD], "__cudnn$fmhaSoftmaxF8")
def forward(call: CustomCall) -> Cost:
    """Attention: two products for every score."""
    return _attention(call, key_products=1, value_products=1)


@built_in(*[f"__cudnn$fmha{kind}Backward" for kind in _FORWARD], "__cudnn$fmhaSoftmaxBackwardF8")
def backward(call: CustomCall) -> Cost:
    """Gradients of attention: five products for every score, which are computed anew."""
    return _attention(call, key_products=3, value_products=2)


def _attention(call: CustomCall, *, key_products: int, value_products: int) -> Cost:
    options = configuration(call, "cudnn_fmha_backend_config")
    scores = configuration(call, "cudnn_fmha_backend_config", "intermediate_tensor_shape")
    sizes = integers(scores.get("dimensions"))
    heads = [operand(call, number).dimensions for number in (0, 2)]
    if len(sizes) != 4 or not all(heads):
        raise UnknownFormError(f"{call.target}: scores of shape {sizes}")
    batch, head_count, queries, keys = sizes
    causal = "CAUSAL" in str(options.get("mask_type", ""))
    reach = integer(options.get("sliding_window_length", 0))
    computed = batch * head_count * _scores(queries, keys, causal=causal, reach=reach)
    key_size, value_size = (dimensions[-1] for dimensions in heads)
    macs = computed * (key_products * key_size + value_products * value_size)
    return call.cost(
        macs=macs,
        flops=2 * macs,
        transcendentals=computed,
        bytes_written=bytes_without_workspace(call),
    )


def _scores(queries: int, keys: int, *, causal: bool, reach: int) -> int:
    """Count the pairs of a query and a key that may see each other.

    >>> _scores(4, 4, causal=False, reach=0), _scores(4, 4, causal=True, reach=0)
    (16, 10)
    >>> _scores(4, 4, causal=True, reach=2)
    7
    """
    if not causal:
        return queries * keys
    seen = _below_diagonal(queries, keys)
    return seen - _below_diagonal(queries - reach, keys) if reach > 0 else seen


def _below_diagonal(queries: int, keys: int) -> int:
    """Sum min(i, keys) for i from 1 to `queries`."""
    rising = max(0, min(queries, keys))
    return rising * (rising + 1) // 2 + max(0, queries - rising) * keys
