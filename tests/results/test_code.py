from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

import edgegraph as eg
from edgegraph.errors import InputError
from edgegraph.hlo.module import StackFrame
from edgegraph.results.analysis import Analysis
from edgegraph.results.code import code_records
from edgegraph.results.files import load, save
from edgegraph.results.op_trace import OpShare
from edgegraph.results.records import LAYER_COLUMNS, CodeRecord
from tests import plain_programs, programs
from tests.hlo.test_frames import chain, module
from tests.plain_programs import BODIES, STEPS, line_of
from tests.results.test_roll_up import BLANK

PAIRS = BODIES * BODIES


def physics(stage: str = "lowered") -> Analysis:
    function, arguments = plain_programs.physics()
    return eg.analyze(function, args=arguments, stage=stage)


def flops(analysis: Analysis, by: str) -> dict[str, int]:
    return {row.layer: row.flops or 0 for row in analysis.records_by(by)}


def test_functions_are_a_tree_of_calls_whose_flops_are_those_of_their_arithmetic() -> None:
    found = flops(physics(), "function")
    # A difference, a square and a quotient of three numbers for each pair, two sums over them, a
    # number to each square, and a sign; then two times a product and a sum for each number.
    forces = STEPS * (PAIRS * (3 + 3 + 2 + 1 + 3) + 3 * BODIES * (BODIES - 1) + 3 * BODIES)
    assert found["rollout/rollout.one/push/forces"] == forces
    assert found["rollout/rollout.one/push/(own)"] == STEPS * 4 * 3 * BODIES
    assert found["rollout/rollout.one/(own)"] == STEPS * (3 * BODIES - 1)
    assert next(iter(found)) == "rollout"


def test_lines_say_where_they_stand_and_what_is_written_there() -> None:
    rows = {row.source: row for row in physics()._by_line if row.leaf}
    apart = rows[line_of(plain_programs.forces, "apart =")]
    assert isinstance(apart, CodeRecord)
    assert apart.flops == STEPS * PAIRS * 3
    assert apart.text == "apart = x[:, None] - x[None]"
    assert apart.layer.count("/") == apart.depth == 3


@pytest.mark.parametrize("by", ["function", "line"])
def test_compiled_all_of_it_is_placed_and_adds_up_to_the_program(by: str) -> None:
    analysis = physics("optimized")
    rows = analysis.records_by(by)
    for chosen in ([row for row in rows if row.depth == 0], [row for row in rows if row.leaf]):
        assert sum(row.flops or 0 for row in chosen) == analysis.totals.flops
        assert sum(row.ops for row in chosen) == analysis.totals.ops
    named = sum(row.flops or 0 for row in rows if row.leaf and row.layer != "(unattributed)")
    assert named >= 0.95 * analysis.totals.flops


def test_the_frame_has_the_columns_of_layers_and_two_more() -> None:
    frame = physics().by("line")
    assert list(frame.columns) == [*LAYER_COLUMNS, "source", "text"]
    assert list(physics().by("layer").columns) == list(LAYER_COLUMNS)
    with pytest.raises(InputError, match="cannot add up by 'file'; choose one of: layer, function"):
        physics().by("file")


def test_a_saved_analysis_adds_up_alike(tmp_path: Path) -> None:
    analysis = physics("optimized")
    again = load(save(analysis, tmp_path / "a.edgegraph"))
    assert again.records_by("line") == analysis.records_by("line")


def test_functions_show_where_layers_cover_little() -> None:
    assert physics().view == "function"
    function, arguments = programs.small_cnn(1)
    assert eg.analyze(function, args=arguments, stage="lowered").view == "layer"


