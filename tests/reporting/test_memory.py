from __future__ import annotations

from dataclasses import replace

from edgegraph.reporting.memory import MOST_BUFFERS, memory_lines, rows
from edgegraph.results.schedule import ActivationMemory, ActivationPeak, LiveBuffer, LiveMemory
from tests.reporting.conftest import MAKERS


def peak(size: int, layer: str | None = "Net/conv1") -> ActivationPeak:
    return ActivationPeak(bytes=size, op="conv.1", opcode="convolution", layer=layer)


LIVE = LiveMemory(
    ops=("x", "dot"),
    alive_bytes=(1_000, 9_000),
    peak_position=1,
    peak_op="dot",
    peak_layer="Net/dense",
    peak_buffers=(
        LiveBuffer(name="dot", layer="Net/dense", bytes=5_000, kind="activation"),
        LiveBuffer(name="w", layer="Net/dense", bytes=3_000, kind="weights"),
        LiveBuffer(name="x", layer=None, bytes=1_000, kind="argument"),
    ),
    temp_bytes=5_000,
    output_bytes=8,
)


def lines(live: LiveMemory | None = None, before: ActivationMemory | None = None) -> dict[str, str]:
    analysis = replace(MAKERS["forward"](), live_memory=live, activation_memory=before)
    return dict(memory_lines(analysis))


def test_unknown_says_nothing() -> None:
    assert lines() == {}


def test_the_peak_is_told_by_kind() -> None:
    assert lines(LIVE) == {
        "most alive": "9 kB in Net/dense (dot): weights 3 kB, arguments 1 kB, activations 5 kB"
    }
    nowhere = replace(LIVE, peak_layer=None)
    assert lines(nowhere)["most alive"].startswith("9 kB at dot: ")


def test_equal_rules_are_told_once() -> None:
    memory = ActivationMemory(in_out=peak(8), inplace_depthwise=peak(8), liveness=peak(8))
    assert lines(before=memory) == {
        "activations before fusing": "8 B (Net/conv1, convolution), by every rule of papers"
    }


def test_rules_that_differ_are_told_one_by_one() -> None:
    memory = ActivationMemory(
        in_out=peak(8_000), inplace_depthwise=peak(6_000), liveness=peak(9_000, layer=None)
    )
    assert lines(before=memory)["activations before fusing"] == (
        "input and output 8 kB (Net/conv1, convolution); depthwise in place 6 kB (Net/conv1,"
        " convolution); with what is read later 9 kB (conv.1, convolution)"
    )


def test_the_table_of_buffers_adds_up_to_the_peak() -> None:
    for name in ("forward", "phases"):
        analysis = MAKERS[name]()
        assert analysis.live_memory is not None
        shown = rows(analysis)
        assert sum(row.bytes for row in shown) == analysis.live_memory.peak_bytes
        assert len(shown) <= MOST_BUFFERS + 1
        assert shown[0].name == "params['dense1']['kernel']"
