"""Profiles as people have them: the file, the run, the log folder, of any device."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import edgegraph as eg
from edgegraph.cli import main
from edgegraph.doors import profile
from edgegraph.doors.registry import Given, find_door
from edgegraph.errors import FormatError
from edgegraph.measure.trace.profile import ProfiledModule
from edgegraph.measure.trace.timeline import Timeline
from tests import programs
from tests.analyses import DEVICE
from tests.measure.trace.profiles import LOOP, STRAIGHT, Made, op, space

H100: dict[str, str | int] = {
    "device_vendor": "Nvidia", "compute_cap_major": 9, "compute_cap_minor": 0, "core_count": 132,
    "memory_bandwidth": 3_352_320_000_000, "clock_rate": 1_980_000,
}  # fmt: skip
"""What CUPTI's collector says of an H100 SXM."""

GPU = space(
    {
        "/device:GPU:0": {
            "Stream #13(Compute)": [
                op(name, start + offset, length, run)
                for run, start in enumerate((0, 1000, 2000))
                for name, offset, length in (("a", 0, 100), ("b", 100, 300), ("c", 400, 200))
            ]
        },
        "/host:CPU": {"python": [Made("other", 0, 50, {"hlo_op": "x", "hlo_module": "empty"})]},
    },
    stats={"/device:GPU:0": H100},
    programs={"m(7)": STRAIGHT.serialized, "unused(8)": LOOP.serialized},
)


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trace a network five times and a product once, as anyone would."""
    folder = tmp_path_factory.mktemp("logs")
    function, arguments = programs.small_cnn(8)
    arguments = jax.tree.map(lambda each: jnp.ones(each.shape, each.dtype), arguments)
    network, product = jax.jit(function), jax.jit(jnp.matmul)
    x = jnp.ones((8, 8))
    jax.block_until_ready((network(*arguments), product(x, x)))
    with jax.profiler.trace(folder):
        for _ in range(5):
            jax.block_until_ready(network(*arguments))
        product(x, x).block_until_ready()
    return folder


def test_it_is_found_in_the_file_the_run_and_the_log(logs: Path, tmp_path: Path) -> None:
    (file,) = logs.glob("plugins/profile/*/*.xplane.pb")
    packed = written(tmp_path / "packed", gzip.compress(file.read_bytes()))
    runs = logs / "plugins" / "profile"
    for given in (file, packed, file.parent, runs, logs, str(logs), file.read_bytes()):
        assert find_door(Given(given)).word == "a profile"
    assert eg.open(packed).serialized == eg.open(logs).serialized


def test_it_says_what_tracing_the_program_here_says(logs: Path) -> None:
    """All but the times, which differ from call to call."""
    function, arguments = programs.small_cnn(8)
    here = eg.analyze(
        function, args=arguments, trace=True, settings=eg.MeasurementSettings.quick(), device=DEVICE
    )
    read = eg.analyze(logs, device=DEVICE)
    for column in ("layer", "phase", "params", "macs", "flops", "bytes_read", "bytes_written"):
        assert list(read.layers[column]) == list(here.layers[column]), column
    assert here.op_trace is not None
    assert read.op_trace is not None
    assert (read.workload, read.target, read.stage) == ("jit_forward", "cpu", "optimized")
    assert (read.op_trace.calls, read.op_trace.warm_up) == (4, 1)
    assert {each.name for each in read.op_trace.timings} == {
        each.name for each in here.op_trace.timings
    }
    leaves = read.layers[read.layers["leaf"]]
    assert set(leaves["time_source"]) == {"measured"}
    assert leaves["time_s"].sum() == pytest.approx(read.op_trace.time_s)
    assert leaves["time_s"].sum() == pytest.approx(leaves["traced_time_s"].sum())


def test_the_others_are_listed_and_chosen(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (note,) = eg.open(logs).notes
    assert "profile of jit_forward" in note
    assert "in 5 calls; --module chooses another: jit_matmul" in note
    assert note.endswith("in 1 call")
    assert main(["analyze", str(logs), "--module", "jit_matmul", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["workload"] == "jit_matmul"
    assert document["totals"]["macs"] == 8**3
    assert eg.open(logs, module="2").name == "jit_matmul"
    with pytest.raises(FormatError, match="no module 'x' runs in it; choose"):
        eg.open(logs, module="x")


@pytest.mark.parametrize(("others", "more"), [(4, ""), (6, " and 2 more")])
def test_four_other_modules_are_listed(others: int, more: str) -> None:
    nothing = Timeline(spans=(), slices=(), threads=(), calls_ps=())
    modules = [
        ProfiledModule(
            name=f"m{number}", program=None, time_s=1.0, calls=2, plane="/host:CPU",
            statistics={}, hlo=None, timeline=nothing,
        )
        for number in range(others + 1)
    ]  # fmt: skip
    listed = ", ".join(f"m{number} 1 s in 2 calls" for number in range(1, 5))
    found = profile._described(modules, modules[0])
    assert found == f"profile of m0 1 s in 2 calls; --module chooses another: {listed}{more}"


def test_a_gpu_is_recognised_and_its_ops_have_their_times(tmp_path: Path) -> None:
    analysis = eg.analyze(written(tmp_path / "gpu", GPU))
    assert analysis.device == eg.devices()["h100-sxm"]
    assert (analysis.workload, analysis.target) == ("m", "gpu")
    assert analysis.op_trace is not None
    assert {each.name: each.self_s for each in analysis.op_trace.timings} == {
        name: pytest.approx(ns * 1e-9) for name, ns in (("a", 100), ("b", 300), ("c", 200))
    }
    assert analysis.notes[0].startswith("profile of m 1.8 µs in 3 calls; --module chooses another:")
    assert analysis.op_trace.calls == 2


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (GPU[: len(GPU) // 2], "not a profile"),
        (space({"/host:CPU": {"python": []}}), "no XLA program runs in this profile; take it with"),
        (space({"/host:CPU": {"t": [op("a", 0, 9)]}}), "does not hold the HLO of m; choose"),
        (
            space({"/host:CPU": {"t": [op("new", 0, 9)]}}, programs={"m(7)": STRAIGHT.serialized}),
            "does not hold the HLO of m; choose",
        ),
    ],
)
def test_what_cannot_be_read_is_told(profile: bytes, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "profile", profile)
    with pytest.raises(FormatError) as caught:
        eg.analyze(path)
    message = str(caught.value)
    assert said in message
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def test_two_programs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    events = [
        *(op(name, start, 5, 1, program_id=1) for name, start in (("a", 0), ("b", 10))),
        op("work", 50, 40, 2, program_id=2),
    ]
    profile = space(
        {"/host:CPU": {"t": events}},
        programs={"m(1)": STRAIGHT.serialized, "m(2)": LOOP.serialized},
        hosts=("far-away",),
    )
    path = written(tmp_path / "profile", profile)
    first = eg.open(path)
    assert first.serialized == LOOP.serialized
    assert "profile of m(2) 40 ns in 1 call; --module chooses another: m(1) 10 ns" in first.notes[0]
    assert first.notes[1].startswith("taken on far-away; roofs are those of this machine")
    assert eg.open(path, module="m(1)").serialized == STRAIGHT.serialized


def test_the_newest_of_several_runs_is_taken(tmp_path: Path) -> None:
    for number, name in enumerate(("b", "a")):
        file = written(tmp_path / "plugins/profile" / name / "host.xplane.pb", GPU)
        os.utime(file, (number, number))
    note = eg.open(tmp_path).notes[0]
    assert note == "plugins/profile/a/host.xplane.pb, the newest of 2 profiles"
