#!/usr/bin/env bash
# On a CPU, XLA hands convolutions and what follows them to a library as one fusion by default. In
# the last blocks of a ResNet, where images are small and channels many, the same program takes 1.4
# times as long as without such fusions (compiler option `xla_cpu_experimental_ynn_fusion_type=""`).
# A ResNet-50 that became slower with a newer jax may be given its time back by that option.
#
# Seen with jax and jaxlib 0.10.2, Python 3.11, Linux x86-64, 2026-11-30 (AMD EPYC, two cores):
#   jax 0.10.2, three bottleneck blocks of 7 x 7 x 2048, 18 lines with library fusions:
#   by default                  19.5 ms
#   without library fusions     13.6 ms
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'jax==0.10.2' 'jaxlib==0.10.2' || exit 2
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import statistics
import sys
import time

import jax
from jax import lax

SIDE, WIDTH, INNER, CALLS = 7, 2048, 512, 40


def convolve(x, w):
    return lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def blocks(x, weights):
    for narrow, middle, wide in weights:
        y = jax.nn.relu(convolve(x, narrow))
        y = jax.nn.relu(convolve(y, middle))
        x = jax.nn.relu(convolve(y, wide) + x)
    return x


def drawn(*shape):
    return jax.random.normal(jax.random.key(0), shape) * 0.01


weights = [(drawn(1, 1, WIDTH, INNER), drawn(3, 3, INNER, INNER), drawn(1, 1, INNER, WIDTH))] * 3
x = drawn(1, SIDE, SIDE, WIDTH)
lowered = jax.jit(blocks).lower(x, weights)
programs = {
    "by default": lowered.compile(),
    "without library fusions": lowered.compile({"xla_cpu_experimental_ynn_fusion_type": ""}),
}
times = {name: [] for name in programs}
for _ in range(CALLS):
    for name, program in programs.items():
        begun = time.perf_counter()
        jax.block_until_ready(program(x, weights))
        times[name].append(time.perf_counter() - begun)
found = {name: statistics.median(each) for name, each in times.items()}
fused = sum("ynn" in line for line in programs["by default"].as_text().splitlines())
print(
    f"jax {jax.__version__}, three bottleneck blocks of {SIDE} x {SIDE} x {WIDTH}, {fused} lines"
    " with library fusions:"
)
for name, seconds in found.items():
    print(f"{name:24} {seconds * 1e3:7.1f} ms")
sys.exit(not (fused and found["by default"] > 1.1 * found["without library fusions"]))
PYTHON
