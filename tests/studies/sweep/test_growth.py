"""How figures grow: polynomials that were written down first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgegraph.results.records import LayerRecord
from edgegraph.studies.sweep.growth import LayerCost, grow, layer_costs, overtakings
from edgegraph.studies.sweep.result import SweepPoint
from tests import analyses

SIZES = (128, 256, 512, 1024, 2048)
WIDTH = 512


def transformer(length: int) -> SweepPoint:
    """Return what a block costs by hand: two products of attention with the cache, six without."""
    projections, attending = 8 * WIDTH**2 * length, 4 * WIDTH * length**2
    mlp = 16 * WIDTH**2 * length
    costs = {"net/blocks_*/attention": projections + attending, "net/blocks_*/mlp": mlp}
    return SweepPoint(
        batch=1,
        sizes={"length": length},
        flops=projections + attending + mlp,
        bytes=24 * WIDTH**2 + 40 * WIDTH * length,
        peak_memory_bytes=7_000_000,
        compute_time_s=(projections + attending + mlp) / 1e12,
        memory_time_s=1e-6,
        layers=tuple(
            LayerCost(layer=name, flops=flops, bytes=8, roof_time_s=flops / 1e12)
            for name, flops in costs.items()
        ),
    )


POINTS = [transformer(length) for length in SIZES]


def test_the_order_and_the_terms_are_those_that_were_put_in() -> None:
    flops, moved, peak, time = grow(POINTS, "length", {"batch": 1})
    assert (flops.order, moved.order, peak.order) == ("quadratic", "linear", "constant")
    assert flops.terms == pytest.approx((0, 24 * WIDTH**2, 4 * WIDTH), abs=1e-3)
    assert moved.terms == pytest.approx((24 * WIDTH**2, 40 * WIDTH))
    # 4 w n^2 is more than 24 w^2 n from n = 6 w on.
    assert flops.mostly_from == pytest.approx(6 * WIDTH)
    assert flops.words == "FLOPs quadratic (mostly from length 3,072 on)"
    assert flops.formula == "6.29 MFLOP n + 2.05 kFLOP n^2"
    assert (time.figure, time.order) == ("overlapped_time_s", "quadratic")
    assert all(each.checked and each.off < 1e-6 for each in (flops, moved, peak))


def test_measured_times_are_taken_where_all_are_sound() -> None:
    def points(verdict: str) -> list[SweepPoint]:
        return [
            SweepPoint(
                batch=1, sizes={"length": n}, compute_time_s=1e-9 * n, memory_time_s=0.0,
                latency=analyses.latency(n * (1.04 if n == 256 else 1.0) * 1e-6, verdict=verdict),
            )
            for n in SIZES
        ]  # fmt: skip

    (sound,), (noisy,) = (grow(points(verdict), "length", {}) for verdict in ("OK", "NOISY"))
    assert (sound.figure, sound.order) == ("latency_s", "linear")
    assert (noisy.figure, noisy.order) == ("overlapped_time_s", "linear")


def test_what_is_no_polynomial_is_not_called_one() -> None:
    values = {128: 1.0, 256: 9.0, 512: 2.0, 1024: 11.0, 2048: 3.0}
    points = [SweepPoint(batch=1, sizes={"n": n}, flops=int(v)) for n, v in values.items()]
    (flops,) = grow(points, "n", {})
    assert flops.order is None
    assert "FLOPs of no such order" in flops.words
    assert grow(points[:2], "n", {}) == ()  # two sizes tell no growth
    unknown = [SweepPoint(batch=1, sizes={"n": n}, flops=None) for n in values]
    assert grow(unknown, "n", {}) == ()


def test_as_many_sizes_as_terms_check_nothing() -> None:
    (flops, *_) = grow(POINTS[:3], "length", {})
    assert (flops.order, flops.checked) == ("quadratic", False)


def test_attention_overtakes_the_mlp_at_twice_the_width() -> None:
    by_flops, by_time = overtakings(POINTS, "length", {"batch": 1})
    # 8 w^2 n + 4 w n^2 = 16 w^2 n where n = 2 w
    assert by_flops.size == pytest.approx(2 * WIDTH, rel=1e-6)
    assert (by_flops.before, by_flops.after) == ("net/blocks_*/mlp", "net/blocks_*/attention")
    assert by_flops.words == (
        "blocks_*/attention overtakes blocks_*/mlp in FLOPs at length 1,024, computed from"
        " polynomials fitted to both"
    )
    assert by_time.figure == "roof_time_s"


def test_where_nothing_fits_it_lies_between_two_points() -> None:
    costs = {"a": (5, 9, 8, 30), "b": (6, 7, 40, 2)}
    points = [
        SweepPoint(
            batch=1, sizes={"n": n},
            layers=tuple(
                LayerCost(layer=f"net/{name}", flops=values[at], bytes=1, roof_time_s=None)
                for name, values in costs.items()
            ),
        )
        for at, n in enumerate((1, 2, 4, 8))
    ]  # fmt: skip
    found = overtakings(points, "n", {})
    assert [(each.after, each.between, each.size) for each in found] == [
        ("net/a", (1, 2), None), ("net/b", (2, 4), None), ("net/a", (4, 8), None),
    ]  # fmt: skip
    assert found[0].words == "a overtakes b in FLOPs between n 1 and 2, two swept points"


def test_layers_of_one_kind_are_added_up() -> None:
    some = analyses.small_cnn().layer_records[0]

    def record(layer: str, flops: int) -> LayerRecord:
        return replace(some, layer=layer, flops=flops)

    found = layer_costs(
        [record("net/blocks_0/mlp", 3), record("net/blocks_11/mlp", 4), record("net/conv1", 5)]
    )
    assert [(each.layer, each.flops) for each in found] == [
        ("net/blocks_*/mlp", 7),
        ("net/conv1", 5),
    ]
