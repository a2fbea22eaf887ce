"""The compiled result: XLA's modules, its totals, and the executable where it can run here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.module import Module
from edgegraph.hlo.parameters import PARAMETERS, parameter_tree, parameters_first
from edgegraph.hlo.read import Accepted, argument_names, importable, with_arguments
from edgegraph.results.analysis import MemoryUse

if TYPE_CHECKING:
    from edgegraph.measure.trace.timeline import Timeline


MOST_INSTRUCTIONS = 20_000
"""Compiled programs larger than this are not taken back to what they were before optimisation:
building that module again takes seconds, and analysing is to take a fraction of compiling."""

_SHARD_MAP = (b"xla.sdy.GlobalToLocalShape", b"SPMDFullToShardShape")
"""What JAX calls where a `shard_map` begins."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Program:
    """One workload, compiled (or only lowered) for one target at one batch size.

    Attributes:
        name: The workload's name, or the file's.
        batch: Batch size, or None where there is none.
        target: ``cpu``, ``tpu:v5e``, ``gpu:h100``, ``device:rpi5``, ..., or or of a module from
            a file ``cpu``, ``gpu`` or ``tpu``, ``unknown`` where it does not tell.
        stage: ``optimized`` or ``lowered``.
        options: XLA compiler options that were set.
        serialized: The HloModuleProto of that stage.
        memory: XLA's memory statistics; None unless compiled by us.
        lower_s: Seconds to trace and lower; None if not done here.
        compile_s: Seconds in XLA's compiler; None if not done here.
        jaxpr: The traced function as a ClosedJaxpr; None for a module from a file.
        lowered: The `jax.stages.Lowered`; None for a module from a file.
        executable: The `jax.stages.Compiled`, or something like it that takes positional arguments
            alone; None unless compiled here.
        concrete: Makes the flat-able arguments with values; None for a module from a file.
        device: Key of the target in the device catalogue; None for this host, whose figures are
            its calibration's.
        compiler_cost: The cost analysis of a compiler ahead of time, with its own
            ``optimal_seconds``; None where it has none.
        compiler_memory_bytes: The most memory that the process of such a compiler held.
        original: Makes the HloModuleProto of the model's own function before optimisation, where
            what was compiled computes the same another way.
        before: Reads the HloModuleProto before optimisation from a dump; None where there is none.
        timeline: Its calls in the profile that it was read from; None where it was not.
        arguments: Names of its arguments, one by one, where its modules have others.
        params: The argument, or the path in one, that is the tree of its parameters; None where
            nobody said so.
        accepted: What was found out of the module of a file when it was read.
        notes: What was decided while a file was read, in a sentence each.
        fingerprint: Digest of the StableHLO that it was lowered to; names of layers and source
            positions do not count. None for a module from a file.
    """

    name: str
    batch: int | None
    target: str
    stage: str
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    serialized: bytes
    memory: MemoryUse | None = None
    lower_s: float | None = None
    compile_s: float | None = None
    jaxpr: Any = None
    lowered: Any = None
    executable: Any = None
    concrete: Callable[[], tuple[Any, ...]] | None = None
    device: str | None = None
    compiler_cost: Mapping[str, float] | None = None
    compiler_memory_bytes: int | None = None
    original: Callable[[], bytes] | None = None
    before: Callable[[], bytes] | None = None
    fingerprint: str | None = None
    notes: tuple[str, ...] = ()
    timeline: Timeline | None = None
    arguments: tuple[str, ...] = ()
    params: str | None = None
    accepted: Accepted | None = None

    def __repr__(self) -> str:
        """Say which it is; its module would take pages."""
        return (
            f"Program({self.name!r}, batch={self.batch}, target={self.target!r},"
            f" stage={self.stage!r})"
        )

    @property
    def figures_of(self) -> str | None:
        """Whose figures its module gives where it is for several devices; None where for one.

        XLA partitions what it compiles, and every device runs the result. Before that it is the
        whole program, but for what `shard_map` holds.
        """
        replicas, partitions = self.module.replica_count, self.module.partition_count
        devices = (replicas or 1) * (partitions or 1)
        if partitions is None and self.lowered is not None:
            devices = xla.device_count(self.lowered)
        if devices == 1:
            return None
        if self.stage == "optimized":
            return f"per device, 1 of {devices}"
        mapped = any(mark in self.serialized for mark in _SHARD_MAP)
        return f"whole program, {devices} devices" + "; per device inside shard_map" * mapped

    @property
    def ahead(self) -> bool:
        """Whether it was compiled for a device that is not here."""
        return self.compiler_memory_bytes is not None

    @property
    def elsewhere(self) -> bool:
        """Whether it is a file from a TPU or GPU, of which it does not say which."""
        return self.device is None and self.target in ("gpu", "tpu")

    @cached_property
    def module(self) -> Module:
        """The decoded HLO module of `stage`."""
        # Arguments may have been named since it was read.
        if self.accepted is not None and self.accepted.module.serialized == self.serialized:
            return self.accepted.module
        return decode(self.serialized)

    @property
    def model_module(self) -> Module | None:
        """The module whose MACs are the model's own; None where `module` is counted itself.

        Compilers for other devices pad and expand products, that for CPUs makes dense convolutions
        of gradients of grouped ones, and rewritten functions have others. Before it is partitioned,
        a program is that of all chips, so that one of several has none.
        """
        if self.original is not None:
            return decode(named_arguments(self.original(), (), self.params))
        if self.module.partition_count not in (None, 1):
            return None
        here = self.small and self._convolves
        return self.module_before if here or self.ahead or self.before is not None else None

    @property
    def small(self) -> bool:
        """Whether what it was before optimisation is worth the time to make it again."""
        return self.stage == "lowered" or self.module.instruction_count <= MOST_INSTRUCTIONS

    @property
    def _convolves(self) -> bool:
        return any(
            instruction.opcode == "convolution"
            for computation in self.module.computations.values()
            for instruction in computation.instructions
        )

    @cached_property
    def module_before(self) -> Module | None:
        """The decoded module before optimisation; None where only the optimised one is known.

        For an optimised program it is rebuilt, which takes about a tenth of the compile time.

        Raises:
            UnsupportedVersionError: The installed jax does not hand out the module.
        """
        if self.stage == "lowered":
            return self.module
        if self.before is not None:
            return decode(named_arguments(self.before(), self.arguments, self.params))
        if self.lowered is None:
            return None
        return decode(
            named_arguments(xla.lowered_module(self.lowered), self.arguments, self.params)
        )

    @cached_property
    def xla_cost(self) -> Mapping[str, float]:
        """XLA's own module totals: ``flops``, ``transcendentals``, ``bytes accessed``.

        Raises:
            UnsupportedVersionError: The installed jax lacks the cost analysis.
        """
        # What was read before, or compiled here, need not be read by XLA once more.
        own = None if self.executable is None else self.executable.cost_analysis()
        if self.accepted is not None:
            own = self.accepted.xla_cost
        return own or xla.cost_analysis(importable(self.serialized))


