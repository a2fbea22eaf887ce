"""The only file that touches private names of jax and jaxlib.

Everything else works on the bytes that these functions return. Nothing of jax is imported before
it is needed; the cost analysis and the text parser need jaxlib alone.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from edgegraph.errors import CompileError, EdgeGraphError, FormatError, UnsupportedVersionError

if TYPE_CHECKING:
    import jax

_DTYPES = (
    "bool", "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
    "float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2fnuz",
    "float8_e4m3", "float8_e3m4", "float4_e2m1fn", "float8_e8m0fnu",
    *(f"{sign}int{bits}" for bits in (2, 4, 8, 16, 32, 64) for sign in ("", "u")),
)  # fmt: skip
"""What arguments of a JAX function may be of."""

SUPPORTED_JAX = "0.10 to 0.12"

_TEXT_ERROR = re.compile(r"was parsing (\d+):(\d+): error: (.+)")


@contextmanager
def _private_names() -> Iterator[None]:
    """Say which jax is installed, and which is supported, where one of its names is missing."""
    try:
        yield
    except (ImportError, AttributeError) as error:
        found = "(none)"
        with suppress(importlib.metadata.PackageNotFoundError):
            found = importlib.metadata.version("jax")
        raise UnsupportedVersionError(
            f"jax {found} lacks a private name ({error}); install jax {SUPPORTED_JAX}"
        ) from error


@_private_names()
def _private(module_name: str, *names: str) -> Any:
    """Import a private module that must have `names`."""
    # As jax itself does it: without it, XLA greets on stderr.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    module = importlib.import_module(module_name)
    for name in names:
        getattr(module, name)
    return module


@cache
def _hlo() -> Any:
    """Return the module with `HloModule` and the text parser."""
    return _private("jaxlib._hlo", "HloModule", "hlo_module_from_text")


@cache
def _analysis() -> tuple[Any, Any]:
    """Return XLA's cost analysis and the client that it wants to be handed.

    The client is one of our own. JAX's would start all of JAX's backends, and may not exist
    where ``JAX_PLATFORMS`` leaves the CPU out.
    """
    private = _private("jaxlib._jax", "hlo_module_cost_analysis", "get_tfrt_cpu_client")
    return private.hlo_module_cost_analysis, private.get_tfrt_cpu_client()


def _first_line(error: BaseException) -> str:
    """Return the first line of XLA's message, without its status code."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"^[A-Z_]+: ", "", line).rstrip(":")


def cost_analysis(serialized: bytes) -> Mapping[str, float]:
    """Return XLA's own cost analysis of a HloModuleProto, optimised or not, for any target.

    Its properties are ``flops``, ``transcendentals``, ``bytes accessed``, per operand ``bytes
    accessed0{}``, of the result ``bytes accessedout{}``, ... One that is zero may be missing.
    """
    analyse, client = _analysis()
    module_class = _hlo().HloModule
    try:
        module = module_class.from_serialized_hlo_module_proto(serialized)
        properties: Mapping[str, float] = analyse(client, module)
    except (RuntimeError, ValueError) as error:
        raise FormatError(f"XLA refuses the HLO module: {_first_line(error)}") from error
    return properties


def parse_text(text: str) -> bytes:
    """Parse HLO text that XLA has printed into a HloModuleProto.

    On some text that it never printed, XLA ends the process; text from outside must go through
    `edgegraph.hlo.read` first.
    """
    try:
        module = _hlo().hlo_module_from_text(text)
    except (RuntimeError, ValueError) as error:
        found = _TEXT_ERROR.search(str(error))
        what = "line {}, column {}: {}".format(*found.groups()) if found else _first_line(error)
        raise FormatError(f"not HLO text: {what}") from error
    serialized: bytes = module.as_serialized_hlo_module_proto()
    return serialized


@_private_names()
def compiled_module(compiled: jax.stages.Compiled) -> bytes:
    """Return the optimised HloModuleProto of a compiled function, which must hold just one."""
    executable: Any = compiled.runtime_executable()
    modules = executable.hlo_modules()
    if len(modules) != 1:
        raise CompileError(f"the executable holds {len(modules)} HLO modules; expected one")
    serialized: bytes = modules[0].as_serialized_hlo_module_proto()
    return serialized


@_private_names()
def lowered_module(lowered: jax.stages.Lowered) -> bytes:
    """Return the HloModuleProto of a lowered function, before XLA optimises it.

    It has op_names and stack frames.
    """
    if _has_open_sizes(lowered):
        convert = _private("jaxlib._jax", "mlir").mlir.mlir_module_to_xla_computation
        computation = convert(stablehlo(lowered), use_tuple_args=False, return_tuple=False)
    else:
        computation = lowered.compiler_ir("hlo")
    serialized: bytes = computation.as_serialized_hlo_module_proto()
    return serialized


