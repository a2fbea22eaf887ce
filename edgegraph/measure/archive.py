"""Compiled programs with the values of their arguments, as one file that a fresh process opens.

What is sent is the executable itself, so the other process times the very machine code that was
analysed here. Only where it is to run on another number of cores, for which XLA compiles
differently, the traced function is exported and compiled there. Arguments are sent by value, once
for all processes, and those that several programs share only once.

The file is a pickle, as JAX's serialized executables are: only this process and its children,
which run the same code, ever see it.
"""

from __future__ import annotations

import io
import mmap
import pickle
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import IO, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.experimental import serialize_executable
from jax.extend import core

from edgegraph import xla
from edgegraph.base.timing import Progress, no_progress
from edgegraph.base.worker import run_child
from edgegraph.compiler.program import Program
from edgegraph.cost.custom_calls.kernels import calls_python
from edgegraph.device import host
from edgegraph.errors import EdgeGraphError, InputError

_LAPACK = b"lapack_"

_ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "1"}

_STARTING_S = 120.0
_BYTES_PER_S = 20e6
"""A disk that gives the arguments back slower than this counts as one that hangs."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class _Packed:
    """A program in the file: what runs, and what it takes.

    `code` is the executable, or the exported function where that is still to be compiled;
    `arguments` are positions in the values of the archive.
    """

    program: Program
    code: bytes
    compiled: bool
    lapack: bool
    results: int
    donated: tuple[int, ...]
    arguments: tuple[int, ...]


@dataclass(frozen=True)
class ProgramArchive:
    """Programs and their arguments in a file for `serve`; `cores` is None for all of them."""

    file: IO[bytes]
    size_bytes: int
    compile_s: float
    cores: tuple[int, ...] | None

    def with_task(self, task: Callable[[list[Program], Progress], object]) -> IO[bytes]:
        """Return the file with a task: a function of a module, or a `functools.partial` of one."""
        self.file.seek(self.size_bytes)
        self.file.truncate()
        pickle.dump(task, self.file)
        self.file.flush()
        return self.file


@contextmanager
def program_archive(
    programs: Sequence[Program], *, cores: int | None = None, synchronous: bool = True
) -> Iterator[ProgramArchive]:
    """Pack programs compiled for this host; the file is gone when the block ends.

    For fewer cores than all that this process may use they are compiled again where they arrive.
    `synchronous`: whether calls run there in the calling thread.
    """
    chosen = None if cores is None else _first_cores(cores)
    recompile = chosen is not None and len(chosen) < len(host.usable_cores())
    known: dict[tuple[Any, ...], int] = {}
    with tempfile.TemporaryFile() as file:
        try:
            pickle.dump((jax.config.read("jax_enable_x64"), synchronous), file)
            packed = [_pack(program, file, known, recompile) for program in programs]
            pickle.dump(None, file)  # no more values
            pickle.dump(packed, file)
            file.flush()
        except OSError as error:
            raise InputError(
                f"cannot write programs and their arguments to {tempfile.gettempdir()}:"
                f" {error.strerror or error}; set TMPDIR to a folder with more room"
            ) from error
        compile_s = sum(program.compile_s or 0.0 for program in programs)
        yield ProgramArchive(file, file.tell(), compile_s, chosen)


def check_portable(program: Program) -> None:
    """Refuse a program that cannot be handed to another process, before any of it is timed.

    Raises:
        InputError: It calls functions of Python, which only this process has.
    """
    if calls_python(program.module):
        raise InputError(
            f"{program.name!r} calls Python on the host (jax.debug.print, jax.pure_callback), and"
            " cannot be handed to the processes that would time it; take that out, or analyze it,"
            " which times it where it is"
        )


def _first_cores(count: int) -> tuple[int, ...]:
    usable = host.usable_cores()
    if isinstance(count, bool) or not 1 <= count <= len(usable):
        raise InputError(f"cannot measure on {count!r} cores; this process may use {len(usable)}")
    return usable[:count]


def _pack(
    program: Program, file: IO[bytes], known: dict[tuple[Any, ...], int], recompile: bool
) -> _Packed:
    """Write the program's values to the file, and return the rest as what can be pickled."""
    if program.executable is None or program.concrete is None:
        raise InputError(
            f"{program.name!r} (target {program.target!r}, stage {program.stage!r}) has nothing"
            " that could be run here and timed; compile a workload for target 'cpu'"
        )
    check_portable(program)
    try:
        code = (
            _exported(program)
            if recompile
            else bytes(serialize_executable.serialize(_compiled(program.executable))[0])
        )
    except EdgeGraphError:
        raise
    except Exception as error:  # JAX has no common type for what cannot leave the process
        reason = (str(error).strip().splitlines() or [""])[0]
        raise InputError(
            f"{program.name!r} cannot be handed to another process:"
            f" {type(error).__name__}: {reason}"
        ) from error
    infos = jax.tree.leaves(program.executable.args_info[0])
    return _Packed(
        program=Program(
            name=program.name,
            batch=program.batch,
            target="cpu",
            stage="optimized",
            options=dict(program.options),
            serialized=b"",
        ),
        code=code,
        lapack=_LAPACK in code or _LAPACK in program.serialized,
        compiled=not recompile,
        results=len(jax.tree.leaves(program.executable.out_info)),
        donated=tuple(position for position, info in enumerate(infos) if info.donated),
        arguments=_write_values(program, file, known),
    )


