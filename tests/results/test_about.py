from __future__ import annotations

from edgegraph.results.about import MemoryUse


def test_the_peak_counts_shared_memory_once() -> None:
    use = MemoryUse(
        argument_bytes=100, output_bytes=40, temp_bytes=20, alias_bytes=30, code_bytes=7
    )
    assert use.peak_bytes == 130  # 100 + 40 + 20 - 30