def test_traced_times_stand_on_the_lines_of_their_ops() -> None:
    frames = chain(("sim.py", "step", 1), ("sim.py", "force", 5))
    ops = [
        structs.replace(BLANK, name="a", stack_frame=1, phase="backward"),
        structs.replace(BLANK, name="b", stack_frame=2),
    ]
    shares = [
        OpShare(
            name=name, opcode="add", layer=None, phase="forward", source=None, time_s=time_s,
            time_source="measured", executions=1, flops=0, bytes=0,
        )
        for name, time_s in (("a", 1e-6), ("b", 3e-6))
    ]  # fmt: skip
    rows = code_records(ops, shares, module(frames, 1, 2), "line")
    assert [(row.layer, row.phase) for row in rows] == [
        ("sim.py:1", "all"), ("sim.py:1/sim.py:5", "all"), ("sim.py:1/(own)", "all"),
    ]  # fmt: skip
    assert [row.time_s for row in rows] == pytest.approx([4e-6, 3e-6, 1e-6])
    assert [row.share for row in rows] == pytest.approx([1.0, 0.75, 0.25])


def names(frames: list[StackFrame], by: str) -> list[str]:
    used = range(1, len(frames) + 1)
    ops = [structs.replace(BLANK, name=f"op{at}", stack_frame=at) for at in used]
    rows = code_records(ops, (), module(frames, *used), by)  # type: ignore[arg-type]  # a parameter
    return [row.layer for row in rows]


def test_no_two_functions_or_files_are_called_alike() -> None:
    frames = [
        StackFrame(file="/a/solver/base.py", function="step", line=1, parent=0),
        StackFrame(file="/a/model/base.py", function="step", line=1, parent=0),
        StackFrame(file="/a/model/__init__.py", function="f.<locals>.g", line=2, parent=0),
    ]
    assert names(frames, "function") == ["step (solver.base.py)", "step (model.base.py)", "f.g"]
    assert names(frames, "line") == ["solver.base.py:1", "model.base.py:1", "model.__init__.py:2"]


def test_the_path_begins_where_the_program_does() -> None:
    frames = chain(("run.py", "<module>", 1), ("run.py", "main", 2), ("run.py", "step", 3))
    frames += [StackFrame(file="run.py", function="force", line=4, parent=3)]
    ops = [structs.replace(BLANK, name=f"op{at}", stack_frame=at) for at in (3, 4)]
    rows = code_records(ops, (), module(frames, 3, 4), "function")
    assert [row.layer for row in rows] == ["step", "step/force", "step/(own)"]


def test_a_module_that_names_lines_only_has_them_in_a_row() -> None:
    ops = [structs.replace(BLANK, name="a", source="/x/sim.py:7", flops=5)]
    (row,) = code_records(ops, (), module([], 0), "line")
    assert (row.layer, row.flops, row.source) == ("sim.py:7", 5, "/x/sim.py:7")
    (row,) = code_records(ops, (), module([], 0), "function")
    assert (row.layer, row.source) == ("(unattributed)", None)


def text_of(path: Path, made_at: str | None) -> str | None:
    ops = [structs.replace(BLANK, name="a", source=f"{path}:1")]
    (row,) = code_records(ops, (), module([], 0), "line", made_at=made_at)
    return row.text


def test_of_files_that_changed_or_are_no_python_nothing_is_shown(tmp_path: Path) -> None:
    code, secret = tmp_path / "sim.py", tmp_path / "passwords"
    for path in (code, secret):
        path.write_text("x = 1\n", "utf-8")
        os.utime(path, (1_000_000_000, 1_000_000_000))  # 2001-09-09T01:46:40Z
    assert text_of(code, "2001-09-09T01:46:40+00:00") == "x = 1"
    assert text_of(code, "2001-09-09T01:46:38+00:00") is None
    assert text_of(secret, None) is None
    assert text_of(tmp_path / "gone.py", None) is None
    os.mkfifo(tmp_path / "pipe.py")  # reading it would wait for ever
    assert text_of(tmp_path / "pipe.py", None) is None


def test_before_optimisation_no_line_has_a_bound() -> None:
    assert {row.bound for row in physics()._by_line} == {None}
    assert replace(physics(), stage="lowered").by("line")["bound"].isna().all()
