"""Two plots over sizes have the same ticks, labels with units, and no more ticks than fit."""

from edgegraph.reporting import figure
from edgegraph.reporting.over_sizes import label_over_sizes


def test_ticks_are_at_sizes_that_were_tried_and_values_have_units() -> None:
    axes = figure.two_axes(3.3, 3.4, left=0.2, right=0.97, bottom=0.12, hspace=0.1, top=0.9)
    sizes = list(range(1, 25))
    for ax, factor in zip(axes, (1e-3, 1e3), strict=True):
        ax.plot(sizes, [factor * size for size in sizes])
    label_over_sizes(axes, sizes, above="latency", below="throughput", size="batch size")
    above, below = axes
    assert list(below.get_xticks()) == [1, 4, 7, 10, 13, 16, 19, 22]  # every third: ten at most
    assert above.yaxis.get_major_formatter()(0.002) == "2 ms"
    assert below.yaxis.get_major_formatter()(2000.0) == "2 k"
    assert [each.get_text() for each in (above.yaxis.label, below.yaxis.label)] == [
        "latency",
        "throughput",
    ]
    assert (above.get_xlabel(), below.get_xlabel()) == ("", "batch size")
