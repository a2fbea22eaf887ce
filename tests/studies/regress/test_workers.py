"""The processes of versions: what they answer, and how they end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import jax
import pytest

from edgegraph.errors import EdgeGraphError
from edgegraph.hlo.decode import decode
from edgegraph.measure.trace.timeline import STEP
from edgegraph.studies.regress.passes import written_profile
from edgegraph.studies.regress.workers import Agent, Side, Source, default_flags, jax_in

SIDE = Side(label="here", python=Path(sys.executable))

NET = """
import jax
import jax.numpy as jnp

def net(x, params):
    print("hello")
    return jnp.tanh(x @ params["w"] + params["b"][0])

def fails(x):
    raise ValueError("no such thing\\nand more")

def ends(x):
    import os
    os.abort()

def hangs(x):
    while True:
        pass

jitted = jax.jit(net, donate_argnums=0)
"""
ARGS = ("x=f32[4,8]", "params.w=f32[8,8]", "params.b.0=f32[8]")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "net.py").write_text(NET)
    return Source(spec=f"{tmp_path}/net.py:net", args=ARGS)


def test_an_agent_compiles_times_and_traces_and_prints_nothing(
    source: Source, tmp_path: Path
) -> None:
    with Agent(SIDE, tmp_path) as agent:
        assert agent.about["packages"]["jax"] == jax.__version__
        answer, passes = agent.load_profiled("source", source.request(SIDE))
        assert passes["passes\tlayout-assignment"] > 0
        module = decode(Path(answer["hlo"]).read_bytes())
        shapes = [str(each.shape) for each in module.computations[module.entry].instructions]
        assert any(each.startswith("f32[4,8]") for each in shapes)
        assert answer["cost"]["flops"] >= 2 * 4 * 8 * 8  # the product alone
        agent.ask({"do": "export", "name": "source", "path": str(tmp_path / "artifact")})
        artifact = {
            "do": "load", "kind": "artifact", "path": str(tmp_path / "artifact"), "options": {},
            "like": "source",
        }  # fmt: skip
        again = agent.load("artifact", artifact)
        assert again["cost"]["flops"] == answer["cost"]["flops"]
        assert agent.ask({"do": "warm_up", "name": "artifact"})["typical_s"] > 0
        taken = agent.ask({"do": "sample", "name": "source", "samples": 3, "rewarm_s": 0.0})
        assert len(taken["samples_s"]) == 3
        request = {"do": "trace", "name": "source", "calls": 2, "step": STEP}
        with agent.profile() as folder:
            agent.ask({**request, "folder": str(folder)})
            assert STEP.encode() in written_profile(folder).read_bytes()
        (cut, *_) = agent.inside("source", "cuts", "cut_scripts", [], "")
        assert cut["script"]["operations"] == ["dot_general"]


def test_donated_arguments_are_made_anew_for_every_call(source: Source, tmp_path: Path) -> None:
    donating = Source(spec=str(source.spec).replace(":net", ":jitted"), args=ARGS)
    with Agent(SIDE, tmp_path) as agent:
        agent.load("source", donating.request(SIDE))
        agent.ask({"do": "warm_up", "name": "source"})
        taken = agent.ask({"do": "sample", "name": "source", "samples": 4, "rewarm_s": 0.0})
        assert len(taken["samples_s"]) == 4


def test_a_workload_is_opened_by_edgegraph_there(tmp_path: Path) -> None:
    spec = Source(spec="models.cnn:small_cnn", batch=2)
    with Agent(SIDE, tmp_path) as agent:
        answer = agent.load("source", spec.request(SIDE))
        assert answer["title"] == "small_cnn"
        assert answer["batched"] is True


def failing(source: Source, name: str) -> Source:
    return Source(spec=str(source.spec).replace(":net", f":{name}"), args=("x=f32[2]",))


def test_what_fails_there_is_one_line_and_the_process_lives(source: Source, tmp_path: Path) -> None:
    with Agent(SIDE, tmp_path) as agent:
        with pytest.raises(EdgeGraphError, match=r"^here: ValueError: no such thing$"):
            agent.load("source", failing(source, "fails").request(SIDE))
        assert agent.load("source", source.request(SIDE))["title"] == "net"


def test_what_ends_the_process_is_one_line(source: Source, tmp_path: Path) -> None:
    with Agent(SIDE, tmp_path) as agent:
        with pytest.raises(
            EdgeGraphError, match=r"^here: its process was killed by SIGABRT"
        ) as end:
            agent.load("source", failing(source, "ends").request(SIDE))
        assert "\n" not in str(end.value)


def test_what_hangs_is_ended(source: Source, tmp_path: Path) -> None:
    with Agent(SIDE, tmp_path) as agent:
        request = {**failing(source, "hangs").request(SIDE), "name": "source", "hlo": ""}
        with pytest.raises(EdgeGraphError, match="here: load took longer than 2 s"):
            agent.ask(request, 2.0)


def test_an_artifact_that_is_damaged_is_refused_there(tmp_path: Path) -> None:
    (tmp_path / "artifact").write_bytes(b"\x20\x00\x00\x00 no artifact at all")
    request = {"do": "load", "kind": "artifact", "path": str(tmp_path / "artifact"), "options": {}}
    with Agent(SIDE, tmp_path) as agent, pytest.raises(EdgeGraphError, match=r"^here: "):
        agent.load("artifact", request)


def test_a_process_ends_with_its_context(tmp_path: Path) -> None:
    with Agent(SIDE, tmp_path) as agent:
        child = agent._child.pid
        os.kill(child, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(child, signal.SIGTERM)


def test_an_interpreter_without_jax_is_told(tmp_path: Path) -> None:
    assert jax_in(Path(sys.executable)) == jax.__version__
    with pytest.raises(EdgeGraphError, match="does not run"):
        jax_in(tmp_path / "python")


def test_xla_tells_its_flags() -> None:
    flags = default_flags(Path(sys.executable))
    assert flags["xla_cpu_enable_fast_math"] == "false"


def test_a_flax_module_takes_its_input_there(tmp_path: Path) -> None:
    (tmp_path / "dense.py").write_text("from flax import linen\ndense = linen.Dense(4)\n")
    for shape in ((8,), jax.ShapeDtypeStruct((8,), "bfloat16")):
        spec = Source(spec=f"{tmp_path}/dense.py:dense", choices={"input_shape": shape})
        with Agent(SIDE, tmp_path) as agent:
            answer = agent.load("source", spec.request(SIDE))
            module = decode(Path(answer["hlo"]).read_bytes())
            assert answer["batched"] is True
            dtype = "bf16" if hasattr(shape, "dtype") else "f32"
            assert any(
                str(each.shape).startswith(f"{dtype}[1,8]")
                for each in module.computations[module.entry].instructions
            )
