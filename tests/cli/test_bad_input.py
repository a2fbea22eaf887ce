"""Bad input of every kind, with nothing replaced: one line on stderr, and exit code 2."""

import json
import zipfile
from pathlib import Path

import jax
import pytest

import edgegraph as eg
from edgegraph.cli import main

ROOT = Path(__file__).parent.parent.parent
USER_CODE = """
import flax.linen as nn
import jax.numpy as jnp
import edgegraph as eg

class Picky(nn.Module):
    def __call__(self, x):
        return x.reshape((x.shape[0], 9))

def breaks():
    function = lambda x: x @ x
    return eg.Workload.from_function(function, lambda batch: (jnp.ones((batch, 3)),), name="breaks")

number = 3
"""


@pytest.fixture(scope="module")
def hlo() -> str:
    lowered = jax.jit(lambda x: x @ x).lower(jax.ShapeDtypeStruct((64, 64), "float32"))
    return lowered.compile().as_text() or ""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    x = jax.ShapeDtypeStruct((4, 4), "float32")
    analysis = eg.analyze(lambda x: x @ x, args=(x,), name="square")
    return analysis.save(tmp_path_factory.mktemp("saved") / "square.edgegraph")


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["analyze", *arguments, "--no-measure"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("edgegraph: error: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("no.such.module:thing", "no module 'no'"),
        ("user_code_for_refusals:brakes", "did you mean breaks"),
        ("user_code_for_refusals:number", "is a value of type int"),
        ("user_code_for_refusals:breaks", "dot_general"),
        ("models.cnn:small_cnn --set flavour=nnx", "did you mean flavor"),
        ("models.cnn:small_cnn --input 28x28x1", "leave it out"),
        ("models.cnn:small_cnn --dtype float31", "float31"),
        ("models.cnn:small_cnn --batch 0", "--batch must be a positive integer, not 0"),
        ("models.cnn:small_cnn --target abacus", "abacus"),
        ("models.cnn:small_cnn --stage half", "half"),
        ("models.cnn:small_cnn --option xla_no_such=1", "xla_no_such"),
        ("flax.linen:Dense --set features=4 --input 0", "is not a shape"),
        ("user_code_for_refusals:Picky --input 5", "reshape"),
    ],
)
def test_specs(
    spec: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "user_code_for_refusals.py").write_text(USER_CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(ROOT)
    assert reason in refusal(capsys, *spec.split())


@pytest.mark.parametrize("kept", [0, 20, 300])
def test_an_hlo_file_that_is_empty_or_cut_off(
    kept: int, hlo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dump.txt"
    path.write_text(hlo[:kept])
    assert str(path) in refusal(capsys, str(path))


def test_a_file_that_is_no_hlo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "README.md" in refusal(capsys, str(ROOT / "README.md"))
    noise = tmp_path / "module.pb"
    noise.write_bytes(bytes(range(256)) * 8)
    assert "module.pb" in refusal(capsys, str(noise))


def test_a_saved_analysis_that_is_cut_off(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.edgegraph"
    path.write_bytes(saved.read_bytes()[:-100])
    assert "cut off" in refusal(capsys, str(path))


def test_a_saved_analysis_of_a_newer_version(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "newer.edgegraph"
    with (
        zipfile.ZipFile(saved) as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(".json"):
                content = json.dumps({**json.loads(content), "version": 999}).encode()
            new.writestr(name, content)
    assert "999" in refusal(capsys, str(path))


def test_a_zip_that_is_no_analysis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "weights.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights", "")
    assert "weights.zip" in refusal(capsys, str(path))


def test_what_is_good_is_not_refused(
    saved: Path, hlo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = tmp_path / "dump.txt"
    dump.write_text(hlo)
    assert main(["analyze", str(dump), "--json"]) == 0
    assert main(["analyze", str(saved), "--json"]) == 0
    from_dump, from_saved = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert from_dump["totals"]["macs"] == 64**3
    assert from_saved["totals"]["macs"] == 4**3
