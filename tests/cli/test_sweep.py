"""The command, with a measurement that is made up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd
import pytest

from edgegraph.cli import main
from edgegraph.errors import EdgeGraphError
from edgegraph.results.timing import Latency, Throughput
from edgegraph.studies.sweep.plan import Plan
from edgegraph.workload import Workload
from tests import analyses
from tests.studies.sweeps import throughput

RATES = {1: 100.0, 2: 190.0, 4: 300.0, 8: 310.0, 16: 312.0}


class Bench:
    """What the command asked for, and how its measurements go."""

    def __init__(self) -> None:
        self.resolved: list[dict[str, Any]] = []
        self.options: list[dict[str, Any]] = []
        self.fails: set[int] = set()
        self.interrupted_at: int | None = None
        self.verdict = "OK"

    def resolve(self, spec: str, **values: Any) -> Workload:
        self.resolved.append({"spec": spec, **values})
        dtype = values.get("dtype") or "float32"

        def arguments(batch: int, width: int = 4) -> tuple[Any, ...]:
            shapes = ((batch, 8), (8, width))
            return tuple(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)

        return Workload.from_function(jnp.matmul, arguments, name="dense")

    def measure(
        self, program: Any, plan: Plan, report: Any
    ) -> tuple[Latency, tuple[Throughput, ...]]:
        self.options.append(dict(program.options))
        if program.batch == self.interrupted_at:
            raise KeyboardInterrupt
        if program.batch in self.fails:
            raise EdgeGraphError("out of memory")
        found = throughput(program.batch, RATES[program.batch], verdict=self.verdict)
        return analyses.latency(program.batch / 100, verdict=self.verdict), (found,)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    made = Bench()
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("edgegraph.workload.spec.resolve_spec", made.resolve)
    monkeypatch.setattr("edgegraph.studies.sweep.point.measure_point", made.measure)
    return made


def sweep(*arguments: str) -> int:
    return main(["sweep", "a:b", "--batches", "1:16", *arguments])


def test_the_table_has_a_row_a_batch_and_says_the_knee(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("--max-latency", "50ms") == 0
    out, err = capsys.readouterr()
    table = re.split(r"\n\s*\n", out[out.index("───") :])[0]
    rows = [line.split() for line in table.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["1", "2", "4", "8", "16"]
    assert next(row for row in rows if row[-1] == "knee")[0] == "4"  # 300 of 312 is 96 %
    assert "knee: batch 4 is the smallest within 5 % of the best throughput, 312/s" in out
    assert "budget: batch 4 keeps 50 ms with a p90 of 44 ms, 300/s" in out
    assert err == ""


def test_json_is_one_object(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["batch"] for row in found["points"]] == [1, 2, 4, 8, 16]
    assert found["points"][0]["throughput_per_s"] == 100.0
    assert found["points"][0]["error"] is None
    assert found["knees"][0]["batch"] == 4
    assert found["budget"] is None


def test_files_are_written_by_their_endings(bench: Bench, tmp_path: Path) -> None:
    table, plot = tmp_path / "new" / "sweep.csv", tmp_path / "sweep.svg"
    assert sweep("-o", str(table), "-o", str(plot)) == 0
    assert list(pd.read_csv(table)["batch"]) == [1, 2, 4, 8, 16]
    assert plot.read_text().startswith("<?xml")


def test_a_failed_batch_is_a_row_and_not_an_error(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.fails = {8, 16}
    assert sweep() == 0
    out = capsys.readouterr().out
    assert "batch 8, 16: out of memory" in out
    assert "failed" in out


def test_if_nothing_can_be_measured_it_fails(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.fails = set(RATES)
    assert sweep() == 2
    assert "every point failed; batch 1: out of memory" in capsys.readouterr().err


def test_an_interrupted_sweep_keeps_its_rows_and_continues(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "sweep.csv"
    bench.interrupted_at = 4
    assert sweep("-o", str(table)) == 130
    assert list(pd.read_csv(table)["batch"]) == [1, 2]
    assert "kept: 2 of 5 points" in capsys.readouterr().err
    bench.interrupted_at = None
    bench.options.clear()
    assert sweep("-o", str(table)) == 0
    assert "continuing an interrupted sweep: 2 of 5 points" in capsys.readouterr().err
    assert len(bench.options) == 3
    assert len(pd.read_csv(table)) == 5


def test_curves_for_dtypes_and_options(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    odd = "plain:xla_disable_hlo_passes=fusion,cpu-instruction-fusion"
    assert sweep("--dtypes", "float32,bfloat16", "--options-set", odd, "--set", "a=1") == 0
    assert [call["dtype"] for call in bench.resolved] == ["float32", "bfloat16"]
    assert bench.resolved[0]["arguments"] == {"a": "1"}
    assert bench.options[5] == {"xla_disable_hlo_passes": "fusion,cpu-instruction-fusion"}
    assert "knee (bfloat16, plain): batch 4" in capsys.readouterr().out


def test_strict_wants_every_point_clean(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.verdict = "NOISY"
    assert sweep() == 0
    assert "knee: not said" in capsys.readouterr().out
    assert sweep("--strict") == 3
    assert "batch 1 is NOISY (made up" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batches", "8:1"], "'8:1' is neither a positive size nor a span"),
        (["--batches", "0"], "'0' is neither"),
        (["--batches", "1,,2"], "'' is neither"),
        (["--vary", "width"], "--vary 'width' is not KEY=VALUE"),
        (["--vary", "width=4:"], "--vary width '4:': '4:' is neither a positive size nor a span"),
        (["--vary", "length=4"], "dense has no axis 'length'; it has width"),
        (["--vary", "batch=4", "--batches", "4"], "the batch is given twice"),
        (["--vary", "width=4", "--axis", "width=4"], "no axis 'width'; it has none besides"),
        (["--max-latency", "10"], "--max-latency '10' is not a time; expected, for example, 10ms"),
        (["--max-latency", "0ms"], "is not a time"),
        (["--options-set", "a=b"], "is not NAME:KEY=VALUE"),
        (["--options-set", "a:b=1", "--options-set", "a:c=1"], "one name twice"),
        (["--options-set", "default:b=1"], "choose another label"),
        (["--dtype", "float32", "--dtypes", "float32"], "not both"),
        (
            ["--workers", "2", "--dask", "tcp://127.0.0.1:9"],
            "--dask and --workers exclude each other",
        ),
        (["--targets", "tpu:v99"], "tpu:v99"),
        (["-o", "x.txt"], "ends in .edgegraph, .csv, .png, .svg, .pdf"),
    ],
)
def test_bad_input_is_one_line(
    bench: Bench, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "a:b", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_saved_sweep_is_shown_again_and_asked_for_another_budget(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sweep.edgegraph"
    assert sweep("-o", str(path)) == 0
    shown = capsys.readouterr().out
    bench.options.clear()
    assert main(["sweep", str(path)]) == 0
    assert capsys.readouterr().out == shown
    assert main(["sweep", str(path), "--max-latency", "15ms", "-o", str(tmp_path / "a.png")]) == 0
    assert "budget: batch 1 keeps 15 ms" in capsys.readouterr().out
    assert not bench.options  # nothing was measured again


def test_a_file_cannot_be_swept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dump.txt"
    path.write_text("HloModule m ENTRY e { ROOT x = f32[8] parameter(0) }")
    assert main(["sweep", str(path)]) == 2
    assert "it needs the Python code" in capsys.readouterr().err


def test_several_workloads_and_targets(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["sweep", "a:b", "a:c", "--targets", "cpu,device:rpi5", "--batches", "1,2"]
    table = tmp_path / "t.csv"
    assert main([*arguments, "--workers", "0", "--json", "-o", str(table)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["target"] for line in lines] == ["cpu", "device:rpi5"] * 2
    assert [call["spec"] for call in bench.resolved] == ["a:b", "a:b", "a:c", "a:c"]
    # What is for another device is predicted, not measured.
    assert [line["points"][0]["latency_s"] is None for line in lines] == [False, True] * 2
    assert {path.name for path in tmp_path.glob("*.csv")} == {
        "t_dense_cpu.csv",
        "t_dense_device-rpi5.csv",
        "t_dense_cpu_2.csv",
        "t_dense_device-rpi5_2.csv",
    }


def test_an_axis_is_varied_alone_and_beside_the_batch(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "a:b", "--vary", "width=4:16", "--no-measure"]) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line.strip()[:1].isdigit()]
    assert [row[:2] for row in rows] == [["1", "4"], ["1", "8"], ["1", "16"]]
    assert "along width: FLOPs linear;" in out
    files = [tmp_path / name for name in ("t.csv", "t.png", "t.html", "t.edgegraph")]
    both = ["--vary", "width=4,8", "--batches", "1,2,4"]
    output = [part for file in files for part in ("-o", str(file))]
    assert main(["sweep", "a:b", *both, *output]) == 0
    assert "knee (width 8): batch 4" not in capsys.readouterr().out  # throughput still grows
    table = pd.read_csv(files[0])
    assert list(table["width"]) == [4, 4, 4, 8, 8, 8]
    assert all(file.stat().st_size > 1000 for file in files[1:])


def test_predictions_alone(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--no-measure", "--json") == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert [(point["latency_s"], point["flops"]) for point in points[:2]] == [
        (None, 64),
        (None, 128),
    ]
    assert sweep("--no-measure") == 0
    assert "knee" not in capsys.readouterr().out
    assert not bench.options


def test_processes_make_the_workload_anew(tmp_path: Path) -> None:
    command = ["sweep", "tests.studies.tiny:tiny", "--batches", "1,2", "--no-measure"]
    table = tmp_path / "t.csv"
    assert main([*command, "--workers", "1", "-o", str(table)]) == 0
    assert list(pd.read_csv(table)["bytes"]) == [32, 64]
