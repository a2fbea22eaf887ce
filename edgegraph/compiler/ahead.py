"""Compiling for devices that are not here, in a subprocess.

The compilers of TPUs and GPUs need no hardware, but they are wheels of some hundred megabytes,
talk on stderr, and end the process where they meet what they did not expect. So each runs in a
child, and what it made is kept on disk, because it takes seconds to minutes.
"""

from __future__ import annotations

import hashlib
import mmap
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from edgegraph import xla
from edgegraph.base.files import cache_folder, keep
from edgegraph.base.timing import Progress, no_progress
from edgegraph.base.worker import peak_memory_bytes, run_child
from edgegraph.compiler.program import memory_use
from edgegraph.compiler.targets import Target, compiler_versions, require_compiler
from edgegraph.errors import CompileError, EdgeGraphError, InputError
from edgegraph.results.analysis import MemoryUse

TIMEOUT_S = 900.0
"""ResNet-50's train step takes 138 s for one TPU v5e; what takes this long is stuck."""

Options = Mapping[str, str | int | float | bool]


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """What a compiler ahead of time made of a program.

    Attributes:
        serialized: The optimised HloModuleProto.
        cost: The compiler's own cost analysis; None where it has none.
        compile_s: Seconds in the compiler, also where the result was kept from before.
        compiler_memory_bytes: The most memory that its process held.
    """

    serialized: bytes
    memory: MemoryUse
    cost: dict[str, float] | None
    compile_s: float
    compiler_memory_bytes: int


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file in the cache."""

    sha256: str
    compiled: bytes


def compile_ahead(
    code: bytes,
    target: Target,
    options: Options,
    *,
    chips: int = 1,
    label: str,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
) -> Compiled:
    """Compile for a TPU or GPU that is not here, or take what was compiled before.

    `code` is what `edgegraph.xla.stablehlo` returned, lowered for the target's platform; `label`
    names the program in messages. After a KeyboardInterrupt the compiler's process is gone.
    """
    require_compiler(target)
    if chips > target.chips:
        raise InputError(
            f"{label} is partitioned over {chips} chips, and {target.name!r} has {target.chips};"
            " name a larger topology, such as tpu:v5e:2x2 or gpu:h100:8"
        )
    request = {
        "code": code,
        "platform": target.platform,
        "topology": target.topology,
        "description": target.description,
        "chips": chips,
        "options": {**target.options, **options},
    }
    kept = _kept_file(request, target)
    known = _read(kept)
    if known is None:
        (progress or no_progress)(f"{label}: compiling for {target.name}", None)
        answer = _run_compiler(request, target, label=label, timeout_s=timeout_s)
        _keep(kept, answer)
        known = msgspec.msgpack.decode(answer, type=Compiled)
    return known


def _run_compiler(
    request: Mapping[str, Any], target: Target, *, label: str, timeout_s: float
) -> bytes:
    """Compile in a process of its own, as `xla.compile_for` is asked; return a `Compiled`."""
    # A compiler that is ended leaves its logs and what it handed to the assembler.
    with tempfile.TemporaryDirectory(prefix="edgegraph-", ignore_cleanup_errors=True) as folder:
        folders = {"TMPDIR": folder, "TPU_LOG_DIR": folder}
        try:
            return run_child(
                "edgegraph.compiler.ahead:serve",
                msgspec.msgpack.encode(request),
                timeout_s=timeout_s,
                environment={**target.environment, "JAX_PLATFORMS": "cpu", **folders},
            )
        except EdgeGraphError as error:
            what = f"{label} for {target.name}"
            raise refusal(str(error), request["options"], what) from error


def refusal(message: str, options: Options, what: str) -> EdgeGraphError:
    """Return the error for XLA's message: that of an option, if it names one that was set."""
    if any(name in message for name in options):
        return InputError(f"XLA does not take the compiler option: {message}")
    return CompileError(f"XLA does not compile {what}: {message}")


def serve(payload: bytes | mmap.mmap, report: Progress) -> bytes:
    """Do the work: the child's side."""
    start = time.perf_counter()
    serialized, memory, cost = xla.compile_for(**msgspec.msgpack.decode(bytes(payload)))
    compile_s = time.perf_counter() - start
    return msgspec.msgpack.encode(
        Compiled(
            serialized=serialized,
            memory=memory_use(memory),
            cost=None if cost is None else dict(cost),
            compile_s=compile_s,
            compiler_memory_bytes=peak_memory_bytes(),
        )
    )


def _kept_file(request: Mapping[str, Any], target: Target) -> Path:
    """Name the file by everything that the compiler's work depends on."""
    identity = msgspec.msgpack.encode(
        [
            request["code"],
            target.topology,
            target.description,
            request["chips"],
            sorted(request["options"].items()),
            sorted(compiler_versions(target).items()),
        ]
    )
    return cache_folder() / "compiled" / f"{hashlib.sha256(identity).hexdigest()}.msgpack"


def _read(path: Path) -> Compiled | None:
    """Return what a file of the cache holds; None where there is none, or it is damaged."""
    with suppress(OSError, msgspec.DecodeError):
        kept = msgspec.msgpack.decode(path.read_bytes(), type=_Kept)
        if hashlib.sha256(kept.compiled).hexdigest() == kept.sha256:
            return msgspec.msgpack.decode(kept.compiled, type=Compiled)
    return None


def _keep(path: Path, compiled: bytes) -> None:
    kept = _Kept(sha256=hashlib.sha256(compiled).hexdigest(), compiled=compiled)
    keep(path, msgspec.msgpack.encode(kept), "compiled programs are")
