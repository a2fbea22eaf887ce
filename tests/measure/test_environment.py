from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import edgegraph
from edgegraph.measure.environment import environment


def test_versions_are_those_installed() -> None:
    here = environment()
    assert here.edgegraph == edgegraph.__version__
    assert here.jax == importlib.metadata.version("jax")
    assert here.jaxlib == importlib.metadata.version("jaxlib")
    assert here.python == platform.python_version()


def test_cores() -> None:
    here = environment()
    assert here.cores == os.cpu_count()
    assert 1 <= here.affinity <= here.cores
    assert here.processor


def test_created_at_is_now_in_utc_with_seconds() -> None:
    created = datetime.fromisoformat(environment().created_at)
    assert created.utcoffset() == timedelta(0)
    assert created.microsecond == 0
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)


def test_jax_is_not_imported() -> None:
    code = (
        "import sys\n"
        "from edgegraph.measure.environment import environment\n"
        "environment()\n"
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
