"""The only file that touches private names of jax and jaxlib.

Everything else works on the bytes that these functions give. Importing this module imports jax.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import jax

from edgegraph.errors import CompileError, EdgeGraphError, FormatError, UnsupportedVersionError

SUPPORTED_JAX = "0.10 to 0.12"


def _unsupported(error: BaseException) -> UnsupportedVersionError:
    return UnsupportedVersionError(
        f"jax {jax.__version__} lacks a private name that EdgeGraph needs ({error});"
        f" install jax {SUPPORTED_JAX}"
    )


def _private(module_name: str, *names: str) -> Any:
    """Import a private module that must have `names`."""
    try:
        module = importlib.import_module(module_name)
        for name in names:
            getattr(module, name)
    except (ImportError, AttributeError) as error:
        raise _unsupported(error) from error
    return module


@cache
def _hlo() -> Any:
    """Give the module with `HloModule` and the text parser."""
    return _private("jaxlib._hlo", "HloModule", "hlo_module_from_text")


@cache
def _analysis() -> tuple[Any, Any]:
    """Give XLA's cost analysis and the CPU client that it wants to be handed."""
    private = _private("jaxlib._jax", "hlo_module_cost_analysis")
    return private.hlo_module_cost_analysis, jax.devices("cpu")[0].client


def _first_line(error: BaseException) -> str:
    """Give the first line of XLA's message, without its status code."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.removeprefix("INVALID_ARGUMENT: ").rstrip(":")


def cost_analysis(serialized: bytes) -> Mapping[str, float]:
    """Give XLA's own cost analysis of a module.

    Args:
        serialized: A HloModuleProto, optimised or not, for whatever target.

    Returns:
        XLA's properties: ``flops``, ``transcendentals``, ``bytes accessed``, per operand
        ``bytes accessed0{}``, of the result ``bytes accessedout{}``, ... A property that is
        zero may be missing.

    Raises:
        FormatError: XLA refuses the module.
        UnsupportedVersionError: The installed jax has no such analysis.
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
    """Parse HLO text, as XLA prints and dumps it.

    Args:
        text: A whole module, from ``HloModule`` on.

    Returns:
        The serialized HloModuleProto.

    Raises:
        FormatError: XLA cannot parse the text.
        UnsupportedVersionError: The installed jax has no such parser.
    """
    try:
        module = _hlo().hlo_module_from_text(text)
    except (RuntimeError, ValueError) as error:
        raise FormatError(f"not HLO text: {_first_line(error)}") from error
    serialized: bytes = module.as_serialized_hlo_module_proto()
    return serialized


def compiled_module(compiled: jax.stages.Compiled) -> bytes:
    """Give the optimised module of a compiled function.

    Args:
        compiled: What ``jax.jit(f).lower(...).compile()`` gave.

    Returns:
        The serialized HloModuleProto.

    Raises:
        CompileError: The executable does not hold exactly one module.
        UnsupportedVersionError: The installed jax does not hand out the module.
    """
    try:
        executable: Any = compiled.runtime_executable()
        modules = executable.hlo_modules()
        if len(modules) != 1:
            raise CompileError(f"the executable holds {len(modules)} HLO modules; expected one")
        serialized: bytes = modules[0].as_serialized_hlo_module_proto()
    except AttributeError as error:
        raise _unsupported(error) from error
    return serialized


def lowered_module(lowered: jax.stages.Lowered) -> bytes:
    """Give the module of a lowered function, before XLA optimises it.

    Args:
        lowered: What ``jax.jit(f).lower(...)`` gave.

    Returns:
        The serialized HloModuleProto, with op_names and stack frames.

    Raises:
        UnsupportedVersionError: The installed jax does not hand out the module.
    """
    try:
        computation: Any = lowered.compiler_ir("hlo")
        serialized: bytes = computation.as_serialized_hlo_module_proto()
    except AttributeError as error:
        raise _unsupported(error) from error
    return serialized


def set_synchronous_dispatch() -> None:
    """Make CPU calls run in the calling thread, so that a clock around them sees only them.

    Must come before the first use of a device in the process.

    Raises:
        EdgeGraphError: A backend is up already, and dispatch is still asynchronous.
    """
    bridge = _private("jax._src.xla_bridge", "backends_are_initialized")
    config: Any = jax.config
    try:
        asynchronous = config.read("jax_cpu_enable_async_dispatch")
    except AttributeError as error:
        raise _unsupported(error) from error
    if asynchronous and bridge.backends_are_initialized():
        raise EdgeGraphError(
            "CPU dispatch is asynchronous and JAX's backend is already up; set"
            " JAX_CPU_ENABLE_ASYNC_DISPATCH=false in the environment, or call this before JAX"
            " touches a device"
        )
    config.update("jax_cpu_enable_async_dispatch", False)
