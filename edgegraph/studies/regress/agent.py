"""What runs in the environment of a version: it lowers, compiles, times and traces programs there.

A script that stands alone. It needs Python and the jax of that environment, and EdgeGraph only
for a SPEC that makes a Workload. Requests come in by stdin and answers go out by what was stdout,
a JSON object a line each; what is large goes by files in a folder of the parent's. What a program
prints goes to stderr. The first request says how much memory this process may take.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import platform
import re
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

_BLOCK_S = 100e-6
_WARM_UP_S = 0.05
_PACKAGES = ("jax", "jaxlib", "libtpu", "flax", "optax", "numpy", "ml_dtypes", "edgegraph-jax")


Request = Mapping[str, Any]
Answer = dict[str, Any]


class Held:
    """A compiled program, and how it is called."""

    def __init__(self, lowered: Any, compiled: Any, arguments: Any, traced: Any) -> None:
        self.lowered, self.compiled, self.traced = lowered, compiled, traced
        self.arguments, self.calls = arguments, 1


programs: dict[str, Held] = {}


def start(request: Request) -> Answer:
    """Limit the memory, end with the parent, and import jax."""
    memory = request.get("memory_bytes")
    if memory and sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    sys.path[:0] = [each for each in request["first"] if each not in sys.path]
    sys.path += request["last"]
    import jax

    with suppress(AttributeError):  # of a version that has no such thing
        jax.config.update("jax_cpu_enable_async_dispatch", False)
    about = {"python": platform.python_version(), "config": _config(jax)}
    return {**about, "packages": _versions()}


def _versions() -> dict[str, str]:
    from importlib import metadata

    found = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _config(jax: Any) -> dict[str, str]:
    """Return the settings of jax that are plain values, as text."""
    try:
        values = dict(jax.config.values)
    except AttributeError:
        return {}
    plain = (bool, int, float, str, type(None))
    return {name: repr(value) for name, value in values.items() if isinstance(value, plain)}


def load(request: Request) -> Answer:
    """Lower and compile a program, and keep it by its name."""
    make = {"source": _source, "artifact": _artifact}[request["kind"]]
    held, about = make(request)
    programs[request["name"]] = held
    module = _module(held.compiled)
    Path(request["hlo"]).write_bytes(module)
    if request.get("text"):
        Path(request["text"]).write_text(held.compiled.as_text(), "utf-8")
    about["cost"] = _cost(held.compiled)
    about["memory"] = _memory(held.compiled)
    return about


def _source(request: Request) -> tuple[Held, Answer]:
    """The user's function, traced and lowered by this version."""
    if request["args"] is None:
        return _workload(request)
    import jax

    function = find(request["spec"])
    args, kwargs = bound(function, request["args"])
    jitted = function if hasattr(function, "lower") else jax.jit(function, keep_unused=True)
    return _compiled(jitted, args, kwargs, request, getattr(function, "__name__", "function"))


def _workload(request: Request) -> tuple[Held, Answer]:
    """What a SPEC of EdgeGraph's makes."""
    from edgegraph.measure.latency import program_arguments

    choices = {name: argument(told) for name, told in request["choices"].items()}
    found = find("edgegraph:open")(request["spec"], **choices)
    batched = getattr(found, "batched", False)
    with _profiled(request.get("profile")):
        program = find("edgegraph:compile")(
            found, batch=request["batch"] if batched else None, options=request["options"]
        )
    held = Held(
        program.lowered, program.executable, (program_arguments(program), {}), program.jaxpr
    )
    return held, {
        "title": program.name, "batched": batched, "compile_s": program.compile_s,
        "lower_s": program.lower_s, "lowered": _digest(program.lowered),
    }  # fmt: skip


def _artifact(request: Request) -> tuple[Held, Answer]:
    """A function that jax.export wrote; it is data, which this version reads."""
    import jax
    from jax import export

    exported = export.deserialize(bytearray(Path(request["path"]).read_bytes()))
    structs = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in exported.in_avals]
    args, kwargs = jax.tree_util.tree_unflatten(exported.in_tree, structs)
    jitted = jax.jit(exported.call, keep_unused=True)
    leaves = programs[request["like"]].arguments if request.get("like") in programs else None
    return _compiled(jitted, args, kwargs, request, exported.fun_name, leaves)


