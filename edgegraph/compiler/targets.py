"""What a program can be compiled for: this host, and devices that need not be here.

``cpu`` is this host. ``tpu:v5e`` or ``tpu:v5e:2x2`` names a TPU and how many chips stand how;
``gpu:h100`` or ``gpu:h100:8`` a GPU and how many of them. ``device:rpi5``, or ``rpi5``, is a device
of the catalogue for which XLA has no compiler here, ``device:board.json`` one that was calibrated
itself: the program's kernels are then those of a model of fusion (`edgegraph.hlo.fuse`).
"""

from __future__ import annotations

import difflib
import importlib.metadata
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgegraph.device.catalogue import Entry, catalogue, find_device, find_entry, is_file
from edgegraph.errors import InputError

_GPUS = Path(__file__).with_name("gpu_targets.toml")

_TPUS = {
    "v4": ("v4", "2x2x1"),
    "v5e": ("v5e", "1x1"),
    "v5p": ("v5p", "1x1x1"),
    "v6e": ("v6e", "1x1"),
    "v7x": ("tpu7x", "1x1x1"),
}
"""By our name, the compiler's name of the generation and the smallest topology that it knows."""

_SLICES = {
    2: ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"),
    3: ("1x1x1", "2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8"),
}
"""Shapes that TPUs are handed out in, by the number of their dimensions (Google Cloud's lists of
topologies of v5e and v5p)."""

_TPU_ENVIRONMENT = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}
"""Keeps the TPU's library from asking the network what machine this is, and lets several
processes load it. The accelerator type named has no effect on other topologies."""

_EXTRAS = {
    "tpu": ("tpu", ("libtpu",)),
    "gpu": ("gpu", ("jax-cuda12-plugin", "jax-cuda12-pjrt", "nvidia-cuda-nvcc-cu12")),
}
"""By kind, the extra to install and the packages that it must bring. A CUDA toolkit of the
machine's own would be found as well, but not everywhere and not in the same version."""

_KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What to compile for.

    Attributes:
        name: As the user writes it, with all its parts: ``tpu:v5e:2x2``.
        kind: ``cpu``, ``device``, ``tpu`` or ``gpu``.
        platform: XLA's: ``cpu``, ``tpu`` or ``cuda``.
        chips: How many there are; a program without sharding uses one.
        topology: How they stand, as the compiler wants it; empty on this host.
        description: What the GPU's compiler must know of it (a GpuTargetConfigProto in text
            form); empty elsewhere.
        device: Key of the device in the catalogue; None on this host.
        options: Compiler options that are always set.
        environment: Environment variables of the compiler's process.
    """

    name: str
    kind: str
    platform: str
    chips: int = 1
    topology: str = ""
    description: str = ""
    device: str | None = None
    options: Mapping[str, str | int | float | bool]
    environment: Mapping[str, str]

    @property
    def ahead(self) -> bool:
        """Whether it is compiled for ahead of time: the result cannot run here."""
        return self.kind in ("tpu", "gpu")


HOST = Target(name="cpu", kind="cpu", platform="cpu", options={}, environment={})


def parse_target(text: str) -> Target:
    """Read the name of a target: ``cpu``, ``tpu:v5e:2x2``, ``gpu:h100:8``, ``device:rpi5``, ..."""
    kind, _, rest = text.partition(":")
    model, _, shape = rest.partition(":")
    if text == "cpu":
        return HOST
    if kind == "device" and rest:
        return _device(text, rest)
    if kind == "tpu" and model in _TPUS:
        return _tpu(text, model, shape)
    if kind == "gpu" and model in _gpus():
        return _gpu(text, model, shape)
    known = {name for entry in catalogue() for name in entry.names}
    if text in known or is_file(text):
        return _device(f"device:{text}", text)
    close = difflib.get_close_matches(text.lower(), [*targets(), *known], n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}? The targets" if close else "the targets"
    raise InputError(
        f"target {text!r} is unknown; {hint} are {', '.join(targets())}, with chips such as"
        " tpu:v5e:2x2 and gpu:h100:8, and the names that `edgegraph devices` lists"
    )


def _device(text: str, name: str) -> Target:
    """Return a device of the catalogue, or one whose own calibration is in a file."""
    key = name if is_file(name) else find_entry(name).key
    find_device(key)
    return Target(name=text, kind="device", platform="cpu", device=key, options={}, environment={})


def with_chips(target: Target, chips: int) -> Target:
    """Return a TPU or GPU with chips enough: the smallest slice of a TPU that has so many."""
    if chips <= target.chips:
        return target
    kind, model, *_ = target.name.split(":")
    if kind == "gpu":
        return parse_target(f"gpu:{model}:{chips}")
    slices = _SLICES[_TPUS[model][1].count("x") + 1]
    name = next((s for s in slices if math.prod(map(int, s.split("x"))) >= chips), None)
    if name is None:
        raise InputError(
            f"{chips} chips are more than the largest slice of a TPU {model} that is tried,"
            f" {slices[-1]}"
        )
    return parse_target(f"tpu:{model}:{name}")


_TPU_KINDS = {
    "TPU v3": "v3", "TPU v4": "v4", "TPU v5 lite": "v5e", "TPU v5e": "v5e", "TPU v5": "v5p",
    "TPU v5p": "v5p", "TPU v6 lite": "v6e", "TPU v6e": "v6e", "TPU7x": "v7x", "TPU v7x": "v7x",
}  # fmt: skip
"""What TPUs call themselves in JAX (``jax/_src/tpu_info.py``) and in profiles, and our name."""

_SAME_BANDWIDTH = 0.15
"""How far what a driver says may be from what is published: clocks of memory vary."""


_AMD_GPUS: Mapping[tuple[str, object], str] = {("9.4", 304): "mi300x"}
"""Key by the architecture (gfx942 is 9.4) and the compute units that a profile says."""

_SAME_SIZE = 0.1
"""How far the driver's size of a memory may be from the published one: GB and GiB are 7 % apart."""