def _compiled(executable: Any) -> Any:
    return getattr(executable, "compiled", executable)


def _exported(program: Program) -> bytes:
    if program.jaxpr is None:
        raise InputError(f"{program.name!r} was not traced here, so it cannot be compiled again")
    function = jax.jit(core.jaxpr_as_fun(program.jaxpr), keep_unused=True)
    # The other process has the same libraries, so calling them is safe.
    called = {
        instruction.custom_call_target
        for computation in program.module.computations.values()
        for instruction in computation.instructions
    }
    allowed = [
        export.DisabledSafetyCheck.custom_call(name) for name in sorted(filter(None, called))
    ]
    types = jax.tree.leaves(program.executable.in_avals[0])
    structs = [jax.ShapeDtypeStruct(kind.shape, kind.dtype) for kind in types]
    exported = export.export(function, platforms=["cpu"], disabled_checks=allowed)(*structs)
    return bytes(exported.serialize())


def _write_values(
    program: Program, file: IO[bytes], known: dict[tuple[Any, ...], int]
) -> tuple[int, ...]:
    """Write the arguments that no earlier program brought; return the positions of all."""
    assert program.concrete is not None  # `_pack` has looked
    leaves = jax.tree.leaves(tuple(program.concrete()))
    types = jax.tree.leaves(program.executable.in_avals[0])
    seen: Counter[tuple[Any, ...]] = Counter()
    positions = []
    for leaf, kind in zip(leaves, types, strict=True):
        key = None
        if jnp.issubdtype(kind.dtype, jax.dtypes.prng_key):
            key = str(jax.random.key_impl(leaf))
            array = np.asarray(jax.random.key_data(leaf))
        else:
            array = np.asarray(leaf, dtype=kind.dtype, order="C")
        digest = blake2b(array.reshape(-1).view(np.uint8).data).digest()
        same = (key, array.dtype, array.shape, digest)
        # A program that takes the same value twice keeps two, as it would here.
        seen[same] += 1
        identity = (*same, seen[same])
        if identity not in known:
            known[identity] = len(known)
            pickle.dump((array, key), file, protocol=5)
        positions.append(known[identity])
    return tuple(positions)


def run_in_subprocess(
    task: Callable[[list[Program], Progress], Answer],
    archive: ProgramArchive,
    *,
    label: str,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Answer:
    """Call a function of a module with programs in a fresh process, and return its answer.

    Errors and interrupts are those of `run_child`; `label` stands before the messages of progress
    and names the task in errors. `environment` is set in addition.
    """
    report = progress or no_progress

    answer: Answer = pickle.loads(
        run_child(
            f"{serve.__module__}:{serve.__name__}",
            archive.with_task(task),
            name=label,
            timeout_s=timeout_s,
            environment={**_ENVIRONMENT, **(environment or {})},
            cores=archive.cores,
            progress=lambda message, fraction: report(f"{label}: {message}", fraction),
        )
    )
    return answer


def time_limit_s(archive: ProgramArchive, measuring_s: float) -> float:
    """Return the time after which a process that measures for so long must have hung."""
    return (
        _STARTING_S + 4 * measuring_s + 10 * archive.compile_s + archive.size_bytes / _BYTES_PER_S
    )


def serve(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    """Load the programs, which can be run and timed but not analysed, and do the task with them."""
    file = io.BytesIO(payload) if isinstance(payload, bytes) else payload
    wide, synchronous = pickle.load(file)
    jax.config.update("jax_enable_x64", wide)
    if synchronous:
        xla.set_synchronous_dispatch()
    # One after the other, so that no more than one is held twice.
    values = [_place(*value) for value in iter(lambda: pickle.load(file), None)]
    packed = pickle.load(file)
    if any(one.lapack for one in packed):
        # Only lowering a call of LAPACK looks its functions up; calling them before ends the
        # process.
        jax.jit(jnp.linalg.cholesky).lower(jax.ShapeDtypeStruct((2, 2), jnp.float32))
    programs = [
        _unpack(one, tuple(values[position] for position in one.arguments)) for one in packed
    ]
    task = pickle.load(file)
    return pickle.dumps(task(programs, report))


def _place(array: np.ndarray[Any, Any], key: str | None) -> jax.Array:
    # No device is named: of arrays that are bound to one, jax checks the layout, and refuses int4.
    placed: jax.Array = jax.device_put(array)
    return placed if key is None else jax.random.wrap_key_data(placed, impl=key)


def _unpack(packed: _Packed, arguments: tuple[jax.Array, ...]) -> Program:
    if packed.compiled:
        executable = serialize_executable.deserialize_and_load(
            packed.code,
            jax.tree.structure((arguments, {})),
            jax.tree.structure([0] * packed.results),
            backend="cpu",
            execution_devices=jax.devices("cpu")[:1],
        )
    else:
        function = export.deserialize(bytearray(packed.code)).call
        jitted = jax.jit(function, donate_argnums=packed.donated, keep_unused=True)
        options: Any = packed.program.options or None
        executable = jitted.lower(*arguments).compile(compiler_options=options)
    return replace(packed.program, executable=executable, concrete=lambda: arguments)
