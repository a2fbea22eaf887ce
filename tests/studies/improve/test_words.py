from __future__ import annotations

from edgegraph.studies.improve.trials import Donation, OutputCheck
from tests.studies.improve.improvements import improvement


def test_lower_precision_is_told_by_result() -> None:
    outputs = tuple(
        OutputCheck(name=name, largest=2.0, difference=0.01, sensitivity=0.0, tolerance=0.02)
        for name in "abcdef"
    )
    study = improvement(allow=("bf16",), outputs=outputs, inputs=("given", "zeros"))
    assert study.conclusions[1:4] == (
        "results agree to 5.0e-03 of the largest; with 2 inputs, a moved furthest (given): 0.25 of"
        " what is allowed",
        "errors of results: a 5.0e-03, b 5.0e-03, c 5.0e-03, d 5.0e-03 and 2 more",
        "no form in bf16 is faster here",
    )


def test_folded_weights_are_told() -> None:
    said = improvement(prepared=True, folded=52, prepare_s=0.01).conclusions
    assert said[2:4] == (
        "its weights are prepared once, in 10 ms",
        "52 batch norms or their like are folded into the weights",
    )


def test_donation_is_told_with_what_it_saves() -> None:
    donation = Donation(
        arguments=(0, 1), before_bytes=2_000_000, after_bytes=1_000_000, ratio=0.98, kept=True
    )
    assert improvement(donation=donation).conclusions[2] == (
        "donating arguments 0, 1 takes the peak of memory from 2 MB to 1 MB and takes 0.98 times as"
        " long: jax.jit(fast, donate_argnums=(0, 1))"
    )
    refused = Donation(arguments=(2,), reason="saves nothing")
    assert (
        "donating argument 2 is not kept: saves nothing"
        in improvement(donation=refused).conclusions
    )
