"""Programs compiled for devices that are not here, where their compilers are installed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import jax
import msgspec
import pytest

import edgegraph as eg
from edgegraph.base import worker
from edgegraph.compiler import ahead
from edgegraph.compiler.program import Program
from edgegraph.compiler.targets import missing_packages, parse_target
from edgegraph.device.catalogue import find_device
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.results.analysis import Analysis, MemoryUse
from edgegraph.results.schedule import EXPOSED, HIDDEN, PARTLY_HIDDEN
from models.cnn import small_cnn
from models.resnet import resnet50


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
@pytest.mark.parametrize("batch", [1, 32])
def test_the_copies_of_a_tpu_are_listed(batch: int) -> None:
    analysis = eg.analyze(eg.compile(small_cnn(), batch=batch, target="tpu:v5e"))
    assert analysis.schedule is not None
    assert {transfer.opcode for transfer in analysis.schedule.transfers} == {"copy"}
    check_transfers(analysis)


def check_transfers(analysis: Analysis) -> None:
    """Every copy is listed once and judged, and what is waited for follows from the verdict."""
    assert analysis.schedule is not None
    copies = set(analysis.ops.query("opcode in ('copy-start', 'async-start')")["name"])
    assert {transfer.start for transfer in analysis.schedule.transfers} == copies != set()
    for transfer in analysis.schedule.transfers:
        assert transfer.verdict in (HIDDEN, PARTLY_HIDDEN, EXPOSED)
        assert transfer.duration_s is not None
        assert transfer.exposed_s is not None
        waited = transfer.exposed_s / transfer.duration_s if transfer.duration_s else 0.0
        assert (transfer.verdict == HIDDEN) == (waited < 0.01)


CELLS = (("tpu:v5e", 1), ("gpu:h100", 32))


@pytest.fixture(scope="module")
def resnets() -> Mapping[tuple[str, int], Analysis]:
    """ResNet-50 in bf16 on some targets at batch 1 or 32, two compilers at once."""

    def compiled(cell: tuple[str, int]) -> Program:
        return eg.compile(resnet50(dtype="bfloat16"), batch=cell[1], target=cell[0])

    with ThreadPoolExecutor(2) as pool:
        programs = pool.map(compiled, CELLS)
        return {cell: eg.analyze(made) for cell, made in zip(CELLS, programs, strict=True)}


@pytest.mark.slow
@needs("tpu:v5e")
@needs("gpu:h100")
def test_resnet_is_the_same_work_everywhere(
    resnets: Mapping[tuple[str, int], Analysis],
) -> None:
    for (target, batch), analysis in resnets.items():
        assert analysis.totals.macs == batch * 4_089_184_256  # as torchvision's tables have it
        assert analysis.totals.flops_coverage >= 0.99
        assert not analysis.totals.lower_bound, analysis.unpriced
        assert analysis.device == find_device(target)
        if target.startswith("tpu"):
            check_transfers(analysis)
            # 51 MB of weights take 62 µs from HBM, at batch 1 longer than the arithmetic.
            assert analysis.schedule is not None
            assert batch > 1 or analysis.schedule.exposed_s > 0
            assert analysis.totals.compiler_coverage == pytest.approx(1.0, abs=0.01)
            assert analysis.totals.compiler_time_s is not None
            assert analysis.totals.compiler_optimal_s is not None
        else:  # its convolutions are custom calls; all their work is counted, padding left out
            convolutions = analysis.ops.query("opcode == 'custom-call'")
            assert len(convolutions) >= 50
            assert convolutions["macs"].sum() >= 0.99 * analysis.totals.macs
            assert analysis.totals.flops >= 1.9 * analysis.totals.macs


@needs("tpu:v5e")
def test_what_was_compiled_is_kept(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def run(function: str, payload: bytes, **rest: object) -> bytes:
        runs.append(function)
        return worker.run_child(function, payload, **rest)  # type: ignore[arg-type]

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
    with pytest.raises(InputError, match=r"needs libtpu.*pip install '\.\[tpu\]'"):
        dense("tpu:v5e")
    with pytest.raises(InputError, match=r"needs jax-cuda12-plugin.*'\.\[gpu\]'"):
        dense("gpu:h100")


def _pretend(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    """Pretend that the compilers are installed, and run `function` of this file in the child."""
    monkeypatch.setattr("edgegraph.compiler.targets._version", lambda package: "1")

    def run(_: str, payload: bytes, **rest: object) -> bytes:
        return worker.run_child(f"tests.compiler.children:{function}", payload, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ahead, "run_child", run)


@pytest.fixture
def nothing_left(
    empty_cache: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No zombie, no temporary file, no lock of the TPU's library, and nothing in the cache."""
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    lock = Path("/tmp/libtpu_lockfile")  # that is its name, wherever temporary files go
    before = lock.stat() if lock.exists() else None
    yield
    with suppress(ChildProcessError):  # there is no child at all
        assert os.waitpid(-1, os.WNOHANG) == (0, 0)
    assert not list(temporary.iterdir())
    assert (lock.stat() if lock.exists() else None) == before
    assert not empty_cache.exists()


