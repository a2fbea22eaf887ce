"""Functions that others exported: StableHLO, and the files of `jax.export`."""

from __future__ import annotations

import mmap

import jax
from jax import export

from edgegraph import xla
from edgegraph.base.timing import Progress
from edgegraph.errors import FormatError, InputError, first_line
from edgegraph.hlo.read import tried
from edgegraph.workload import Workload
from edgegraph.workload.calls import Call
from edgegraph.workload.functions import plain

BYTECODE = b"ML\xefR"
"""How MLIR's bytecode begins."""


def stablehlo_workload(code: bytes) -> Workload:
    """Return a StableHLO module, as text or bytecode, as a Workload of fixed shapes."""
    if code.startswith(BYTECODE):  # on some that is damaged the reader ends its process
        tried(f"{__name__}:_try_stablehlo", code)
    return exported_workload(xla.exported_from_stablehlo(code))


def read_exported(data: bytes) -> Workload:
    """Return what `jax.export.Exported.serialize` wrote as a Workload."""
    try:
        found = export.deserialize(bytearray(data))
    except Exception as error:  # flatbuffers raises what it likes on damaged bytes
        raise FormatError(
            "this looks like a file of jax.export, but it is cut off, damaged or of another jax"
            f" ({first_line(error)[:60]}); copy all of it, or export it anew"
        ) from error
    tried(f"{__name__}:_try_export", data)
    return exported_workload(found)


def _try_stablehlo(code: bytes | mmap.mmap, report: Progress) -> bytes:
    xla.exported_from_stablehlo(bytes(code))
    return b""


def _try_export(data: bytes | mmap.mmap, report: Progress) -> bytes:
    export.deserialize(bytearray(data)).mlir_module()
    return b""


def exported_workload(exported: export.Exported, name: str | None = None) -> Workload:
    """Return an exported function as a Workload.

    Args:
        exported: For one device. A size that it leaves open is the batch.
        name: Name for tables and files; the function's own where None.

    Raises:
        InputError: It is for several devices, or leaves several sizes open.
    """
    name = name or exported.fun_name
    if exported.nr_devices > 1:
        raise InputError(
            f"{name} was exported for {exported.nr_devices} devices; export it for one, or give"
            " the HLO that it compiles to"
        )
    open_sizes = sorted({each for aval in exported.in_avals for each in xla.symbols(aval.shape)})
    if len(open_sizes) > 1:
        raise InputError(
            f"{name} was exported with the open sizes {', '.join(open_sizes)}; only one, the batch,"
            " can be chosen here, so export it with numbers for the others"
        )

    def call_at(batch: int) -> Call:
        structs = [
            jax.ShapeDtypeStruct(
                xla.evaluated(aval.shape, dict.fromkeys(open_sizes, batch)), aval.dtype
            )
            for aval in exported.in_avals
        ]
        args, kwargs = jax.tree.unflatten(exported.in_tree, structs)
        if not kwargs:
            return plain(exported.call, lambda: args, seed=0)
        return plain(
            lambda args, kwargs: exported.call(*args, **kwargs), lambda: (args, kwargs), seed=0
        )

    return Workload(name=name, call=call_at, batched=bool(open_sizes))