def recognise_device(statistics: Mapping[str, str | int]) -> str | None:
    """Return the key in the catalogue of the device that a profile describes.

    Args:
        statistics: Of its plane: ``device_type_string``; ``compute_cap_major``,
            ``compute_cap_minor``, ``core_count`` and ``memory_bandwidth`` in bytes/s; of a GPU of
            AMD ``device_vendor``, and ``memory_size`` in bytes in place of the bandwidth.

    Returns:
        None where it is not in the catalogue, or too little is told.

    Example:
        >>> recognise_device({"device_type_string": "TPU v5 lite"})
        'tpu-v5e'
    """
    kind = str(statistics.get("device_type_string", "")).lower()
    for name, model in _TPU_KINDS.items():
        if kind == name.lower():
            return find_entry(f"tpu:{model}").key
    major, minor = (statistics.get(f"compute_cap_{part}") for part in ("major", "minor"))
    capability, units = f"{major}.{minor}", statistics.get("core_count")
    if statistics.get("device_vendor") == "AMD":
        return _amd_gpu(_AMD_GPUS.get((capability, units)), statistics.get("memory_size"))
    bandwidth = statistics.get("memory_bandwidth")
    best: tuple[float, str] | None = None
    for figures in _gpus().values():
        if (
            figures["compute_capability"] != capability
            or figures["multiprocessors"] != units
            or not isinstance(bandwidth, int)
        ):
            continue
        entry = find_entry(figures["device"])
        assert entry.memory[-1].bandwidth is not None  # the catalogue's reader sees to it
        apart = abs(bandwidth / entry.memory[-1].bandwidth.value - 1)
        if apart <= _SAME_BANDWIDTH and (best is None or apart < best[0]):
            best = apart, entry.key
    return None if best is None else best[1]


def _amd_gpu(key: str | None, memory_bytes: object) -> str | None:
    """Return the key of a GPU of AMD, if its memory has the size that it says."""
    capacity = None if key is None else find_entry(key).capacity_bytes
    if capacity is None or not isinstance(memory_bytes, int):
        return None
    return key if abs(memory_bytes / capacity - 1) <= _SAME_SIZE else None


def targets() -> tuple[str, ...]:
    """Name every target with a compiler of its own."""
    return ("cpu", *(f"tpu:{name}" for name in _TPUS), *(f"gpu:{name}" for name in _gpus()))


def missing_packages(target: Target) -> tuple[str, ...]:
    """Name the packages that compiling for a target needs and that are not installed."""
    _, packages = _EXTRAS.get(target.kind, ("", ()))
    return tuple(name for name in packages if _version(name) is None)


