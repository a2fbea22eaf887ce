"""Compiled programs with the values of their arguments, as one file that a fresh process opens.

What is sent is the executable itself, so the other process times the very machine code that was
analysed here. Only where it is to run on another number of cores, for which XLA compiles
differently, the traced function is sent and compiled there. Arguments are sent by value, once
for all processes, and those that several programs share only once.
"""

from __future__ import annotations

import mmap
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from typing import IO, Any

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from jax import export
from jax.experimental import serialize_executable
from jax.extend import core

from edgegraph import xla
from edgegraph.compiler.program import Program
from edgegraph.errors import EdgeGraphError, InputError

_ALIGNMENT_BYTES = 64
_LENGTH_BYTES = 8
_LAPACK = b"lapack_"


class _Type(msgspec.Struct, frozen=True, kw_only=True):
    """What an array is; the dtype names the implementation if it is one of random keys."""

    dtype: str
    shape: tuple[int, ...]
    key: bool


class _Array(msgspec.Struct, frozen=True, kw_only=True):
    """A value in the file, as NumPy holds it."""

    type: _Type
    offset: int
    bytes: int
    raw_dtype: str
    raw_shape: tuple[int, ...]


class _Packed(msgspec.Struct, frozen=True, kw_only=True):
    """A program in the file: what runs, and which of the arrays it takes.

    Attributes:
        compiled: Whether the content is an executable, or a function still to be compiled.
        donated: Positions of the arguments that a function may consume.
    """

    name: str
    batch: int | None
    options: dict[str, str | int | float | bool]
    offset: int
    bytes: int
    compiled: bool
    results: tuple[_Type, ...]
    donated: tuple[int, ...]
    arguments: tuple[int, ...]