def _compiled(
    jitted: Any, args: Any, kwargs: Any, request: Request, title: str, values: Any = None
) -> tuple[Held, Answer]:
    import jax

    started = time.perf_counter()
    traced = jitted.trace(*args, **kwargs) if hasattr(jitted, "trace") else None
    lowered = jitted.lower(*args, **kwargs) if traced is None else traced.lower()
    lower_s = time.perf_counter() - started
    with _profiled(request.get("profile")):
        started = time.perf_counter()
        compiled = lowered.compile(compiler_options=request["options"] or None)
        compile_s = time.perf_counter() - started
    leaves, tree = jax.tree_util.tree_flatten((args, kwargs))
    given = None if values is None else jax.tree_util.tree_leaves(values)
    if given is None or [_kind(x) for x in given] != [_kind(x) for x in leaves]:
        given = _values(leaves)
    held = Held(
        lowered, compiled, jax.tree_util.tree_unflatten(tree, given),
        getattr(traced, "jaxpr", None),
    )  # fmt: skip
    return held, {
        "title": title, "batched": False, "compile_s": compile_s, "lower_s": lower_s,
        "lowered": _digest(lowered),
    }  # fmt: skip


def find(spec: str) -> Any:
    """Import what a name refers to, as EdgeGraph does."""
    module, _, path = spec.rpartition(":")
    if module.endswith(".py") or os.sep in module:
        file = Path(module).resolve()
        sys.path.insert(0, str(file.parent))
        about: Any = importlib.util.spec_from_file_location(file.stem, file)
        found: Any = importlib.util.module_from_spec(about)
        sys.modules[file.stem] = found
        about.loader.exec_module(found)
    else:
        found = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def bound(function: Any, given: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and keyword arguments."""
    import inspect

    made = {name: argument(value) for name, value in given.items()}
    positional = [made.pop(str(at)) for at in range(len(made)) if str(at) in made]
    bound = inspect.signature(function).bind(*positional, **made)
    return bound.args, bound.kwargs


def argument(told: Any) -> Any:
    """Return an argument: a value, or trees of arrays that are told by shape and dtype."""
    import jax

    kind, value = told
    if kind == "array":
        return jax.ShapeDtypeStruct(tuple(value[0]), jax.numpy.dtype(value[1]))
    if kind == "dict":
        return {name: argument(each) for name, each in value.items()}
    if kind == "list":
        return [argument(each) for each in value]
    return tuple(value) if isinstance(value, list) else value


def _kind(leaf: Any) -> tuple[Any, str]:
    return getattr(leaf, "shape", ()), str(getattr(leaf, "dtype", type(leaf)))


def _values(structs: Sequence[Any]) -> list[Any]:
    """Fill arguments with random values, the same in every version; indices are small."""
    import jax
    import numpy as np

    random = np.random.default_rng(0)
    made = []
    for each in structs:
        if not isinstance(each, jax.ShapeDtypeStruct):
            made.append(each)
            continue
        kind = jax.numpy.dtype(each.dtype)
        most = 2 if kind.kind == "b" else 64
        whole = kind.kind in "iub"
        value = random.integers(0, most, each.shape) if whole else random.random(each.shape)
        made.append(jax.device_put(np.asarray(value).astype(kind)))
    return made


def _digest(lowered: Any) -> str:
    return hashlib.sha256(lowered.as_text().encode()).hexdigest()


def _module(compiled: Any) -> bytes:
    executable = compiled.runtime_executable()
    (module,) = executable.hlo_modules()
    return bytes(module.as_serialized_hlo_module_proto())


def _cost(compiled: Any) -> dict[str, float]:
    found = compiled.cost_analysis() or {}
    found = found[0] if isinstance(found, list) else found
    kept = ("flops", "transcendentals", "bytes accessed")
    return {name: float(found[name]) for name in kept if name in found}


def _memory(compiled: Any) -> dict[str, int] | None:
    found = compiled.memory_analysis()
    if found is None:
        return None
    parts = {"code": "generated_code"}
    names = ("argument", "output", "temp", "alias", "code")
    return {f"{x}_bytes": getattr(found, f"{parts.get(x, x)}_size_in_bytes") for x in names}


def export_source(request: Request) -> Answer:
    """Write a program that was lowered from source as one artifact of jax.export."""
    import jax
    from jax import export

    held = programs[request["name"]]
    extend = importlib.import_module("jax.extend.core")
    function = jax.jit(extend.jaxpr_as_fun(held.traced), keep_unused=True)
    called = set(re.findall(r'custom_call_target="([^"]+)"', held.compiled.as_text()))
    called |= set(re.findall(r"stablehlo.custom_call @([\w.$]+)", held.lowered.as_text()))
    allowed = [export.DisabledSafetyCheck.custom_call(name) for name in sorted(called)]
    structs = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in held.traced.in_avals]
    made = export.export(function, disabled_checks=allowed)(*structs)
    Path(request["path"]).write_bytes(bytes(made.serialize()))
    return {}


def _call(held: Held) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """Return what calls a program once and waits; donated arguments are made anew before."""
    import jax

    args, kwargs = held.arguments
    infos = jax.tree_util.tree_leaves(held.compiled.args_info)
    donated = [getattr(info, "donated", False) for info in infos]
    run, wait = held.compiled, cast(Any, jax.block_until_ready)
    if not any(donated):
        return (lambda: None), (lambda _: wait(run(*args, **kwargs)))
    leaves, tree = jax.tree_util.tree_flatten(held.arguments)

    def fresh() -> Any:
        copies = [
            jax.numpy.copy(leaf) if gone else leaf
            for leaf, gone in zip(leaves, donated, strict=True)
        ]
        return wait(jax.tree_util.tree_unflatten(tree, copies))

    return fresh, (lambda made: wait(run(*made[0], **made[1])))


def _one(before: Callable[[], Any], call: Callable[[Any], Any], calls: int) -> float:
    made = before()
    started = time.perf_counter()
    for _ in range(calls):
        result = call(made)
    taken = (time.perf_counter() - started) / calls
    del result
    return taken


def warm_up(request: Request) -> Answer:
    """Call a program until it is warm; choose how many calls make a sample."""
    held = programs[request["name"]]
    before, call = _call(held)
    _one(before, call, 1)
    taken: list[float] = []
    end = time.perf_counter() + _WARM_UP_S
    while len(taken) < 3 or (time.perf_counter() < end and len(taken) < 1000):
        taken.append(_one(before, call, 1))
    typical = statistics.median(taken)
    held.calls = max(1, round(_BLOCK_S / max(typical, 1e-9))) if before() is None else 1
    return {"typical_s": typical}


def sample(request: Request) -> Answer:
    """Take some samples, after calls for a while that count for nothing."""
    held = programs[request["name"]]
    before, call = _call(held)
    end = time.perf_counter() + request["rewarm_s"]
    _one(before, call, 1)
    while time.perf_counter() < end:
        _one(before, call, held.calls)
    return {"samples_s": [_one(before, call, held.calls) for _ in range(request["samples"])]}


@contextmanager
def _profiled(folder: str | None) -> Iterator[None]:
    """Have the profiler write into a folder what the block does; None for no profile."""
    if folder is None:
        yield
        return
    profiler: Any = importlib.import_module("jax.profiler")
    options = {}
    if hasattr(profiler, "ProfileOptions"):
        chosen = options["profiler_options"] = profiler.ProfileOptions()
        chosen.python_tracer_level, chosen.host_tracer_level = 0, 2
    profiler.start_trace(folder, **options)
    try:
        yield
    finally:
        profiler.stop_trace()


def trace(request: Request) -> Answer:
    """Call a program under the profiler."""
    before, call = _call(programs[request["name"]])
    profiler: Any = importlib.import_module("jax.profiler")
    _one(before, call, 1)
    with _profiled(request["folder"]):
        for step in range(request["calls"]):
            made = before()
            with profiler.StepTraceAnnotation(request["step"], step_num=step):
                call(made)
    return {}


def inside(request: Request) -> Answer:
    """Have a function of EdgeGraph's work on what was traced from source."""
    module = importlib.import_module(f"edgegraph.studies.regress.{request['module']}")
    traced = programs[request["name"]].traced if request["name"] else None
    return {"found": getattr(module, request["function"])(traced, *request["given"])}


WORK: Mapping[str, Callable[[Request], Answer]] = {
    "start": start, "load": load, "export": export_source, "warm_up": warm_up, "sample": sample,
    "trace": trace, "inside": inside,
}  # fmt: skip


def main() -> None:
    """Answer requests until there are none."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            request = json.loads(line)
            try:
                answer = WORK[request["do"]](request)
            except (Exception, SystemExit) as error:
                said = [each.strip() for each in str(error).splitlines() if each.strip()]
                answer = {"error": f"{type(error).__name__}: {said[0] if said else 'no message'}"}
            answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