def require_compiler(target: Target) -> None:
    """Refuse a target whose compiler is not installed; the message names the extra."""
    missing = missing_packages(target)
    if missing:
        extra, _ = _EXTRAS[target.kind]
        raise InputError(
            f"compiling for {target.name!r} needs {' and '.join(missing)}, which this Python does"
            f" not have; run pip install '.[{extra}]' in the folder of EdgeGraph's source"
        )


def compiler_versions(target: Target) -> dict[str, str]:
    """Return the versions of everything that has a say in what the compiler makes."""
    _, packages = _EXTRAS.get(target.kind, ("", ()))
    found = {name: _version(name) for name in ("jax", "jaxlib", *packages)}
    return {name: version for name, version in found.items() if version is not None}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _tpu(text: str, model: str, shape: str) -> Target:
    generation, smallest = _TPUS[model]
    shape = shape or smallest
    rank = smallest.count("x") + 1
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape) or shape.count("x") + 1 != rank:
        raise InputError(
            f"target {text!r}: {shape!r} is not a topology of a TPU {model}; expected {rank} sizes,"
            f" such as tpu:{model}:{smallest.replace('1', '2', rank - 1)}"
        )
    return Target(
        name=text,
        kind="tpu",
        platform="tpu",
        chips=math.prod(map(int, shape.split("x"))),
        topology=f"{generation}:{shape}",
        device=find_entry(f"tpu:{model}").key,
        options={},
        environment=_TPU_ENVIRONMENT,
    )


def _gpu(text: str, model: str, count: str) -> Target:
    if count and not re.fullmatch(r"[1-9]\d*", count):
        raise InputError(f"target {text!r}: {count!r} is not a number of GPUs; write gpu:{model}:8")
    figures = _gpus()[model]
    entry = find_entry(figures["device"])
    return Target(
        name=text,
        kind="gpu",
        platform="cuda",
        chips=int(count or 1),
        topology=f"1x1x{count or 1}",
        description=_describe(entry, figures),
        device=entry.key,
        options={"xla_gpu_collect_cost_model_stats": True} if figures.get("cost_model") else {},
        environment={},
    )


@cache
def _gpus() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(_GPUS.read_text("utf-8"))


def _describe(entry: Entry, figures: Mapping[str, Any]) -> str:
    """Write a GpuTargetConfigProto in text form.

    The limits of grids and blocks and the registers are the same for all compute capabilities
    from 7.0 on (CUDA C++ Programming Guide, "Technical Specifications per Compute Capability").
    """
    main = entry.memory[-1]
    caches = [level.size for level in entry.memory[:-1] if level.name == "L2" and level.size]
    assert main.bandwidth is not None  # the catalogue's reader sees to it
    major, _, minor = str(figures["compute_capability"]).partition(".")
    device_info = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "shared_memory_per_block": 48 * _KIB,
        "shared_memory_per_core": figures["shared_memory_kib"] * _KIB,
        "shared_memory_per_block_optin": figures["block_shared_memory_kib"] * _KIB,
        "threads_per_core_limit": figures["threads"],
        "core_count": figures["multiprocessors"],
        "fpus_per_core": figures["lanes"],
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 2**16 - 1,
        "block_dim_limit_z": 2**16 - 1,
        "thread_dim_limit_x": 1024,
        "thread_dim_limit_y": 1024,
        "thread_dim_limit_z": 64,
        "registers_per_core_limit": 2**16,
        "registers_per_block_limit": 2**16,
        "clock_rate_ghz": figures["clock_ghz"],
        "memory_bandwidth": int(main.bandwidth.value),
        "device_memory_size": int(main.size.value) if main.size else 0,
        "l2_cache_size": int(caches[0].value) if caches else 0,
    }
    lines = "\n".join(f"  {name}: {value}" for name, value in device_info.items())
    return (
        f"gpu_device_info {{\n{lines}\n"
        f"  cuda_compute_capability {{ major: {major} minor: {minor} }}\n"
        f'  name: "{entry.name}"\n'
        '  driver_version: "13.0.0" runtime_version: "12.8.0"\n'
        '  compile_time_toolkit_version: "12.8.0" dnn_version: "9.10.0"\n}\n'
        'platform_name: "CUDA"\ndnn_version_info { major: 9 minor: 10 }\n'
        "runtime_version { major: 12 minor: 8 }\n"
        f'device_description_str: "{entry.name}"\n'
    )
