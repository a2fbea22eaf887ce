"""Every figure of ``eg.plot``: units on its axes, nothing cut off, nothing too small to read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Any

import jax
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

import edgegraph as eg
from edgegraph import Analysis, plot
from edgegraph.device.catalogue import find_device
from edgegraph.errors import InputError
from edgegraph.reporting.figure import figure_of
from edgegraph.results.kinds import figure_places
from edgegraph.studies.devices.result import DeviceComparison
from tests.analyses import measured, physics
from tests.reporting.conftest import MAKERS
from tests.studies import fits, fusion_studies, servings, sweeps
from tests.studies.device_comparisons import comparison, dense, row, three
from tests.studies.improve.improvements import improvement
from tests.studies.overlap_studies import made
from tests.studies.regressions import regression
from tests.studies.scalings import MADE
from tests.studies.sweep.test_maps import many_batches, two_axes

QUANTITY = re.compile(
    r"\((s|ms|µs|ns|B|[kMGT]B|FLOP/byte|samples/s)\)"
    r"|^FLOP/s|^tokens/s|^length|^batch size|^chips|^speedup|^op, in the order|^time over that"
)
"""A unit in brackets, or what is counted."""

TICK_UNIT = re.compile(r"\d (s|ms|µs|ns)$")
TIMED = {"layers", "serve", "sweep", "fusion", "overlap", "devices", "scaling"}
SOURCES = ("measured", "estimated", "roofline", "expected", "predicted")


@cache
def devices() -> DeviceComparison:
    return eg.compare_devices(dense(), devices=["device:rpi5", "device:rp2040"], batches=[1, 8])


LONG = "ConvolutionalBackboneWithSqueezeExcitation"


@cache
def wordy() -> Analysis:
    """Return a measured analysis whose layers have long names, one below the other."""

    def run(x: jax.Array, w: jax.Array) -> jax.Array:
        for number in range(4):
            with (
                jax.named_scope(f"{LONG}_{number}"),
                jax.named_scope("SeparableProjection"),
            ):
                x = jax.nn.relu(x @ w)
        return x

    shape = jax.ShapeDtypeStruct((256, 256), "float32")
    return measured(eg.analyze(run, args=(shape, shape), name=LONG, device="rpi5"))


@cache
def several() -> DeviceComparison:
    """Return what has every mark and colour of a comparison of devices, and long names."""
    rows = (
        replace(row("tpu:v5e:2x2", 1e-6, 2e-6), bound="memory", compiler_time_s=3e-6,
                compiler_coverage=1.0),
        replace(row("cpu", 1e-4, 3e-4, 5e-4), bound="compute"),
        replace(row("device:snapdragon-8-gen-3", 1e-3, 2e-2), workload=LONG, bound="network"),
    )  # fmt: skip
    return comparison(*rows)


FIGURES: dict[str, tuple[Callable[[], Any], ...]] = {
    "roofline": (MAKERS["measured"], MAKERS["phases"], MAKERS["forward"], physics, wordy),
    "layers": (MAKERS["measured"], MAKERS["phases"], MAKERS["forward"], wordy),
    "memory": (MAKERS["measured"], MAKERS["phases"], wordy),
    "graph": (MAKERS["measured"], MAKERS["phases"], MAKERS["without device"], wordy),
    "sweep": (sweeps.saturating, two_axes, many_batches),
    "serve": (servings.serving,),
    "fusion": (fusion_studies.study, fusion_studies.unmeasured),
    "overlap": (made,),
    "devices": (devices, three, several),
    "scaling": (lambda: MADE,),
    "fit": (lambda: fits.MADE,),
    "improve": (improvement, lambda: improvement(device=find_device("rpi5"))),
    "regress": (regression,),
}
"""Each of what it shows, the last ones with what makes it crowded: names, marks, notes."""
CASES = [
    pytest.param(kind, maker, id=f"{kind}-{number}")
    for kind, makers in FIGURES.items()
    for number, maker in enumerate(makers)
]


def test_every_kind_of_figure_is_looked_at() -> None:
    assert set(FIGURES) == set(figure_places())


def drawn(kind: str, maker: Callable[[], Any], width: float = plot.COLUMN_INCHES) -> Figure:
    figure = figure_of(plot.draw(maker(), kind, width=width))
    figure.set_dpi(300)  # as on paper: on a screen, letters are narrowed to whole dots
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]  # matplotlib's stub is bare
    return figure


def texts(figure: Figure) -> list[Text]:
    """Return all text that is seen; ticks beyond the ends of their axis are not."""
    beyond: set[Text] = set()
    for ax in figure.axes:
        for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            for tick in axis.get_major_ticks():
                seen = ax.axison and min(low, high) <= tick.get_loc() <= max(low, high)
                beyond.update([] if seen else [tick.label1])
    found = figure.findobj(lambda each: isinstance(each, Text) and each.get_visible())
    shown = [text for text in found if isinstance(text, Text) and text not in beyond]
    return [text for text in shown if text.get_text().strip()]


@pytest.mark.parametrize(("kind", "maker"), CASES)
def test_every_axis_has_a_unit_and_every_time_its_source(
    kind: str, maker: Callable[[], Any]
) -> None:
    figure = drawn(kind, maker)
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
            ticks = [tick.get_text() for tick in axis.get_ticklabels() if tick.get_text()]
            label = axis.get_label_text()
            named = not label  # The names of bars are their label.
            if named and kind != "regress":  # whose rows are versions
                assert not any(tick.replace(".", "").isdigit() for tick in ticks), (kind, ticks)
            elif not named:
                assert QUANTITY.search(label) or any(map(TICK_UNIT.search, ticks)), label
    said = " ".join(text.get_text() for text in texts(figure))
    if kind in TIMED or (kind == "graph" and "µs" in said):
        assert any(source in said for source in SOURCES)


@pytest.mark.parametrize(("kind", "maker"), CASES)
@pytest.mark.parametrize("width", [plot.COLUMN_INCHES, plot.PAGE_INCHES])
def test_text_is_whole_and_large_enough_and_apart(
    kind: str, maker: Callable[[], Any], width: float
) -> None:
    figure = drawn(kind, maker, width)
    assert figure.get_size_inches()[0] == pytest.approx(width)
    found = texts(figure)
    assert min(float(text.get_fontsize()) for text in found) >= 6
    frame = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in found]
    # A third of a line of 6 points.
    slack = 6 / 72 * figure.dpi / 3
    for said, box in boxes:
        assert frame.x0 - 1 <= box.x0, said
        assert box.x1 <= frame.x1 + 1, said
        assert frame.y0 - 1 <= box.y0, said
        assert box.y1 <= frame.y1 + 1, said
    level = [pair for pair, text in zip(boxes, found, strict=True) if not text.get_rotation()]
    for (one, box), (other, second) in combinations(level, 2):
        across = min(box.x1, second.x1) - max(box.x0, second.x0)
        up = min(box.y1, second.y1) - max(box.y0, second.y0)
        assert across <= slack or up <= slack, (one, other)


@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_is_drawn_on_given_axes(kind: str) -> None:
    result = FIGURES[kind][0]()
    if kind in ("sweep", "serve", "fusion", "scaling"):
        first, second = Figure().subplots(1, 2)
        assert getattr(plot, kind)(result, (first, second)) == (first, second)
    else:
        ax = Figure().subplots()
        assert getattr(plot, kind)(result, ax) is ax


def test_a_result_has_a_figure_of_its_own() -> None:
    assert plot.draw(MAKERS["measured"]()).get_ylabel() == "FLOP/s reached"
    # Without a device there are no roofs.
    assert not plot.draw(MAKERS["without device"]()).axison
    assert "throughput" in figure_of(plot.draw(sweeps.saturating())).axes[1].get_ylabel()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="'sweep' shows another kind of result than this analysis"):
        plot.draw(MAKERS["measured"](), "sweep")
    with pytest.raises(InputError, match="expected one of: analysis, "):
        plot.draw("a sweep")  # type: ignore[arg-type]  # on purpose
