"""What a large buffer costs is counted in page faults, by the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from edgegraph.base.timing import warm_malloc

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [np.ones(3 << 20, np.uint8) for _ in range(4)]
    del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

{settle}
faults()
print(min(faults() for _ in range(5)))
"""


def page_faults(*, settled: bool) -> int:
    code = FAULTS.format(settle="warm_malloc()" if settled else "")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_large_buffers_are_not_asked_of_the_system_again() -> None:
    assert page_faults(settled=True) < 50
    # 12 MiB are 3,072 pages of 4 KiB, and 6 huge ones.
    assert page_faults(settled=False) >= 6