def named_arguments(
    serialized: bytes, arguments: Sequence[str], params: str | None = None
) -> bytes:
    """Return a module whose arguments have these names, if any; those of `params` in a tree so."""
    named = with_arguments(serialized, arguments)
    if params in (None, PARAMETERS):
        return named
    return with_arguments(named, parameters_first(argument_names(named), params))


def with_parameters(program: Program, params: str | int) -> Program:
    """Return a program that is told which of its arguments is the tree of parameters.

    Args:
        program: With names of its arguments, as JAX writes them.
        params: The argument, by name or by its position among those that hold arrays; or a path in
            one (``state.params[0]``).

    Raises:
        InputError: There is no such argument.
    """
    tree = parameter_tree(argument_names(program.serialized), params)
    named = named_arguments(program.serialized, (), tree)
    return replace(program, serialized=named, params=tree)


def memory_use(statistics: Any) -> MemoryUse:
    """Return XLA's `CompiledMemoryStats` as plain data."""
    return MemoryUse(
        argument_bytes=statistics.argument_size_in_bytes,
        output_bytes=statistics.output_size_in_bytes,
        temp_bytes=statistics.temp_size_in_bytes,
        alias_bytes=statistics.alias_size_in_bytes,
        code_bytes=statistics.generated_code_size_in_bytes,
    )


class _ByPosition:
    """A `jax.stages.Compiled` whose keywords are taken by position, after its other arguments."""

    def __init__(self, compiled: Any, keywords: Sequence[str]) -> None:
        self.compiled, self._keywords = compiled, keywords
        self.args_info = self._positions(compiled.args_info)
        self.in_avals = self._positions(compiled.in_avals)

    def _positions(self, arguments: Any) -> Any:
        return (*arguments[0], *(arguments[1][name] for name in self._keywords)), {}

    def __call__(self, *arguments: Any) -> Any:
        count = len(arguments) - len(self._keywords)
        return self.compiled(
            *arguments[:count], **dict(zip(self._keywords, arguments[count:], strict=True))
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.compiled, name)


def by_position(compiled: Any, keywords: Sequence[str]) -> Any:
    """Return an executable whose `keywords`, sorted, are its last positional arguments."""
    return _ByPosition(compiled, keywords) if keywords else compiled