def stablehlo(lowered: jax.stages.Lowered) -> bytes:
    """Return a lowered function as MLIR bytecode, for a compiler in another process."""
    from jax.interpreters import mlir

    module: Any = lowered.compiler_ir("stablehlo")
    if _has_open_sizes(lowered):
        refine = _private("jax._src.interpreters.mlir", "refine_polymorphic_shapes")
        module = refine.refine_polymorphic_shapes(module)
    code: bytes = mlir.module_to_bytecode(module)
    return code


@_private_names()
def device_count(lowered: Any) -> int:
    """Return how many devices a lowered function is for."""
    attributes = lowered.compiler_ir("stablehlo").operation.attributes
    return int(attributes["mhlo.num_partitions"].value * attributes["mhlo.num_replicas"].value)


@_private_names()
def _has_open_sizes(lowered: Any) -> bool:
    """Return whether sizes that its arguments tell are not yet filled in, as JAX does to compile.

    They are open where a function is called that was exported so.
    """
    state = lowered._lowering.compile_args.get("shape_poly_state")
    return state is not None and bool(state.uses_dim_vars)


@_private_names()
def static_arguments(jitted: Any) -> tuple[set[int], set[str]]:
    """Return positions and names of the arguments that a jitted function takes as constants."""
    info = jitted._jit_info
    return set(info.static_argnums), set(info.static_argnames)


@_private_names()
def donated_arguments(jitted: Any) -> tuple[set[int], set[str]]:
    """Return positions and names of the arguments that a jitted function donates."""
    info = jitted._jit_info
    return set(info.donate_argnums), set(info.donate_argnames)


@_private_names()
def kept_arguments(lowered: jax.stages.Lowered) -> list[int]:
    """Return which of its arguments, one by one, a program takes: jax leaves out unused ones."""
    stage: Any = lowered
    return sorted(stage._lowering.compile_args["kept_var_idx"])


@_private_names()
def own_options(lowered: jax.stages.Lowered) -> dict[str, str | int | float | bool]:
    """Return the compiler options that a function was jitted with."""
    stage: Any = lowered
    return dict(stage._lowering._compiler_options_kvs)


def exported_from_stablehlo(code: bytes) -> jax.export.Exported:
    """Return StableHLO, as text, bytecode or portable artifact, as a function that JAX can call.

    Raises:
        FormatError: MLIR refuses it, it has no function ``main``, or a shape is not fixed.
    """
    import jax
    from jax import export
    from jax.interpreters import mlir

    ir = _private("jaxlib.mlir.ir", "MLIRError", "Module", "RankedTensorType")
    parse = _private("jaxlib._jax", "mlir").mlir.deserialize_portable_artifact
    try:
        with mlir.make_ir_context():
            # Of what it cannot read, the reader of portable artifacts tells stderr.
            module = (parse if b"StableHLO_v" in code[:64] else ir.Module.parse)(code)
            found = [each for each in module.body.operations if _symbol(each) == "main"]
            if not found:
                raise FormatError("this StableHLO has no function main, which would be run")
            kinds = found[0].type
            arguments, results = (
                [_struct(ir, each) for each in each_side]
                for each_side in (kinds.inputs, kinds.results)
            )
            name = _symbol(module.operation) or "stablehlo"
    except (ir.MLIRError, AttributeError, RuntimeError, ValueError) as error:
        what = " ".join(str(error).split()).removeprefix("Unable to parse module assembly: ")
        raise FormatError(
            f"this is MLIR, but no valid StableHLO ({what[:90]}); copy all of it, or write it with"
            " jax.export"
        ) from error

    def stand_in(*_: Any) -> Any:
        return [jax.numpy.zeros(each.shape, each.dtype) for each in results]

    # JAX has no way to make one but to export a function of the same shapes.
    anywhere = [export.DisabledSafetyCheck.platform()]
    made = export.export(jax.jit(stand_in, keep_unused=True), disabled_checks=anywhere)(*arguments)
    return replace(made, fun_name=name, mlir_module_serialized=code)


def _symbol(operation: Any) -> str | None:
    attributes = operation.attributes
    return getattr(attributes["sym_name"], "value", None) if "sym_name" in attributes else None


def _struct(ir: Any, kind: Any) -> Any:
    import jax
    from jax.interpreters import mlir

    if not isinstance(kind, ir.RankedTensorType):
        raise FormatError(f"an argument or result is {kind}; expected tensors of fixed shape")
    if not kind.has_static_shape:
        raise FormatError(
            f"{kind} has a size that is not known; export it with jax.export, whose symbolic batch"
            " --batch refines, or with fixed shapes"
        )
    for name in _DTYPES:
        dtype = jax.numpy.dtype(name)
        if mlir.dtype_to_ir_type(dtype) == kind.element_type:
            return jax.ShapeDtypeStruct(tuple(kind.shape), dtype)
    raise FormatError(f"{kind} has a dtype that JAX does not take; expected such as f32, bf16, i32")


def symbols(shape: Sequence[Any]) -> set[str]:
    """Return the names of the sizes that an exported function leaves open in a shape."""
    return {name for size in shape if not isinstance(size, int) for name in size.get_vars()}


