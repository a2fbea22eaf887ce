"""On macOS and Windows all imports, and what is only counted runs.

Neither is here: what Linux has and they lack is taken away before anything is imported, but for
what the standard library needs to run on Linux itself, such as SIGKILL for its subprocesses.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

WITHOUT = """
import os, signal, sys
import jax, portalocker, psutil  # have their own ways on other systems
for module in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[module] = None
for owner, names in {
    os: ("fork", "getloadavg", "killpg", "pread", "sched_getaffinity", "sched_setaffinity",
         "sched_yield", "setsid", "sysconf", "sysconf_names", "uname", "wait4"),
    signal: ("SIGHUP", "SIGALRM", "SIGUSR1", "pause", "setitimer"),
    psutil.Process: ("cpu_affinity",),
}.items():
    for name in names:
        delattr(owner, name)
del psutil.getloadavg
"""

IMPORTS = """
import importlib, pkgutil, edgegraph
for module in pkgutil.walk_packages(edgegraph.__path__, "edgegraph."):
    importlib.import_module(module.name)
"""

ANALYSES = """
import jax.numpy as jnp
import edgegraph as eg
workload = eg.Workload.from_function(jnp.matmul, lambda batch: (jnp.ones((batch, 8)), jnp.ones((8, 4))))
analysis = eg.analyze(workload, measure=False)
print(analysis.totals.macs)
print(analysis)
analysis.save(sys.argv[1])
assert eg.load(sys.argv[1]).totals == analysis.totals
from edgegraph.device import host
assert host.usable_cores() and host.memory_bytes() > 0 and host.load() is None
from edgegraph.base.worker import run_child
assert run_child("edgegraph.base.worker:echo", b"hello", timeout_s=60) == b"hello"
"""  # noqa: E501


@pytest.mark.slow
def test_without_what_only_linux_has_all_imports_and_analyses(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT + IMPORTS + ANALYSES, str(tmp_path / "a.edgegraph")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("32\n")
