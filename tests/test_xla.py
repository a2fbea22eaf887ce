from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax import export

import edgegraph as eg
from edgegraph import xla
from edgegraph.errors import FormatError, UnsupportedVersionError
from edgegraph.hlo.decode import decode
from tests import programs

DOT = """HloModule dot
ENTRY main {
  a = f32[32,64]{1,0} parameter(0)
  b = f32[64,16]{1,0} parameter(1)
  ROOT c = f32[32,16]{1,0} dot(a, b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}
"""


def test_cost_of_a_dot_by_hand() -> None:
    cost = xla.cost_analysis(xla.parse_text(DOT))
    assert cost["flops"] == 2 * 32 * 64 * 16
    assert cost["bytes accessed"] == 4 * (32 * 64 + 64 * 16 + 32 * 16)
    assert cost["bytes accessed0{}"] == 4 * 32 * 64
    assert cost["bytes accessed1{}"] == 4 * 64 * 16
    assert cost["bytes accessedout{}"] == 4 * 32 * 16


def test_cost_of_a_compiled_program_is_what_jax_says() -> None:
    function, arguments = programs.small_cnn(2)
    compiled = jax.jit(function).lower(*arguments).compile()
    ours = xla.cost_analysis(xla.compiled_module(compiled))
    theirs = compiled.cost_analysis()
    assert theirs is not None
    for key in ("flops", "bytes accessed", "transcendentals"):
        assert ours.get(key, 0.0) == theirs.get(key, 0.0)


def test_lowered_and_compiled_modules_keep_scopes_and_frames() -> None:
    def net(x: jax.Array) -> jax.Array:
        with jax.named_scope("layer"):
            return jnp.sin(x)

    lowered = jax.jit(net).lower(jax.ShapeDtypeStruct((4,), jnp.float32))
    for serialized in (xla.lowered_module(lowered), xla.compiled_module(lowered.compile())):
        module = decode(serialized)
        instructions = [i for c in module.computations.values() for i in c.instructions]
        sine = next(i for i in instructions if i.opcode == "sine")
        assert sine.op_name == "jit(net)/layer/sin"
        assert sine.source is not None
        assert sine.source.startswith(__file__)
        assert module.stack_frames


@pytest.mark.parametrize("text", ["", "hello", "HloModule m\n", DOT[:-30], DOT.replace("a,", "z,")])
def test_text_that_is_no_hlo(text: str) -> None:
    with pytest.raises(FormatError, match=r"^not HLO text: .+") as caught:
        xla.parse_text(text)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_module() -> None:
    with pytest.raises(FormatError, match=r"XLA refuses the HLO module: .+"):
        xla.cost_analysis(b"hello")


def test_a_jax_without_a_name_that_is_needed() -> None:
    version = jax.__version__
    with pytest.raises(UnsupportedVersionError, match=rf"jax {version} lacks .*0\.10 to 0\.12"):
        xla._private("jaxlib._jax", "no_such_name")
    with pytest.raises(UnsupportedVersionError, match="no_such_module"):
        xla._private("jaxlib.no_such_module")


SYNCHRONOUS = """
import sys
import edgegraph as eg
from edgegraph import xla
from edgegraph.errors import EdgeGraphError
xla.cost_analysis(xla.parse_text("HloModule m ENTRY e { ROOT x = f32[8] parameter(0) }"))
assert "jax" not in sys.modules
import jax
xla.set_synchronous_dispatch()
assert jax.config.read("jax_cpu_enable_async_dispatch") is False
jax.numpy.ones(3).block_until_ready()
xla.set_synchronous_dispatch()
jax.config.update("jax_cpu_enable_async_dispatch", True)
try:
    xla.set_synchronous_dispatch()
except EdgeGraphError as error:
    print(error)
"""


def test_synchronous_dispatch_must_be_set_before_a_backend_is_up() -> None:
    code = f"import sys; sys.path[:] = {sys.path!r}\n{SYNCHRONOUS}"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert "JAX's backend is already up" in child.stdout


@pytest.mark.parametrize("stage", ["lowered", "optimized"])
def test_an_exported_program_is_counted_at_the_shapes_that_it_is_called_with(stage: str) -> None:
    (batch,) = export.symbolic_shape("b")
    weights = jax.ShapeDtypeStruct((64, 32), "float32")
    rows = jax.ShapeDtypeStruct((2 * batch, 64), "float32")
    exported = export.export(jax.jit(lambda x, w: jnp.tanh(x @ w)))(rows, weights)
    called = jax.ShapeDtypeStruct((16, 64), "float32")
    found = eg.analyze(exported.call, args=(called, weights), stage=stage, name="exported")
    assert (found.totals.macs, found.totals.lower_bound) == (16 * 64 * 32, False)
    assert found.totals.transcendentals == 16 * 32
