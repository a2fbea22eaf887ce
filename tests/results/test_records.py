from __future__ import annotations

from msgspec.structs import replace

from edgegraph.results.records import main_memory_bytes
from tests.analyses import small_cnn

OP = small_cnn().op_records[0]


def test_what_stays_on_the_chip_is_no_traffic_of_main_memory() -> None:
    op = replace(OP, bytes_read=100, bytes_written=50, on_chip_bytes=30)
    assert main_memory_bytes(op) == 120
    assert main_memory_bytes(replace(op, bytes_read=None)) is None


def test_intensity_is_work_over_traffic_of_main_memory() -> None:
    op = replace(OP, flops=240, bytes_read=100, bytes_written=50, on_chip_bytes=30)
    assert op.bytes == 150
    assert op.intensity_flops_per_byte == 2.0
    assert replace(op, flops=None).intensity_flops_per_byte is None
    assert (
        replace(op, bytes_read=0, bytes_written=0, on_chip_bytes=0).intensity_flops_per_byte is None
    )


def test_the_roof_is_the_largest_of_the_times() -> None:
    op = replace(OP, compute_time_s=1.0, memory_time_s=3.0, network_time_s=2.0)
    assert op.roof_time_s == 3.0
    assert (
        replace(op, compute_time_s=None, memory_time_s=None, network_time_s=None).roof_time_s
        is None
    )
