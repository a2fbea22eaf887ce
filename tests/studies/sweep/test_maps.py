"""Maps of two axes: what stands in their cells."""

from __future__ import annotations

from dataclasses import replace

from edgegraph.studies.sweep.present import draw
from edgegraph.studies.sweep.result import Sweep
from tests.studies.sweeps import failed, point, sweep


def two_axes() -> Sweep:
    """Return a sweep of which one point failed, one is noisy, and one was predicted alone."""
    points = [
        replace(point(batch, 100.0 * batch, 1e-3 * length), sizes={"length": length})
        for length in (128, 512)
        for batch in (1, 2)
    ]
    noisy = point(1, 100.0, 2e-3, verdict="NOISY")
    predicted = replace(point(2, 1.0), latency=None, throughputs=(), sizes={"length": 1024})
    points += [replace(noisy, sizes={"length": 1024}), predicted]
    points.append(replace(failed(4), sizes={"length": 1024}))
    made = sweep(*points)
    return replace(made, batches=(1, 2, 4), axes={"length": (128, 512, 1024)})


def many_batches() -> Sweep:
    """Return a sweep over so many batches that no value fits into a cell but upright."""
    batches = tuple(2**power for power in range(10))
    points = [
        replace(point(batch, 123.4 * batch, 1.234e-3 * batch), sizes={"length": length})
        for length in (128, 512)
        for batch in batches
    ]
    return replace(sweep(*points), batches=batches, axes={"length": (128, 512)})


def test_text_stands_upright_where_cells_are_narrow() -> None:
    assert {text.get_rotation() for text in draw(many_batches())[0].texts} == {90.0}
    assert {text.get_rotation() for text in draw(two_axes())[0].texts} == {0.0}


def test_every_pair_of_sizes_has_a_cell() -> None:
    above, below = draw(two_axes())
    texts = {text.get_position(): text.get_text() for text in above.texts}
    assert texts == {
        (0, 0): "128 ms", (1, 0): "128 ms", (0, 1): "512 ms", (1, 1): "512 ms",
        (0, 2): "2 ms", (1, 2): "~60 µs",
    }  # fmt: skip
    # 2 samples in the 60 us that the memory needs
    assert {text.get_text() for text in below.texts} == {"100", "200", "~33.3 k"}
    assert [label.get_text() for label in above.get_yticklabels()] == ["128", "512", "1024"]
    assert (below.get_xlabel(), below.get_ylabel()) == ("batch size", "length")
