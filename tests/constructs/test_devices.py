"""A program over four devices: what each of them computes and sends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.children import on_four_devices

# JAX decides how many devices a host has when it starts: the program runs in a subprocess.
SHARDED = """
import json, tempfile
import jax, numpy
import jax.numpy as jnp
from jax import lax, shard_map
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import edgegraph as eg
from edgegraph.reporting.answer import headline

mesh = Mesh(numpy.array(jax.devices()), ("x",))

def shape(dimensions, specification):
    return jax.ShapeDtypeStruct(
        dimensions, "float32", sharding=NamedSharding(mesh, specification))

def layer(x, w):
    # Each device has a quarter of the features in: its products are parts of a sum.
    return lax.psum(x @ w, "x")

def step(x, w):
    def once(i, v):
        return jnp.tanh(lax.psum_scatter(v @ w, "x", scatter_dimension=1, tiled=True))
    return lax.fori_loop(0, 5, once, x)

def loss(x, w):
    return jnp.square(lax.all_gather(x, "x", axis=1, tiled=True) @ w)

columns, rows = P(None, "x"), P("x", None)
programs = {
    "layer": (shard_map(layer, mesh=mesh, in_specs=(columns, rows), out_specs=P()),
              shape((8, 16), columns), shape((16, 12), rows)),
    "loop": (shard_map(step, mesh=mesh, in_specs=(columns, rows), out_specs=columns),
             shape((8, 16), columns), shape((16, 16), rows)),
    "gather": (shard_map(loss, mesh=mesh, in_specs=(columns, columns), out_specs=columns),
               shape((8, 16), columns), shape((16, 12), columns)),
}
found = {}
for name, (function, *arguments) in programs.items():
    for stage in ("lowered", "optimized"):
        analysis = eg.analyze(function, args=arguments, stage=stage, name=name)
        totals = analysis.totals
        found[f"{name}, {stage}"] = {
            "macs": totals.macs, "flops": totals.flops, "wire_bytes": totals.wire_bytes,
            "transcendentals": totals.transcendentals, "lower_bound": totals.lower_bound,
            "executions": sorted({op.executions for op in analysis.op_records if op.macs
                                  and op.opcode in ("dot", "convolution")}),
        }
found["whose"] = {}
products = {"shard_map": programs["layer"], "jit": (lambda x, w: x @ w, *programs["layer"][1:])}
for name, (function, *arguments) in products.items():
    for stage in ("lowered", "optimized"):
        analysis = eg.analyze(function, args=arguments, stage=stage, name=name)
        whose, frames = analysis.figures_of, (analysis.ops, analysis.layers)
        assert whose in headline(analysis)
        assert [each.attrs["figures_of"] for each in frames] == [whose, whose]
        found["whose"][f"{name}, {stage}"] = whose, analysis.totals.macs
found["files"] = {}
function, *arguments = programs["layer"]
compiled = eg.compile(function, *arguments)
for name, given in {"here": compiled, "text": compiled.executable.as_text()}.items():
    analysis = eg.analyze(given, measure=False)
    assert analysis.figures_of in headline(analysis)
    with tempfile.TemporaryDirectory() as folder:
        page = analysis.to_html(f"{folder}/page.html").read_text("utf-8")
    found["files"][name] = (
        analysis.figures_of, analysis.totals.wire_bytes, analysis.totals.flops,
        analysis.figures_of in page,
    )
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> Any:
    return on_four_devices(SHARDED)


# By hand, for each of the four devices.
EXPECTED = {
    # 8 x 4 times 4 x 12; the sum over devices is an addition per element, and in a ring each
    # device sends 2 x 3/4 of it.
    "layer": {
        "macs": 8 * 4 * 12,
        "flops": 2 * 8 * 4 * 12 + 8 * 12,
        "transcendentals": 0,
        "wire_bytes": 2 * 3 * (8 * 12 * 4) // 4,
        "executions": [1],
        "lower_bound": False,
    },
    # Five times 8 x 4 times 4 x 16, of which each keeps the sum of a quarter. The loop adds 5
    # times and compares 6 times.
    "loop": {
        "macs": 5 * 8 * 4 * 16,
        "flops": 5 * 2 * 8 * 4 * 16 + 5 + 6,
        "transcendentals": 5 * 8 * 4,
        "wire_bytes": 5 * 3 * (8 * 16 * 4) // 4,
        "executions": [5],
        "lower_bound": False,
    },
    # Three quarters of 8 x 16 come from others: each device sends its quarter 3 times.
    "gather": {
        "macs": 8 * 16 * 3,
        "flops": 2 * 8 * 16 * 3 + 8 * 3,
        "transcendentals": 0,
        "wire_bytes": 3 * (8 * 4 * 4),
        "executions": [1],
        "lower_bound": False,
    },
}


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
@pytest.mark.parametrize("name", EXPECTED)
def test_shard_map_over_four_devices(found: Any, name: str, stage: str) -> None:
    expected: dict[str, Any] = dict(EXPECTED[name])
    if (name, stage) == ("loop", "lowered"):
        expected["flops"] += 5  # fori_loop counts beside the loop, which XLA drops
    assert found[f"{name}, {stage}"] == expected


def test_it_is_said_whose_figures_they_are(found: Any) -> None:
    """8 x 16 times 16 x 12 in all, a quarter of it on each device."""
    whole, quarter = 8 * 16 * 12, 8 * 4 * 12
    assert found["whose"] == {
        "shard_map, lowered": ["whole program, 4 devices; per device inside shard_map", quarter],
        "shard_map, optimized": ["per device, 1 of 4", quarter],
        "jit, lowered": ["whole program, 4 devices", whole],
        "jit, optimized": ["per device, 1 of 4", quarter],
    }


def test_text_says_it_too_and_sends_the_same(found: Any) -> None:
    sent, flops = EXPECTED["layer"]["wire_bytes"], EXPECTED["layer"]["flops"]
    for name in ("here", "text"):
        assert found["files"][name] == ["per device, 1 of 4", sent, flops, True], name
