"""Which programs ran, for how long: by hand."""

from __future__ import annotations

import warnings

import jax
import pytest

from edgegraph.hlo.graph import flatten
from edgegraph.measure.trace import join_timeline
from edgegraph.measure.trace.profile import read_profile
from tests.measure.trace.profiles import STRAIGHT, Made, op, space


def test_time_is_that_in_which_an_op_ran_on_each_device() -> None:
    lines = {
        "Stream #1": [op("a", 0, 100), op("b", 200, 50)],
        "Stream #2": [op("c", 50, 100)],  # half of it beside a
    }
    found = read_profile(
        space(
            {
                "/device:GPU:0": lines,
                "/device:GPU:1": lines,
                "/host:CPU": {"t": [Made("x", 0, 500, {"hlo_op": "x", "hlo_module": "other"})]},
            },
            stats={"/device:GPU:0": {"core_count": 132}},
            programs={"m(7)": STRAIGHT.serialized},
        )
    )
    assert [(each.name, each.target, each.calls) for each in found] == [
        ("other", "cpu", None),
        ("m", "gpu", 2),
    ]
    assert [each.time_s for each in found] == [pytest.approx(5e-7), pytest.approx(2 * 2e-7)]
    assert found[1].statistics == {"core_count": 132}
    assert found[0].hlo is None
    assert found[1].hlo is not None


def test_a_tpu_names_its_programs_on_a_line_of_their_own() -> None:
    wide = 2**64 - 5  # which other places write as -5
    (found,) = read_profile(
        space(
            {
                "/device:TPU:0": {
                    "XLA Modules": [Made(f"jit_f({wide})", 0, 100)],
                    "XLA Ops": [Made("%a = f32[8] negate(...)", 10, 20)],
                }
            },
            programs={"jit_f(-5)": STRAIGHT.serialized},
        )
    )
    assert (found.name, found.program, found.target, found.calls) == ("jit_f", wide, "tpu", 1)
    assert found.time_s == pytest.approx(2e-8)


def test_ops_of_a_device_take_what_jax_s_own_reader_says() -> None:
    """Of a GPU's streams, with launches on the host that carry the ops' names, too."""
    kernels = [
        op(name, 1000 * call + offset, length + call, call)
        for call in range(3)
        for name, offset, length in (("a", 0, 100), ("b", 200, 40), ("c", 300, 7))
    ]
    launches = [op(name, 10 * number, 9, 0) for number, name in enumerate("abc")]
    serialized = space(
        {"/device:GPU:0": {"Stream #1": kernels}, "/host:CPU": {"python": launches}},
        programs={"m(7)": STRAIGHT.serialized},
    )
    theirs: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of jaxlib's own bindings on 3.13
        for plane in jax.profiler.ProfileData.from_serialized_xspace(serialized).planes:
            for event in (each for line in plane.lines for each in line.events):
                if plane.name.startswith("/device"):
                    name = str(dict(event.stats)["hlo_op"])
                    theirs[name] = theirs.get(name, 0.0) + event.duration_ns * 1e-9
    (module,) = read_profile(serialized)
    nodes = flatten(STRAIGHT.module)
    runs = join_timeline(module.timeline, STRAIGHT, nodes, warm_up=0).runs
    assert len(runs) == 3
    ours = {name: sum(run.ops[name].self_ps for run in runs) * 1e-12 for name in runs[0].ops}
    assert ours == pytest.approx(theirs)
