#!/usr/bin/env bash
# IREE names what it runs `main_dispatch_N` and by the kind of op and its sizes, and keeps one
# kernel for all layers that do the same: a trace by name adds the blocks of a network up, and
# says the layer of none. The names that JAX gave (`jit(...)/block0/...`) are kept beside them as
# locations, where the compiler is asked with `--mlir-print-debuginfo`, one at each place where a
# kernel is launched.
#
# Seen with jax 0.10.2, iree-base-compiler 3.13.0, Python 3.11, Linux x86-64, 2026-11-30:
#   4 blocks: 4 launches of 1 kernel: main_dispatch_0_matmul_32x128x128_f32
#   names of JAX in the names of kernels: False; in locations: 4 of 4
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'jax==0.10.2' 'jaxlib==0.10.2' 'iree-base-compiler==3.13.0' || exit 2
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import re
import sys

import iree.compiler.tools
import jax
import jax.numpy as jnp


def network(x, weights):
    for number, w in enumerate(weights):
        with jax.named_scope(f"block{number}"):
            x = jnp.tanh(x @ w)
    return x


blocks = 4
weights = [jnp.full((128, 128), 0.01 * (number + 1)) for number in range(blocks)]
lowered = jax.jit(network).lower(jnp.ones((32, 128)), weights)
text = iree.compiler.tools.compile_str(
    lowered.as_text(debug_info=True), target_backends=["llvm-cpu"], input_type="stablehlo",
    extra_args=["--compile-to=flow", "--mlir-print-debuginfo", "--iree-llvmcpu-target-cpu=host"],
).decode()
launches = re.findall(r"flow\.dispatch @(\w+)::@(\w+).*", text)
kernels = {name for _, name in launches}
print(f"{blocks} blocks: {len(launches)} launches of {len(kernels)} kernel: {', '.join(sorted(kernels))}")
named = [number for number in range(blocks) if f"/block{number}/" in text]
in_kernels = any("block" in name for name in kernels)
print(f"names of JAX in the names of kernels: {in_kernels}; in locations: {len(named)} of {blocks}")
sys.exit(not (len(launches) == blocks and len(kernels) == 1 and not in_kernels and len(named) == blocks))
PYTHON
