"""More chips: what theory says they exchange, and what the study says of it."""

from __future__ import annotations

import pytest

import edgegraph as eg
from edgegraph.device.catalogue import find_device
from edgegraph.errors import InputError
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
def test_no_step_is_shorter_than_a_roof() -> None:
    """A TPU's compiler fetches weights beside the compute; both read the same memory."""
    [point] = eg.scaling_study(mlp_train(), [1], batch_per_chip=64).points
    roofs = point.compute_time_s, point.memory_time_s
    assert point.step_s is not None
    assert point.step_s >= max(time for time in roofs if time is not None)


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


def test_bad_questions_are_refused() -> None:
    with pytest.raises(InputError, match="no mesh was given"):
        eg.scaling_study(mlp(), [])
    with pytest.raises(InputError, match="no links between chips"):
        eg.scaling_study(mlp(), [2], target="device:rpi5")
    with pytest.raises(InputError, match="is not a mesh; expected"):
        eg.scaling_study(mlp(), ["four"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="batch must be a positive integer, not 0"):
        eg.scaling_study(mlp(), [2], batch=0)
