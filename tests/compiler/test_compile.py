"""compile() and read_hlo()."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from jax.experimental.compilation_cache import compilation_cache

import edgegraph as eg
from edgegraph.compiler.compile import workload_fingerprint
from edgegraph.errors import CompileError, FormatError, InputError
from tests.workload.nets import INPUT_SHAPE, Classifier, LinenClassifier


def dense(x: jax.Array, w: jax.Array) -> jax.Array:
    return x @ w


STRUCTS = (jax.ShapeDtypeStruct((32, 784), "float32"), jax.ShapeDtypeStruct((784, 10), "float32"))


def test_a_function() -> None:
    program = eg.compile(dense, *STRUCTS)
    assert (program.name, program.batch, program.target, program.stage) == (
        "dense", None, "cpu", "optimized",
    )  # fmt: skip
    # Two FLOPs for each of 32 * 784 * 10 multiply-accumulates.
    assert program.xla_cost["flops"] == 2 * 32 * 784 * 10
    assert program.memory is not None
    assert program.memory.argument_bytes == 4 * (32 * 784 + 784 * 10)
    assert program.memory.output_bytes == 4 * 32 * 10
    assert program.lower_s is not None
    assert program.lower_s > 0
    assert program.compile_s is not None
    assert program.compile_s > 0
    assert [v.aval.shape for v in program.jaxpr.jaxpr.invars] == [(32, 784), (784, 10)]


def test_the_executable_runs_with_the_concrete_arguments() -> None:
    x, w = np.ones((2, 3), np.float32), np.full((3, 4), 2, np.float32)
    program = eg.compile(dense, x, w)
    assert program.concrete is not None
    arguments = program.concrete()
    assert arguments[0] is x
    np.testing.assert_array_equal(program.executable(*arguments), np.full((2, 4), 6))


def test_unused_arguments_are_kept() -> None:
    program = eg.compile(lambda x, y: x + 1.0, jnp.ones(3), jnp.ones(5), name="first")
    assert program.memory is not None
    assert program.memory.argument_bytes == 4 * 8
    assert program.concrete is not None
    assert program.executable(*program.concrete()).shape == (3,)


def test_lowered_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax.stages.Lowered, "compile", None)
    program = eg.compile(dense, *STRUCTS, stage="lowered")
    assert (program.executable, program.memory, program.compile_s) == (None, None, None)
    assert program.xla_cost["flops"] == 2 * 32 * 784 * 10
    assert "dot" in {i.opcode for c in program.module.computations.values() for i in c.instructions}


@pytest.mark.parametrize("module", [Classifier, LinenClassifier()])
def test_parameters_are_called_alike_in_both_flavors(module: Any) -> None:
    program = eg.compile(eg.Workload.from_flax(module, INPUT_SHAPE), batch=3)
    entry = program.module.computations[program.module.entry]
    names = {i.op_name for i in entry.instructions if i.opcode == "parameter"}
    assert {"params['conv']['kernel']", "params['blocks_1']['norm']['scale']", "inputs[0]"} <= names
    assert program.batch == 3


@pytest.mark.parametrize("make", ["from_flax", "train_step"])
@pytest.mark.parametrize("module", [Classifier, LinenClassifier()])
def test_workloads_run(module: Any, make: str) -> None:
    if make == "from_flax":
        workload = eg.Workload.from_flax(module, INPUT_SHAPE)
    else:
        workload = eg.Workload.train_step(module, optax.adam(1e-3), input_shape=INPUT_SHAPE)
    program = eg.compile(workload, batch=2)
    assert program.concrete is not None
    leaves = jax.tree.leaves(program.executable(*program.concrete()))
    assert all(np.isfinite(leaf).all() for leaf in leaves if leaf.dtype == jnp.float32)


def test_a_function_donates_what_it_is_told_to() -> None:
    p = jax.ShapeDtypeStruct((256, 256), "float32")
    peaks = []
    for donate in ((0,), ()):
        step = eg.Workload.from_function(lambda p, g: p - 0.1 * g, lambda _: (p, p), donate=donate)
        memory = eg.compile(step).memory
        assert memory is not None
        # Three arrays of 262,144 bytes; with donation the result takes the place of the first.
        assert memory.alias_bytes == 262_144 * len(donate)
        assert memory.undonated_peak_bytes == 3 * 262_144
        peaks.append(memory.peak_bytes)
    assert peaks == [524_288, 786_432]


def test_a_training_step_donates_what_it_gives_back() -> None:
    module = nnx.Linear(64, 48, rngs=nnx.Rngs(0))
    settings: dict[str, Any] = {"input_shape": (64,), "loss": "mse"}
    step = eg.Workload.train_step(module, optax.adam(1e-3), **settings)
    program = eg.compile(step, batch=2)
    assert program.memory is not None
    # 64 * 48 + 48 float32 parameters, Adam's two moments of each, and its int32 counter.
    assert program.memory.alias_bytes == 3 * 4 * (64 * 48 + 48) + 4
    assert program.concrete is not None
    one, two = (program.executable(*program.concrete()) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, one, two)
    assert np.isfinite(module.kernel[...]).all()  # the model keeps its own
    none = eg.Workload.train_step(module, optax.adam(1e-3), donate=(), **settings)
    memory = eg.compile(none, batch=2).memory
    assert memory is not None
    assert memory.alias_bytes == 0
    assert program.memory.peak_bytes < memory.peak_bytes <= program.memory.undonated_peak_bytes
    with pytest.raises(
        InputError, match=r"donate=\(5,\) names argument 5; expected positions from"
    ):
        eg.Workload.train_step(module, optax.adam(1e-3), donate=(5,), **settings)


def test_names_and_batches() -> None:
    workload = eg.Workload.from_flax(linen.Dense(3), (4,))
    program = eg.compile(workload, stage="lowered")
    assert (program.name, program.batch) == ("Dense", 1)
    program = eg.compile(workload, batch=cast(Any, np.int64(7)), name="mine", stage="lowered")
    assert (program.name, program.batch) == ("mine", 7)
    assert program.jaxpr.out_avals[0].shape == (7, 3)


@pytest.fixture
def saved_executables(tmp_path: Path) -> Iterator[Path]:
    """JAX's cache of compiled programs, in a folder of the test's own."""
    names = ("compilation_cache_dir", "persistent_cache_min_compile_time_secs")
    before = {f"jax_{name}": getattr(jax.config, f"jax_{name}") for name in names}
    for name, value in zip(before, (str(tmp_path), 0.0), strict=True):
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def test_names_are_the_programs_own_beside_a_cache_that_has_it_under_others(
    saved_executables: Path,
) -> None:
    def named(layer: str) -> Callable[[jax.Array], jax.Array]:
        def program(x: jax.Array) -> jax.Array:
            with jax.named_scope(layer):
                return jnp.tanh(x @ x)

        return program

    x = jax.ShapeDtypeStruct((8, 8), "float32")
    first, second = (jax.jit(named(layer)).lower(x).compile().as_text() for layer in "ab")
    assert first == second  # as jax has it: the names of what was compiled before
    assert "/a/tanh" in str(second)
    kept = sorted(saved_executables.iterdir())
    assert "b" in set(eg.analyze(named("b"), args=(x,)).layers["layer"])
    assert sorted(saved_executables.iterdir()) == kept


def test_compiler_options() -> None:
    # By default the CPU hands convolutions to a library, inside a fusion.
    no_library = {"xla_cpu_experimental_ynn_fusion_type": ""}
    default: dict[str, str] = {}
    workload = eg.Workload.from_flax(linen.Conv(32, (3, 3)), (28, 28, 1))
    opcodes = []
    for options in (no_library, default):
        program = eg.compile(workload, batch=8, options=options)
        assert dict(program.options) == options
        entry = program.module.computations[program.module.entry]
        opcodes.append({i.opcode for i in entry.instructions})
    assert "convolution" in opcodes[0]
    assert "convolution" not in opcodes[1]


def does_not_trace(x: jax.Array) -> jax.Array:
    return x if x > 0 else -x


def wrong_shapes(x: jax.Array) -> jax.Array:
    return x @ jnp.ones((5, 5))


class TwoFaults(nnx.Module):
    """Fails in its call, after it has changed itself."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        layer = self.dense
        del self.dense
        return layer(x).undefined  # type: ignore[no-any-return, attr-defined]


