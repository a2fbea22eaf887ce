"""More chips: what theory says they exchange, and what the study says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

import edgegraph as eg
from edgegraph.cli import main
from edgegraph.device.catalogue import find_device
from edgegraph.errors import InputError
from edgegraph.measure.environment import environment
from edgegraph.studies.scaling.present import scaling_table
from edgegraph.studies.scaling.result import CollectiveUse, Scaling, ScalingPoint
from edgegraph.studies.scaling.run import collectives_of
from models.mlp import mlp, mlp_train
from tests.compiler.test_ahead import needs

PARAMETERS = 784 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10


def exchanged(
    workload: eg.Workload, mesh: eg.DeviceMesh
) -> list[tuple[str, int | None, int | None]]:
    program = eg.compile(workload, batch=32, target="tpu:v5e:2x2", mesh=mesh)
    uses = collectives_of(eg.analyze(program))
    return [(use.opcode, use.count, use.wire_bytes) for use in uses]


@needs("tpu:v5e")
def test_data_parallel_exchanges_the_gradients_and_nothing_else() -> None:
    """A ring sends 2 (n - 1) / n of every float: of each gradient and of the loss."""
    sent = 2 * 3 * 4 * (PARAMETERS + 1) // 4
    assert exchanged(mlp_train(), eg.DeviceMesh(data=4)) == [("all-reduce", 1, sent)]
    assert exchanged(mlp(), eg.DeviceMesh(data=4)) == []


@needs("tpu:v5e")
def test_tensor_parallel_sums_behind_every_second_product() -> None:
    """The second layer's 512 outputs of 32 examples; the third has 10, which 4 do not divide."""
    assert exchanged(mlp(), eg.DeviceMesh(tensor=4)) == [
        ("all-reduce", 1, 2 * 3 * 4 * 32 * 512 // 4)
    ]
    both = exchanged(mlp(), eg.DeviceMesh(data=2, tensor=2))
    assert both == [("all-reduce", 1, 2 * 1 * 4 * 16 * 512 // 2)]


@needs("tpu:v5e")
def test_every_chip_does_its_part() -> None:
    study = eg.scaling_study(mlp_train(), [1, 4], batch=64, batch_per_chip=64)
    weak, strong = study.series["weak"], study.series["strong"]
    assert [point.target for point in weak] == ["tpu:v5e", "tpu:v5e:2x2"]
    assert weak[0].flops == pytest.approx(weak[1].flops, rel=0.02)
    assert strong[0].flops == pytest.approx(4 * (strong[1].flops or 0), rel=0.05)
    network = find_device("tpu:v5e").network_bytes_per_s
    assert network == 200e9  # 1,600 Gbit/s, as Google Cloud's page of the v5e says
    assert weak[1].network_time_s == pytest.approx((weak[1].wire_bytes or 0) / network)
    # It waits for all of that: nothing runs beside a synchronous all-reduce.
    assert weak[1].exposed_network_s == pytest.approx(weak[1].network_time_s)
    assert weak[1].bound == "network"
    assert study.binds_at("weak") == weak[1]


@pytest.mark.slow
def test_host_devices_run_and_are_measured() -> None:
    study = eg.scaling_study(
        mlp_train(), [2], target="cpu", batch=64, settings=eg.MeasurementSettings.quick()
    )
    (point,) = study.points
    assert point.error is None
    assert point.latency_s is not None
    assert point.latency_s > 0
    assert point.wire_bytes == 2 * 1 * 4 * (PARAMETERS + 1) // 2
    assert point.network_time_s is None  # cores have no links


def point(
    chips: int, step_s: float | None, network_s: float | None, **more: object
) -> ScalingPoint:
    sent = CollectiveUse(
        opcode="all-reduce", count=1, wire_bytes=1000, network_time_s=network_s, exposed_s=network_s
    )
    known: dict[str, object] = {
        "scaling": "weak", "data": chips, "tensor": 1, "batch": 10 * chips, "target": "tpu:v5e",
        "compute_time_s": 1e-3, "memory_time_s": 5e-4, "network_time_s": network_s,
        "step_s": step_s, "bound": "network" if (network_s or 0.0) > 1e-3 else "compute",
        "collectives": () if network_s is None else (sent,),
    }  # fmt: skip
    return ScalingPoint(**{**known, **more})  # type: ignore[arg-type]


def scaling(*points: ScalingPoint) -> Scaling:
    return Scaling(
        workload="net", target="tpu:v5e", device=find_device("tpu:v5e"), environment=environment(),
        points=points,
    )  # fmt: skip


MADE = scaling(
    point(1, 1e-3, None), point(4, 1.25e-3, 2.5e-4), point(16, 4e-3, 3e-3),
    point(64, None, None, error="out of memory"),
)  # fmt: skip


FAILED = MADE.points[3]


def test_speedup_and_efficiency_by_hand() -> None:
    """One chip does 10 in 1 ms, four 40 in 1.25 ms: 3.2 times as many, 80 % of perfect."""
    first, four, sixteen, failed = MADE.points
    assert MADE.speedup(first) == 1
    assert MADE.efficiency(four) == pytest.approx(0.8)
    assert MADE.speedup(sixteen) == pytest.approx(4)
    assert MADE.speedup(failed) is None
    assert MADE.conclusions == (
        "weak scaling: 25 % of perfect at 16 chips; the network binds from data 16 on",
    )


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_keeps_within_its_columns(width: int) -> None:
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(width=width, record=True, file=nowhere)
        console.print(scaling_table(MADE))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "out of memory" in text
    assert "80 %" in text
    assert "None" not in text


def test_it_is_kept_and_drawn(tmp_path: Path) -> None:
    assert eg.load(MADE.save(tmp_path / "scaling.edgegraph")) == MADE
    above, below = MADE.plot()
    assert above.get_xlabel() == ""
    assert below.get_xlabel() == "chips"
    assert list(MADE.frame["chips"]) == [1, 4, 16, 64]
    assert MADE.document["points"][1]["efficiency"] == pytest.approx(0.8)
    with pytest.raises(InputError, match="no mesh of the scaling study of 'net' has a time"):
        scaling(MADE.points[3]).plot()


def test_where_no_mesh_has_figures_the_command_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "edgegraph.studies.scaling.run.scaling_study", lambda *_, **__: scaling(FAILED)
    )
    assert main(["scaling", "models.mlp:mlp"]) == 2
    assert "no mesh has figures; data 64: out of memory" in capsys.readouterr().err


def test_bad_questions_are_refused() -> None:
    with pytest.raises(InputError, match="no mesh was given"):
        eg.scaling_study(mlp(), [])
    with pytest.raises(InputError, match="no links between chips"):
        eg.scaling_study(mlp(), [2], target="device:rpi5")
    with pytest.raises(InputError, match="is not a mesh; expected"):
        eg.scaling_study(mlp(), ["four"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="batch must be a positive integer, not 0"):
        eg.scaling_study(mlp(), [2], batch=0)
