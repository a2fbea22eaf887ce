"""What no result holds that was saved: each contradiction by itself, as one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import msgspec
import pytest

import edgegraph as eg
from edgegraph.errors import FormatError
from edgegraph.results.analysis import Analysis
from edgegraph.results.consistency import contradiction
from edgegraph.results.files import load
from tests import analyses
from tests.refusals import one_line

MAKERS = [analyses.small_cnn, analyses.gradient, analyses.under_conditions, analyses.without_device]


@pytest.mark.parametrize("make", MAKERS)
def test_results_agree_with_themselves(make: Callable[[], Analysis]) -> None:
    assert contradiction(make()) is None


def op(at: int, **changes: Any) -> Callable[[Analysis], Analysis]:
    """Change one op."""

    def changed(analysis: Analysis) -> Analysis:
        records = list(analysis.op_records)
        records[at] = msgspec.structs.replace(records[at], **changes)
        return replace(analysis, op_records=tuple(records))

    return changed


def layer(at: int, **changes: Any) -> Callable[[Analysis], Analysis]:
    """Change one layer."""

    def changed(analysis: Analysis) -> Analysis:
        rows = list(analysis.layer_records)
        rows[at] = replace(rows[at], **changes)
        return replace(analysis, layer_records=tuple(rows))

    return changed


def twice(analysis: Analysis) -> Analysis:
    return replace(analysis, op_records=(*analysis.op_records, analysis.op_records[0]))


BROKEN: dict[str, Callable[[Analysis], Analysis]] = {
    "the op 'nobody' is not in its module": op(0, name="nobody"),
    "runs in 'nobody', which does not come before it": op(0, parent="nobody"),
    "is there twice": twice,
    "phase of the ops is 'backwards'; expected one of: forward": op(0, phase="backwards"),
    "bound of the ops is 'wind'": op(-1, bound="wind"),
    "the memory level 'L9' is not one of its device": op(-1, level="L9"),
    "flops is negative": op(-1, flops=-1),
    "executions is beyond 2^63": op(-1, executions=1 << 63),
    "time_source of the layers is 'guessed'": layer(0, time_source="guessed"),
    "has no layer above it": layer(0, depth=1),
    "is deeper than 500 scopes": layer(0, layer="a/" * 600),
    "argument_bytes is negative": lambda each: replace(
        each,
        memory=replace(each.memory, argument_bytes=-1),  # type: ignore[type-var]
    ),
    "its module is no HLO": lambda each: replace(each, serialized_module=b"\xff"),
}


@pytest.mark.parametrize("said", BROKEN)
def test_a_file_that_contradicts_itself_is_refused(said: str, tmp_path: Path) -> None:
    path = BROKEN[said](analyses.small_cnn(1)).save(tmp_path / "broken.edgegraph")
    with pytest.raises(FormatError) as caught:
        load(path)
    one_line(caught.value)
    assert f"{path} contradicts itself: " in str(caught.value)
    assert said in str(caught.value)


def test_a_containers_ops_come_after_it() -> None:
    """In the order of the records, as the schedule has it, so that one pass reads the tree."""
    square = jax.ShapeDtypeStruct((4, 4), "float32")
    x = eg.analyze(lambda x: x @ x + x, args=(square,))
    held = [record for record in x.op_records if record.parent is not None]
    assert held
    assert "does not come before" in (contradiction(replace(x, op_records=tuple(held))) or "")