FLAX = eg.Workload.from_flax(nnx.Linear(4, 4, rngs=nnx.Rngs(0)), (4,))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: eg.compile(FLAX, batch=0), InputError,
         "batch must be a positive integer, not 0"),
        (lambda: eg.compile(FLAX, batch=-1), InputError, "must be a positive integer, not -1"),
        (lambda: eg.compile(FLAX, batch=True), InputError, "must be a positive integer, not True"),
        (lambda: eg.compile(FLAX, batch=cast(Any, 2.0)), InputError,
         "batch must be a positive integer, not 2.0"),
        (lambda: eg.compile(FLAX, target="tpu:v99"), InputError,
         "target 'tpu:v99' is unknown; did you mean"),
        (lambda: eg.compile(FLAX, stage="raw"), InputError,
         "stage 'raw' is unknown; expected 'optimized' or 'lowered'"),
        (lambda: eg.compile(FLAX, jnp.ones(3)), InputError, "makes its own arguments"),
        (lambda: eg.compile(FLAX, options={"xla_no_such": 1}), InputError,
         "XLA does not take the compiler option: No such compile option: 'xla_no_such'"),
        (lambda: eg.compile(FLAX, options={"xla_disable_hlo_passes": 3}), InputError,
         "XLA does not take the compiler option: While setting option xla_disable_hlo_passes"),
        (lambda: eg.compile(FLAX, options={"a": 1}, stage="lowered"), InputError,
         "the compiler options a have no effect at stage 'lowered'"),
        (lambda: eg.compile(cast(Any, 42)), InputError,
         "cannot compile 42; expected a Workload, or a function"),
        (lambda: eg.compile(linen.Dense(3)), InputError, "Dense is a Flax module; give Workload."),
        (lambda: eg.compile(dense, *STRUCTS, batch=3), InputError, "batch=3 has no effect"),
        (lambda: eg.compile(dense, "x", 1), CompileError, "dense does not trace: "),
        (lambda: eg.compile(does_not_trace, 1.0), CompileError,
         "does_not_trace does not trace: Attempted boolean conversion of traced array"),
        (lambda: eg.compile(wrong_shapes, jnp.ones((3, 4))), CompileError,
         "wrong_shapes does not trace: dot_general requires contracting dimensions to have the"
         " same shape, got (4,) and (5,)"),
        (lambda: eg.compile(dense), CompileError, "dense does not trace: dense() missing 2"),
        (lambda: eg.compile(eg.Workload.from_flax(Classifier, (3, 3, 2)), batch=5), CompileError,
         "Classifier does not take the input float32[5,3,3,2]: "),
        (lambda: eg.compile(eg.Workload.from_flax(LinenClassifier(), (3,)), batch=5), CompileError,
         "LinenClassifier does not take the input float32[5,3]: "),
        (lambda: eg.compile(eg.Workload.from_flax(TwoFaults, (4,))), CompileError,
         "TwoFaults does not take the input float32[1,4]: "),
    ],
)  # fmt: skip
def test_what_cannot_be_compiled_is_refused(call: Any, error: type, message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_of_two_errors_counts() -> None:
    module = TwoFaults(nnx.Rngs(0))
    with pytest.raises(CompileError, match="undefined"):
        eg.compile(functools.partial(TwoFaults.__call__, module), jnp.ones((1, 4)))


def test_the_error_of_jax_is_the_cause() -> None:
    with pytest.raises(CompileError) as caught:
        eg.compile(does_not_trace, 1.0)
    assert isinstance(caught.value.__cause__, jax.errors.TracerBoolConversionError)


def test_read_hlo(tmp_path: Path) -> None:
    program = eg.compile(dense, *STRUCTS)
    binary = tmp_path / "module.pb"
    binary.write_bytes(program.serialized)
    text = tmp_path / "dump.txt"
    text.write_text(program.executable.as_text())
    for path in (binary, text):
        read = eg.read_hlo(path)
        assert (read.name, read.batch, read.target, read.stage) == (
            "jit_dense", None, "cpu", "optimized",
        )  # fmt: skip
        assert (read.executable, read.jaxpr, read.concrete) == (None, None, None)
        assert dict(read.xla_cost) == dict(program.xla_cost)
        assert read.module.instruction_count == program.module.instruction_count


def test_read_hlo_before_optimisation(tmp_path: Path) -> None:
    path = tmp_path / "module.pb"
    path.write_bytes(eg.compile(dense, *STRUCTS, stage="lowered").serialized)
    assert eg.read_hlo(path).stage == "lowered"


@pytest.mark.parametrize("content", [b"", b"HloModule", b"\x00\x01\x02", b"hello"])
def test_read_hlo_refuses_what_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "module.pb"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        eg.read_hlo(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_hlo_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        eg.read_hlo(tmp_path / "nothing.pb")


def test_options_of_a_workload_are_those_of_this_host() -> None:
    options: dict[str, str | int | float | bool] = {"xla_cpu_multi_thread_eigen": False}
    plain = eg.Workload.from_function(jnp.sin, lambda _: (jnp.ones(4),))
    workload = replace(plain, compiler_options=options)
    assert eg.compile(workload).options == options
    asked: dict[str, str | int | float | bool] = {"xla_cpu_multi_thread_eigen": True}
    assert eg.compile(workload, options=asked).options == asked
    assert eg.compile(workload, stage="lowered").options == {}


def test_a_fingerprint_tells_programs_apart_by_what_they_do_not_by_their_names() -> None:
    def named(name: str) -> eg.Workload:
        def arguments(batch: int) -> tuple[Any, ...]:
            return jnp.ones((batch, 784)), jnp.ones((784, 10))

        return eg.Workload.from_function(jnp.matmul, arguments, name=name)

    one, same, other = (
        workload_fingerprint(named(name), batch=batch)
        for name, batch in [("a", 1), ("b", 1), ("b", 2)]
    )
    assert one == same != other