def double(timeout_s: float = 60.0) -> Program:
    x = jax.ShapeDtypeStruct((8,), "float32")
    return eg.compile(lambda x: x * 2, x, target="tpu:v5e", name="double", timeout_s=timeout_s)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("function", "timeout_s", "said"),
    [
        ("abort", 60.0, "killed by SIGABRT (Check failed: chip != nullptr)"),
        ("hang", 0.5, "took longer than 0.5 s"),
        ("refuse", 60.0, "RESOURCE_EXHAUSTED: it does not fit into 16 GB"),
        ("litter", 60.0, "killed by SIGKILL (no message), which the system does when memory runs"),
        ("half_an_answer", 60.0, "ended with code 0 and no answer (no message)"),
    ],
)
def test_a_compiler_that_fails_is_one_clear_line(
    function: str, timeout_s: float, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, function)
    with pytest.raises(EdgeGraphError) as caught:
        double(timeout_s)
    assert str(caught.value).startswith("XLA does not compile double for tpu:v5e: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@needs("tpu:v5e")
@pytest.mark.usefixtures("nothing_left")
def test_a_killed_compiler_does_not_lock_out_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _pretend(patch, "compile_and_die")
        with pytest.raises(EdgeGraphError, match="killed by SIGKILL"):
            double()
    monkeypatch.setattr(ahead, "_keep", lambda path, answer: None)
    assert double().module.schedule


@pytest.mark.usefixtures("empty_cache")
def test_an_interruption_leaves_no_part_of_a_cache_entry(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(path: Path, target: Path) -> None:
        raise KeyboardInterrupt

    answer = msgspec.msgpack.encode(
        ahead.Compiled(
            serialized=b"", cost=None, compile_s=1.0, compiler_memory_bytes=1,
            memory=MemoryUse(
                argument_bytes=0, output_bytes=0, temp_bytes=0, alias_bytes=0, code_bytes=0
            ),
        )
    )  # fmt: skip
    monkeypatch.setattr("edgegraph.compiler.targets._version", lambda package: "1")
    monkeypatch.setattr(ahead, "run_child", lambda *work, **settings: answer)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupt)  # all is written but not yet in its place
        with pytest.raises(KeyboardInterrupt):
            double()
    assert not list(empty_cache.iterdir())
    assert double().compile_s == 1.0
    assert len(list(empty_cache.iterdir())) == 1


def test_a_catalogue_device_has_the_hosts_program_and_cannot_run() -> None:
    program = dense("device:rpi5")
    assert program.executable is None
    analysis = eg.analyze(program)
    assert analysis.device == find_device("rpi5")
    with pytest.raises(InputError, match="no executable"):
        eg.analyze(program, measure=True)
