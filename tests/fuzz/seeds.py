"""Undamaged inputs of every kind that is read. Making them takes jax, and much memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest.mock import patch

import jax
import numpy as np
from jax import export

import edgegraph as eg
from edgegraph.device import catalogue as catalogues
from edgegraph.device.calibration import saved as calibrations
from edgegraph.results.files import pack
from edgegraph.rewrites.decisions import save_decisions
from edgegraph.rewrites.rule import rules
from tests import analyses
from tests.corpus.files import FILES, serialized
from tests.fuzz.follow import DEVICE
from tests.fuzz.kinds import scratch
from tests.measure.trace import profiles
from tests.studies import (
    device_comparisons,
    fits,
    fusion_studies,
    overlap_studies,
    scalings,
    sweeps,
)
from tests.studies.improve.improvements import improvement

LARGEST_SEED_BYTES = 30_000
"""Large modules take long and show nothing that small ones do not."""


def _small(names: Sequence[str]) -> list[str]:
    return [name for name in names if len(serialized(name)) <= LARGEST_SEED_BYTES]


def modules() -> list[bytes]:
    return [serialized(name) for name in _small([*FILES])]


def texts() -> list[bytes]:
    names = [name for name in FILES if name.endswith(".hlo")]
    return [FILES[name].read_bytes() for name in _small(names)]


def saved_results() -> list[bytes]:
    small = eg.analyze(lambda x: jax.numpy.sin(x) @ x, args=(np.zeros((8, 8)),), device=DEVICE)
    every = (
        small, sweeps.saturating(), fusion_studies.study(), overlap_studies.made(), scalings.MADE,
        fits.MADE,
        device_comparisons.three(), improvement(), eg.diff(small, small),
    )  # fmt: skip
    return [pack(each) for each in every]


def xspaces() -> list[bytes]:
    """A CPU's and a GPU's, each with the program that ran."""
    programs = {"m(1)": profiles.STRAIGHT.serialized}
    ran = [profiles.op(name, start, 50, 1) for start, name in ((0, "a"), (50, "b"), (100, "c"))]
    gpu = {"/device:GPU:0": {"Stream #13(Compute)": ran}}
    cpu = {"/host:CPU": {"thread": [profiles.executor(0, 200), *ran]}}
    stats: dict[str, dict[str, str | int]] = {
        "/device:GPU:0": {"device_vendor": "Nvidia", "compute_cap_major": 9, "core_count": 132}
    }  # fmt: skip
    return [
        profiles.space(cpu, programs=programs, hosts=("here",)),
        profiles.space(gpu, programs=programs, stats=stats),
        profiles.space(gpu | cpu, programs=programs | {"other(2)": profiles.LOOP.serialized}),
    ]


@cache
def _exported() -> tuple[export.Exported, ...]:
    def layer(x: jax.Array, w: jax.Array) -> jax.Array:
        with jax.named_scope("dense"):
            return jax.nn.relu(x @ w)

    def loop(x: jax.Array) -> jax.Array:
        repeated: jax.Array = jax.lax.fori_loop(0, 3, lambda _, y: jax.numpy.sin(y), x)
        return repeated

    (batch,) = export.symbolic_shape("b")
    w = jax.ShapeDtypeStruct((8, 4), "float32")
    return (
        export.export(jax.jit(layer))(jax.ShapeDtypeStruct((2, 8), "float32"), w),
        export.export(jax.jit(layer))(jax.ShapeDtypeStruct((batch, 8), "float32"), w),
        export.export(jax.jit(loop))(w),
    )


def stablehlo() -> list[bytes]:
    return [_exported()[at].mlir_module().encode() for at in (0, 2)]


def bytecode() -> list[bytes]:
    return [bytes(_exported()[at].mlir_module_serialized) for at in (0, 2)]


def exports() -> list[bytes]:
    return [bytes(each.serialize()) for each in _exported()]


def rewrites() -> list[bytes]:
    first, second = list(rules())[:2]
    path = save_decisions(
        {"sin(float32[8])[]": first, "dot(float32[8,8], float32[8,8])": second},
        scratch() / "seed.rewrites",
        compiler_options={"xla_cpu_enable_fast_math": True},
        donate_argnums=(0,),
    )
    return [path.read_bytes()]


def calibrations_kept() -> list[bytes]:
    device = replace(DEVICE, origin="calibrated", fingerprint=calibrations.machine_identity())
    with patch.object(calibrations, "calibration_path", lambda: scratch() / "seed.json"):
        return [calibrations.save_calibration(device).read_bytes()]


def catalogue() -> list[bytes]:
    """Return devices that come with EdgeGraph, three at a time, and a table of sources."""
    whole = Path(catalogues.__file__).with_name("catalogue.toml").read_bytes()
    _, *devices = whole.split(b"\n[[device]]")
    some = [b"\n[[device]]".join((b"", *devices[at : at + 3])) for at in range(0, 12, 3)]
    return [b'[sources]\nmaker = "a book"\n' + each for each in some]


def limits() -> list[bytes]:
    return [
        b'[tool.edgegraph]\nbaseline = "main.edgegraph"\nmax-flops = "+1%"\nmax_bytes = "10GB"\n',
        b'[project]\nname = "x"\n[tool.edgegraph]\nmax-latency = "3ms"\nmax-ops = 120\n',
        b'[tool]\nedgegraph = {max-params = "+0", max-peak-memory = "+64MiB", max-macs = "-5%"}\n',
    ]


def databases() -> list[bytes]:
    path = scratch() / "seed.db"
    with eg.open_store(path) as store:
        store.put(sweeps.saturating())
        store.put(analyses.small_cnn(1))
        store.put_point(store.start_sweep("a sweep"), "1", sweeps.sweep(sweeps.point(1, 1e3)))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return [path.read_bytes()]


def timed_forms() -> list[bytes]:
    form = (
        b'{"rule":"gelu","title":"a -> b","exactness":"reassociating","signature":"s",'
        b'"scopes":["a"],"executions":1,"plain_s":1e-3,"form_s":1e-4,"difference":1e-7,'
        b'"kept":true,"reason":null}'
    )
    whole = b'{"whole_ratios":{"gelu":1.5},"taken_back":{"x":"idle"},"options":[],"donation":null}'
    return [b'{"sin(float32[8])":[' + form + b"]}", b'{"key":' + whole + b"}"]


SEEDS: dict[str, Callable[[], Sequence[bytes]]] = {
    "HLO": modules, "HLO text": texts, "saved result": saved_results, "profile": xspaces,
    "StableHLO": stablehlo, "bytecode": bytecode, "export": exports, "rewrites": rewrites,
    "calibration": calibrations_kept, "timed forms": timed_forms, "catalogue": catalogue,
    "limits": limits, "database": databases,
}  # fmt: skip
"""What makes them, by the names of `tests.fuzz.kinds.KINDS`."""