@_private_names()
def evaluated(shape: Sequence[Any], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Return a shape of an exported function with numbers in place of its symbols."""
    return tuple(
        size if isinstance(size, int) else int(size._evaluate(dict(sizes))) for size in shape
    )


@_private_names()
def compile_for(
    code: bytes,
    *,
    platform: str,
    topology: str,
    description: str,
    chips: int,
    options: Mapping[str, str | int | float | bool],
) -> tuple[bytes, Any, Mapping[str, float] | None]:
    """Compile for chips that are not here. XLA may end the process: call it in one of its own.

    `code` is what `stablehlo` returned, lowered for `platform`, ``tpu`` or ``cuda``; `topology`
    names the chips and how they stand: ``v5e:2x2``, ``1x1x8`` on ``cuda``, where `description` is
    the GpuTargetConfigProto in text form. The program is partitioned over `chips` of them.
    Returned are the HloModuleProto, the compiler's memory statistics, and its cost analysis, which
    is None where the compiler has none.
    """
    from jax.experimental import topologies
    from jax.interpreters import mlir

    compiler = _private("jax._src.compiler", "get_compile_options")
    device_list = _private("jaxlib._jax", "DeviceList").DeviceList
    try:
        if platform == "cuda":
            target = {"target_config": description, "topology": topology}
            described = topologies.get_topology_desc("edgegraph", platform, **target)
        else:
            described = topologies.get_topology_desc(topology, platform)
        chosen: tuple[Any, ...] = tuple(described.devices[:chips])
        compile_options = compiler.get_compile_options(
            num_replicas=1,
            num_partitions=len(chosen),
            device_assignment=[[device.id for device in chosen]],
            env_options_overrides=dict(options),
        )
        with mlir.make_ir_context():
            module = _private("jaxlib.mlir.ir", "Module").Module.parse(code)
            executable = chosen[0].client.compile(module, device_list(chosen), compile_options)
        serialized: bytes = executable.hlo_modules()[0].as_serialized_hlo_module_proto()
        memory = executable.get_compiled_memory_stats()
    except (RuntimeError, ValueError) as error:
        raise CompileError(_first_line(error)) from error
    cost = None
    with suppress(RuntimeError):  # the GPU's compiler says that it has none
        cost = executable.cost_analysis()
    return serialized, memory, cost


def derivatives() -> Any:
    """Return JAX's module that looks up `vjp` wherever a derivative is taken backwards."""
    return _private("jax._src.api", "vjp", "value_and_grad")


@contextmanager
@_private_names()
def compiling_anew() -> Iterator[None]:
    """Compile what is compiled in a block, rather than read it from JAX's cache on disk.

    The key of that cache leaves names and lines out: of a program that was compiled under other
    names, it gives those. A key with them meets nothing, and so long a compilation is never kept.
    (With jax 0.12, switching the cache off does nothing once the process has used it.)
    """
    names = ("compilation_cache_include_metadata_in_key", "persistent_cache_min_compile_time_secs")
    config = _private("jax._src.config", *names)
    with (
        config.compilation_cache_include_metadata_in_key(True),
        config.persistent_cache_min_compile_time_secs(float("inf")),
    ):
        yield


@_private_names()
def set_synchronous_dispatch() -> None:
    """Make CPU calls run in the calling thread, so that a clock around them sees only them.

    Must come before the first use of a device in the process.
    """
    bridge = _private("jax._src.xla_bridge", "backends_are_initialized")
    config = _private("jax", "config").config
    if config.read("jax_cpu_enable_async_dispatch") and bridge.backends_are_initialized():
        raise EdgeGraphError(
            "CPU dispatch is asynchronous and JAX's backend is already up; run"
            " jax.config.update('jax_cpu_enable_async_dispatch', False) before JAX touches a"
            " device (the environment variable of that name has no effect)"
        )
    config.update("jax_cpu_enable_async_dispatch", False)


def profile(work: Callable[[], None], *, with_modules: bool) -> bytes:
    """Run something under the profiler, in memory; return the serialized XSpace."""
    with profiling(with_modules=with_modules) as found:
        work()
    return found[0]


@contextmanager
def profiling(*, with_modules: bool) -> Iterator[list[bytes]]:
    """Profile what runs in a block, in memory; what it gives holds the XSpace after the block.

    Python's own calls are not traced: that would double what tracing costs. `with_modules` puts the
    HLO of all modules that run into the profile, as the tools that open it later want; 360 KB for a
    small one.
    """
    profiler = _private("jaxlib._profiler", "ProfilerSession", "ProfileOptions")
    with _private_names():
        options = profiler.ProfileOptions()
        options.python_tracer_level = 0
        options.host_tracer_level = 2
        options.enable_hlo_proto = with_modules
        session = profiler.ProfilerSession(options)
    found: list[bytes] = []
    try:
        yield found
    except BaseException:
        with suppress(RuntimeError):
            session.stop()
        raise
    try:
        found.append(session.stop())
    except RuntimeError as error:  # it says so only now
        raise EdgeGraphError(
            f"cannot trace: {_first_line(error)} Stop the other profiler, or leave the trace out"
        ) from error
