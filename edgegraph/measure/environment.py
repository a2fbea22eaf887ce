"""This machine and the versions in use, as every result keeps them."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime

from edgegraph import __version__
from edgegraph.device import host
from edgegraph.results.analysis import Environment


def environment() -> Environment:
    """Describe this machine and the versions in use, without importing jax; the time is UTC."""
    return Environment(
        edgegraph=__version__,
        jax=host.version("jax"),
        jaxlib=host.version("jaxlib"),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=host.processor(),
        cores=os.cpu_count() or 1,
        affinity=len(host.usable_cores()),
        governor=host.governor(),
        load_1min=host.load(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
