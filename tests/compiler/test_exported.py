"""StableHLO and the files of `jax.export` are compiled, whatever form they come in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import export

import edgegraph as eg
from edgegraph import xla
from edgegraph.cli import main
from edgegraph.compiler.exported import exported_workload
from edgegraph.doors.registry import Given, find_door
from edgegraph.errors import EdgeGraphError, FormatError, InputError

X, W = jax.ShapeDtypeStruct((8, 64), "bfloat16"), jax.ShapeDtypeStruct((64, 32), "float32")
MACS_PER_ROW = 64 * 32


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was exported here needs no process to be tried in."""
    monkeypatch.setattr("edgegraph.compiler.exported.tried", lambda work, data: b"")


def layer(x: jax.Array, w: jax.Array) -> jax.Array:
    with jax.named_scope("dense"):
        return jnp.tanh(x.astype("float32") @ w)


@pytest.fixture(scope="module")
def lowered() -> jax.stages.Lowered:
    return jax.jit(layer).lower(X, W)


@pytest.fixture(scope="module")
def fixed() -> export.Exported:
    return export.export(jax.jit(layer))(X, W)


def opened(*sizes: str) -> export.Exported:
    shape = export.symbolic_shape(", ".join((*sizes, "64")))
    return export.export(jax.jit(layer))(jax.ShapeDtypeStruct(shape, "bfloat16"), W)


def test_every_form_of_stablehlo(lowered: jax.stages.Lowered, fixed: export.Exported) -> None:
    text = lowered.as_text(debug_info=True)
    for form in (
        text,
        f"// a comment\n{text}",
        xla.stablehlo(lowered),
        fixed.mlir_module_serialized,
    ):
        assert find_door(Given(form)).word == "StableHLO"
        found = eg.analyze(form, stage="lowered")
        assert (found.workload, found.batch) == ("jit_layer", None)
        assert found.totals.macs == 8 * MACS_PER_ROW
        assert "dense" in list(found.layers["layer"])


def test_it_is_compiled_as_jax_compiles_it(lowered: jax.stages.Lowered) -> None:
    theirs = lowered.compile().memory_analysis()
    assert theirs is not None
    found = eg.analyze(lowered.as_text())
    assert found.stage == "optimized"
    assert found.memory is not None
    assert found.memory.argument_bytes == theirs.argument_size_in_bytes
    assert found.memory.output_bytes == theirs.output_size_in_bytes


@pytest.mark.parametrize("batch", [1, 16])
def test_an_open_size_is_the_batch(batch: int) -> None:
    data = bytes(opened("b").serialize())
    assert find_door(Given(data)).word == "a file of jax.export"
    found = eg.analyze(data, batch=batch)
    assert (found.workload, found.batch) == ("layer", batch)
    assert found.totals.macs == batch * MACS_PER_ROW
    assert found.layers["layer"].tolist()[0] == "dense"


def test_a_size_that_follows_from_the_batch() -> None:
    found = eg.analyze(bytes(opened("2*b+1").serialize()), batch=3, stage="lowered")
    assert found.totals.macs == 7 * MACS_PER_ROW


def test_keyword_arguments_are_kept() -> None:
    made = export.export(jax.jit(lambda x, *, w: layer(x, w)))(X, w=W)
    assert eg.analyze(bytes(made.serialize()), stage="lowered").totals.macs == 8 * MACS_PER_ROW


def test_what_is_fixed_has_no_batch(fixed: export.Exported) -> None:
    workload = eg.open(bytes(fixed.serialize()))
    assert eg.compile(workload, batch=1, stage="lowered").batch is None
    with pytest.raises(InputError, match="layer has fixed shapes; leave batch=4 out"):
        eg.analyze(workload, batch=4)


def refused(thing: Any, **more: Any) -> str:
    with pytest.raises(EdgeGraphError) as caught:
        eg.analyze(thing, **more)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) <= 260
    return message


def test_what_cannot_be_compiled_says_why(lowered: jax.stages.Lowered) -> None:
    text = lowered.as_text()
    assert "no valid StableHLO" in refused(text.replace("stablehlo.tanh", "stablehlo.tan_h"))
    assert "no function main" in refused(text.replace("@main", "@other"))
    assert "f32> has a size that is not known; export it with" in refused(
        "module @m {\n func.func public @main(%a: tensor<?x4xf32>) -> tensor<?x4xf32> {\n"
        "  return %a : tensor<?x4xf32>\n }\n}\n"
    )
    assert "is !stablehlo.token; expected tensors" in refused(
        "module @m {\n func.func @main(%a: !stablehlo.token) -> !stablehlo.token {\n"
        "  return %a : !stablehlo.token\n }\n}\n"
    )


def test_exports_that_ask_for_more_say_what(fixed: export.Exported) -> None:
    with pytest.raises(InputError, match="exported with the open sizes b, c; only one, the batch"):
        exported_workload(replace(fixed, in_avals=opened("b").in_avals + opened("c").in_avals))
    with pytest.raises(InputError, match="exported for 8 devices; export it for one"):
        exported_workload(replace(fixed, nr_devices=8))
    tpu = export.export(jax.jit(layer), platforms=["tpu"])(X, W)
    assert "exported for platforms '('tpu',)'" in refused(bytes(tpu.serialize()))


def test_a_damaged_file_says_so(fixed: export.Exported) -> None:
    data = bytes(fixed.serialize())
    for damaged in (data[:8] + bytes(200) + data[208:], data[:-200]):
        with pytest.raises(FormatError, match=r"jax\.export, but it is cut off, damaged|no valid"):
            eg.analyze(damaged)


def test_the_command_line_takes_them(
    lowered: jax.stages.Lowered, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stablehlo, exported = tmp_path / "a", tmp_path / "b"
    stablehlo.write_text(lowered.as_text())
    exported.write_bytes(opened("b").serialize())
    assert main(["analyze", str(stablehlo), "--stage", "lowered"]) == 0
    assert "jit_layer, cpu, before optimisation: 16.4 kMAC" in capsys.readouterr().out
    assert main(["analyze", str(exported), "-b", "2", "-b", "4", "--stage", "lowered"]) == 0
    shown = capsys.readouterr().out
    assert "layer, batch 2, cpu" in shown
    assert "layer, batch 4, cpu" in shown
    for option in (["--dtype", "bfloat16"], ["--module", "1"], ["--device", "rpi5"]):
        assert main(["analyze", str(exported), "--no-measure", *option]) == 2
        assert option[0] in capsys.readouterr().err
    assert main(["compare-devices", str(exported), "--devices", "device:rpi5", "-b", "4"]) == 0