class _Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What stands at the end of the file."""

    programs: tuple[_Packed, ...]
    arrays: tuple[_Array, ...]
    task: bytes
    wide: bool
    lapack: bool


class Parcel:
    """Programs and their arguments in a file without a name.

    Attributes:
        file: What to hand to `edgegraph.child.run_child`.
        bytes: How long it is.
    """

    def __init__(self, file: IO[bytes], programs: Sequence[Program], *, recompile: bool) -> None:
        self.file = file
        self._arrays: list[_Array] = []
        self._known: dict[tuple[Any, ...], int] = {}
        self._lapack = False
        self._packed = tuple(self._pack(program, recompile) for program in programs)
        self._end = file.tell()

    def address(self, task: bytes) -> IO[bytes]:
        """Say what is to be done with the programs, and give the file."""
        contents = msgspec.msgpack.encode(
            _Contents(
                programs=self._packed,
                arrays=tuple(self._arrays),
                task=task,
                wide=bool(jax.config.read("jax_enable_x64")),
                lapack=self._lapack,
            )
        )
        self.file.seek(self._end)
        self.file.truncate()
        self.file.write(contents + len(contents).to_bytes(_LENGTH_BYTES, "big"))
        self.file.flush()
        return self.file

    @property
    def bytes(self) -> int:
        """Bytes of all programs and values."""
        return self._end

    def _pack(self, program: Program, recompile: bool) -> _Packed:
        if program.executable is None or program.concrete is None:
            raise InputError(
                f"{program.name!r} (target {program.target!r}, stage {program.stage!r}) has nothing"
                " that could be run here and timed; compile a workload for target 'cpu'"
            )
        try:
            content = _exported(program) if recompile else _serialized(program)
        except EdgeGraphError:
            raise
        except Exception as error:  # JAX has no common type for what cannot leave the process
            reason = (str(error).strip().splitlines() or [""])[0]
            raise InputError(
                f"{program.name!r} cannot be handed to another process, as callbacks into Python"
                f" cannot: {type(error).__name__}: {reason}"
            ) from error
        self._lapack = self._lapack or _LAPACK in content or _LAPACK in program.serialized
        offset = self._write(content)
        types = jax.tree.leaves(program.executable.in_avals[0])
        seen: Counter[tuple[Any, ...]] = Counter()
        leaves = jax.tree.leaves(tuple(program.concrete()))
        return _Packed(
            name=program.name,
            batch=program.batch,
            options=dict(program.options),
            offset=offset,
            bytes=len(content),
            compiled=not recompile,
            results=tuple(map(_type, jax.tree.leaves(program.executable.out_info))),
            donated=_donated(program),
            arguments=tuple(
                self._array(leaf, kind, seen) for leaf, kind in zip(leaves, types, strict=True)
            ),
        )

    def _array(self, leaf: Any, kind: Any, seen: Counter[tuple[Any, ...]]) -> int:
        """Write a value unless another program brought it; give its number."""
        described = _type(kind)
        raw = jax.random.key_data(leaf) if described.key else leaf
        values = np.asarray(raw, dtype=None if described.key else kind.dtype)
        content = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        same = (described, blake2b(content.data).digest())
        # A program that takes the same value twice keeps two, as it would here.
        seen[same] += 1
        number = self._known.setdefault((*same, seen[same]), len(self._arrays))
        if number == len(self._arrays):
            self._arrays.append(
                _Array(
                    type=described,
                    offset=self._write(content.data),
                    bytes=content.nbytes,
                    raw_dtype=str(values.dtype),
                    raw_shape=values.shape,
                )
            )
        return number

    def _write(self, content: Any) -> int:
        self.file.write(b"\0" * (-self.file.tell() % _ALIGNMENT_BYTES))
        offset = self.file.tell()
        self.file.write(content)
        return offset


@contextmanager
def parcel(programs: Sequence[Program], *, recompile: bool = False) -> Iterator[Parcel]:
    """Pack programs; the file is gone when the block ends.

    Args:
        programs: Compiled for this host.
        recompile: Send the traced functions, to be compiled where they arrive.

    Raises:
        InputError: A program cannot run here, or cannot leave this process; or there is no room
            for its arguments in the folder for temporary files.
    """
    with tempfile.TemporaryFile() as file:
        try:
            packed = Parcel(file, programs, recompile=recompile)
        except OSError as error:
            raise InputError(
                f"cannot write the arguments of {programs[0].name!r} to {tempfile.gettempdir()}:"
                f" {error.strerror or error}; set TMPDIR to a folder with more room"
            ) from error
        yield packed


def _donated(program: Program) -> tuple[int, ...]:
    leaves = jax.tree.leaves(program.executable.args_info[0])
    return tuple(position for position, info in enumerate(leaves) if info.donated)


def _serialized(program: Program) -> bytes:
    content, _, _ = serialize_executable.serialize(program.executable)
    return bytes(content)


def _exported(program: Program) -> bytes:
    if program.jaxpr is None:
        raise InputError(f"{program.name!r} was not traced here, so it cannot be compiled again")
    function = jax.jit(core.jaxpr_as_fun(program.jaxpr), keep_unused=True)
    allowed = [export.DisabledSafetyCheck.custom_call(name) for name in _custom_calls(program)]
    types = jax.tree.leaves(program.executable.in_avals[0])
    structs = [jax.ShapeDtypeStruct(kind.shape, kind.dtype) for kind in types]
    exported = export.export(function, platforms=["cpu"], disabled_checks=allowed)(*structs)
    return bytes(exported.mlir_module_serialized)


def _type(kind: Any) -> _Type:
    if not jnp.issubdtype(kind.dtype, jax.dtypes.prng_key):
        return _Type(dtype=str(kind.dtype), shape=kind.shape, key=False)
    names: list[str] = []
    struct = jax.ShapeDtypeStruct(kind.shape, kind.dtype)
    jax.eval_shape(lambda keys: names.append(str(jax.random.key_impl(keys))), struct)
    return _Type(dtype=names[0], shape=kind.shape, key=True)


def _custom_calls(program: Program) -> list[str]:
    """Name the library calls; the other process has the same libraries, so all are safe."""
    called = {
        instruction.custom_call_target
        for computation in program.module.computations.values()
        for instruction in computation.instructions
    }
    return sorted(name for name in called if name)


def open_parcel(payload: bytes | mmap.mmap, *, synchronous: bool) -> tuple[list[Program], bytes]:
    """Load the programs in the process that was handed them; for a process that is fresh.

    Args:
        payload: What `Parcel.address` gave.
        synchronous: Whether calls run in the calling thread.

    Returns:
        The programs, which can be run and timed but not analysed, and the task. Programs that
        share a value share its array.
    """
    end = len(payload) - _LENGTH_BYTES
    length = int.from_bytes(payload[end:], "big")
    contents = msgspec.msgpack.decode(payload[end - length : end], type=_Contents)
    jax.config.update("jax_enable_x64", contents.wide)
    if synchronous:
        xla.set_synchronous_dispatch()
    if contents.lapack:
        # Only lowering a call of LAPACK looks its functions up; calling them before ends the
        # process.
        jax.jit(jnp.linalg.cholesky).lower(jax.ShapeDtypeStruct((2, 2), jnp.float32))
    values = [_load(payload, array) for array in contents.arrays]
    programs = [_unpack(payload, packed, values) for packed in contents.programs]
    return programs, contents.task


def _load(payload: bytes | mmap.mmap, array: _Array) -> jax.Array:
    """Copy a value out of the file, into memory like that of any other argument."""
    raw = np.frombuffer(payload, np.uint8, array.bytes, array.offset)
    values = raw.view(jnp.dtype(array.raw_dtype)).reshape(array.raw_shape)
    # No device is named: of arrays that are bound to one, jax checks the layout, and refuses int4.
    placed: jax.Array = jax.device_put(values, may_alias=False)
    if array.type.key:
        placed = jax.random.wrap_key_data(placed, impl=array.type.dtype)
    return placed


def _unpack(payload: bytes | mmap.mmap, packed: _Packed, values: Sequence[jax.Array]) -> Program:
    content = payload[packed.offset : packed.offset + packed.bytes]
    arguments = tuple(values[number] for number in packed.arguments)
    if packed.compiled:
        executable = serialize_executable.deserialize_and_load(
            content,
            jax.tree.structure((arguments, {})),
            jax.tree.structure([0] * len(packed.results)),
            backend="cpu",
            execution_devices=jax.devices("cpu")[:1],
        )
    else:
        function = _imported(content, arguments, packed.results).call
        jitted = jax.jit(function, donate_argnums=packed.donated, keep_unused=True)
        compiler_options: Any = packed.options or None
        executable = jitted.lower(*arguments).compile(compiler_options=compiler_options)
    return Program(
        name=packed.name,
        batch=packed.batch,
        target="cpu",
        stage="optimized",
        options=packed.options,
        serialized=b"",
        executable=executable,
        concrete=lambda: arguments,
    )


def _imported(content: bytes, arguments: Sequence[Any], results: Sequence[_Type]) -> Any:
    """Give an exported function its content again.

    JAX writes exported functions to files with a library that it does not bring along, so only
    the content was sent; what surrounds it is that of any function of the same signature.
    """

    def alike(*_: Any) -> list[Any]:
        return [jnp.broadcast_to(_zero(result), result.shape) for result in results]

    hollow = export.export(jax.jit(alike, keep_unused=True), platforms=["cpu"])(*arguments)
    return replace(hollow, mlir_module_serialized=content)


def _zero(kind: _Type) -> Any:
    if kind.key:
        return jax.random.key(0, impl=kind.dtype)
    return jnp.zeros((), kind.dtype)
