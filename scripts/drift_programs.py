"""Compile a fixed set of small programs with the jax at hand, and print what became of each.

Run by `scripts/drift.py` in other environments: it needs jax alone, and nothing of EdgeGraph.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Program = tuple[Callable[..., Any], tuple[Any, ...]]

_INSTRUCTION = re.compile(r"= \S+(?:\([^=]*\))? ([a-z][a-z0-9-]*)\(")
_TARGET = re.compile(r'custom_call_target="([^"]+)"')
_KIND = re.compile(r"\bkind=k(\w+)")
_OP_NAME = re.compile(r'op_name="([^"]+)"')


def struct(*shape: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def convolve(x: Any, w: Any, groups: int = 1) -> Any:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=layout, feature_group_count=groups
    )


def pool(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def attention(q: Any, k: Any, v: Any) -> Any:
    weights = jax.nn.softmax(jnp.einsum("hqd,hkd->hqk", q, k), axis=-1)
    return jnp.einsum("hqk,hkd->hqd", weights, v)


def scanned(x: Any, w: Any) -> Any:
    with jax.named_scope("layers"):
        return lax.scan(lambda h, each: (jnp.tanh(h @ each), None), x, w)[0]


def step(w: Any, x: Any) -> Any:
    return w - 0.1 * jax.grad(lambda w: jnp.sum(jax.checkpoint(jnp.tanh)(x @ w) ** 2))(w)


ROWS = struct(64, 256)
IMAGE = struct(2, 16, 16, 32)
HEADS = struct(4, 32, 16)

PROGRAMS: dict[str, Program] = {
    "dense, relu": (lambda x, w: jax.nn.relu(x @ w), (ROWS, struct(256, 256))),
    "product, bf16": (
        lambda x, w: x @ w,
        (struct(64, 256, dtype=jnp.bfloat16), struct(256, 256, dtype=jnp.bfloat16)),
    ),
    "product, int8": (
        lambda x, w: lax.dot(x, w, preferred_element_type=jnp.int32),
        (struct(64, 256, dtype=jnp.int8), struct(256, 256, dtype=jnp.int8)),
    ),
    "convolution": (convolve, (IMAGE, struct(3, 3, 32, 32))),
    "depthwise convolution": (lambda x, w: convolve(x, w, 32), (IMAGE, struct(3, 3, 1, 32))),
    "max-pooling, gradient": (jax.grad(lambda x: jnp.sum(pool(x) ** 2)), (IMAGE,)),
    "softmax": (lambda x: jax.nn.softmax(x, axis=-1), (ROWS,)),
    "layer norm": (lambda x: jax.nn.standardize(x, axis=-1), (ROWS,)),
    "attention": (attention, (HEADS, HEADS, HEADS)),
    "gelu": (jax.nn.gelu, (ROWS,)),
    "scan of 8 products": (scanned, (struct(8, 64), struct(8, 64, 64))),
    "while, length from data": (
        lambda x: lax.while_loop(lambda s: jnp.sum(s) < 1e3, lambda s: s * 1.5, x),
        (struct(64),),
    ),
    "train step, remat": (step, (struct(256, 64), ROWS)),
    "sort": (lambda x: jnp.sort(x, axis=-1), (ROWS,)),
    "top_k": (lambda x: lax.top_k(x, 8), (ROWS,)),
    "cumulative sum": (lambda x: jnp.cumsum(x, axis=-1), (ROWS,)),
    "embedding, gradient": (
        jax.grad(lambda t, i: jnp.sum(t[i] ** 2)), (struct(1000, 32), struct(64, dtype=jnp.int32)),
    ),
    "rfft": (jnp.fft.rfft, (ROWS,)),
    "cholesky": (jnp.linalg.cholesky, (struct(32, 32),)),
    "normal numbers": (lambda key: jax.random.normal(key, (1024,)), (struct(2, dtype=jnp.uint32),)),
}  # fmt: skip


def of_program(function: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Compile a program, and return what is known of it, by name."""
    compiled = jax.jit(function).lower(*arguments).compile()
    text = compiled.as_text() or ""
    costs = compiled.cost_analysis()
    costs = costs[0] if isinstance(costs, list) else costs
    memory = compiled.memory_analysis()
    if costs is None or memory is None:
        raise ValueError("this version does not tell the costs of what it compiled")
    return {
        "ops": counted(_INSTRUCTION, text),
        "fusions": counted(_KIND, text),
        "library calls": counted(_TARGET, text),
        "names": sorted(set(_OP_NAME.findall(text))),
        "FLOP": costs.get("flops"),
        "transcendentals": costs.get("transcendentals"),
        "bytes": costs.get("bytes accessed"),
        "temporary bytes": memory.temp_size_in_bytes,
        "arguments bytes": memory.argument_size_in_bytes,
        "code bytes": bool(memory.generated_code_size_in_bytes),
    }


def counted(pattern: re.Pattern[str], text: str) -> dict[str, int]:
    return dict(sorted(Counter(pattern.findall(text)).items()))


def of_trace() -> dict[str, Any]:
    """Trace a product and a scan, and return which planes, lines and ops the profile has."""
    program = jax.jit(lambda x, w: scanned(x @ w[0], w))
    arguments = jnp.ones((8, 64)), jnp.ones((8, 64, 64))
    jax.block_until_ready(program(*arguments))
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(program(*arguments))
        (path,) = Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(path))
        planes = {plane.name: [line.name for line in plane.lines] for plane in profile.planes}
        events = {
            event.name: sorted(name for name, _ in event.stats)
            for plane in profile.planes
            for line in plane.lines
            for event in line.events
            if "hlo_op" in dict(event.stats)
        }
    lines = sorted({re.sub(r"[\d/-]+", "N", line) for each in planes.values() for line in each})
    return {"planes": sorted(planes), "lines": lines, "traced ops": events}


def main() -> None:
    found: dict[str, Any] = {}
    for name, program in PROGRAMS.items():
        try:
            found[name] = of_program(*program)
        except Exception as error:  # what a version cannot do is what it does
            found[name] = {"error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    found["a trace of a product and a scan"] = of_trace()
    json.dump({"jax": jax.__version__, "programs": found}, sys.stdout)


if __name__ == "__main__":
    main()
