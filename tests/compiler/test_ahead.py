"""Programs compiled for devices that are not here, where their compilers are installed."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

import edgegraph as eg
from edgegraph import child
from edgegraph.compiler import ahead
from edgegraph.compiler.program import Program
from edgegraph.compiler.targets import missing_packages, parse_target
from edgegraph.device.catalogue import find_device
from edgegraph.errors import EdgeGraphError, InputError
from models.cnn import small_cnn


def needs(target: str) -> pytest.MarkDecorator:
    missing = missing_packages(parse_target(target))
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed")


def dense(target: str = "tpu:v5e", **options: bool) -> Program:
    x, w = jax.ShapeDtypeStruct((8, 64), "float32"), jax.ShapeDtypeStruct((64, 32), "float32")
    return eg.compile(lambda x, w: x @ w, x, w, target=target, options=options, name="dense")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path))
    return tmp_path / "compiled"


@pytest.mark.parametrize(
    ("target", "batch"),
    [
        pytest.param(name, batch, marks=needs(name))
        for name, batch in (
            ("tpu:v5e", 1), ("tpu:v5e", 32), ("gpu:h100", 1), ("gpu:h100", 32), ("gpu:orin", 1),
            ("gpu:orin", 32),
        )
    ],
)  # fmt: skip
def test_small_cnn_is_the_same_work_everywhere(target: str, batch: int) -> None:
    program = eg.compile(small_cnn(), batch=batch, target=target)
    analysis = eg.analyze(program)
    # Of one image, by layer: 28 28 9 32, 14 14 9 32 64, 3136 256, 256 10, all multiplied.
    assert analysis.totals.macs == batch * (225_792 + 3_612_672 + 802_816 + 2_560)
    assert analysis.totals.flops_coverage >= 0.99
    assert analysis.device == find_device(target)
    assert analysis.memory is not None
    assert analysis.memory.argument_bytes >= 4 * 824_458
    assert not analysis.unpriced


@pytest.mark.parametrize(
    "target", [pytest.param(t, marks=needs(t)) for t in ("tpu:v5e", "gpu:h100")]
)
def test_what_the_compiler_expects_stands_in_a_column_of_its_own(target: str) -> None:
    analysis = eg.analyze(eg.compile(small_cnn(), batch=32, target=target))
    leaves = analysis.layers.query("leaf")
    assert analysis.totals.compiler_time_s == pytest.approx(leaves["compiler_time_s"].sum())
    assert set(analysis.layers["time_source"].dropna()) == {"estimated"}
    # XLA's own roofline of a TPU; its GPU compiler gives none.
    assert (analysis.totals.compiler_optimal_s is not None) == target.startswith("tpu")


@needs("tpu:v5e")
def test_what_stays_on_the_chip_is_no_traffic_of_main_memory() -> None:
    totals = eg.analyze(eg.compile(small_cnn(), batch=32, target="tpu:v5e")).totals
    assert totals.main_memory_bytes is not None
    # The weights and the images are read once; activations of 20 MB move between kernels.
    assert (
        4 * 824_458 <= totals.main_memory_bytes < 0.25 * (totals.bytes_read + totals.bytes_written)
    )


@needs("tpu:v5e")
def test_the_copies_of_a_tpu_are_listed() -> None:
    analysis = eg.analyze(eg.compile(small_cnn(), batch=32, target="tpu:v5e"))
    assert analysis.schedule is not None
    assert {transfer.opcode for transfer in analysis.schedule.transfers} == {"copy"}
    assert all(transfer.verdict is not None for transfer in analysis.schedule.transfers)


@needs("tpu:v5e")
def test_what_was_compiled_is_kept(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def run(function: str, payload: bytes, **rest: object) -> bytes:
        runs.append(function)
        return child.run_child(function, payload, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ahead, "run_child", run)
    made = []
    for damage in (False, False, True):
        if damage:  # such a file is made again, not believed
            (kept,) = empty_cache.iterdir()
            kept.write_bytes(kept.read_bytes()[:-9] + b"x" * 9)
        made.append(dense())
    assert len(runs) == 2
    assert len(list(empty_cache.iterdir())) == 1
    assert made[1].serialized == made[0].serialized
    assert (made[1].memory, made[1].compile_s) == (made[0].memory, made[0].compile_s)


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegraph.compiler.targets._version", lambda package: None)
    with pytest.raises(InputError, match=r"needs libtpu.*pip install 'edgegraph\[tpu\]'"):
        dense("tpu:v5e")
    with pytest.raises(InputError, match=r"needs jax-cuda12-plugin.*'edgegraph\[gpu\]'"):
        dense("gpu:h100")


def _pretend(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    """Let the compilers be installed, and `function` of this file be what runs in the child."""
    monkeypatch.setattr("edgegraph.compiler.targets._version", lambda package: "1")

    def run(_: str, payload: bytes, **rest: object) -> bytes:
        return child.run_child(f"tests.compiler.children:{function}", payload, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ahead, "run_child", run)


@pytest.mark.parametrize(
    ("function", "timeout_s", "said"),
    [
        ("abort", 60.0, "killed by SIGABRT (Check failed: chip != nullptr)"),
        ("hang", 0.5, "took longer than 0.5 s"),
        ("refuse", 60.0, "RESOURCE_EXHAUSTED: it does not fit into 16 GB"),
    ],
)
def test_a_compiler_that_fails_is_one_clear_line(
    function: str, timeout_s: float, said: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, function)
    x = jax.ShapeDtypeStruct((8,), "float32")
    with pytest.raises(EdgeGraphError) as caught:
        eg.compile(lambda x: x * 2, x, target="tpu:v5e", name="double", timeout_s=timeout_s)
    assert str(caught.value).startswith("XLA does not compile double for tpu:v5e: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not empty_cache.exists()


def test_a_catalogue_device_has_the_hosts_program_and_cannot_run() -> None:
    program = dense("device:rpi5")
    assert program.executable is None
    analysis = eg.analyze(program)
    assert analysis.device == find_device("rpi5")
    with pytest.raises(InputError, match="no executable"):
        eg.analyze(program, measure=True)
