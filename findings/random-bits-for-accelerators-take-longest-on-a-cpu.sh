#!/usr/bin/env bash
# JAX's keys of the kinds `rbg` and `unsafe_rbg` are there to be quicker than the default
# (`threefry2x32`). On a CPU they take several times as long. A program that sets
# `jax_default_prng_impl` for the TPU it trains on is slower wherever it is tried, tested or served
# on a CPU, in its dropout and its initialisation.
#
# Seen with jax and jaxlib 0.10.2, Python 3.11, Linux x86-64, AMD EPYC, 2026-11-29
# (other runs, 0.12.0 too: 3 to 11 times):
#   jax 0.10.2: 1,048,576 uniform numbers: rbg 3.5 and unsafe_rbg 4.2 times as long as threefry2x32
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'jax==0.10.2' 'jaxlib==0.10.2' || exit 2
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import sys
import time

import jax

draw = jax.jit(lambda key: jax.random.uniform(key, (1024, 1024)))
kinds = ("threefry2x32", "rbg", "unsafe_rbg")
keys = {kind: jax.random.key(0, impl=kind) for kind in kinds}
quickest = dict.fromkeys(kinds, float("inf"))
for _ in range(15):
    for kind in kinds:
        start = time.perf_counter()
        draw(keys[kind]).block_until_ready()
        quickest[kind] = min(quickest[kind], time.perf_counter() - start)
slower = [quickest[kind] / quickest["threefry2x32"] for kind in kinds[1:]]
print(
    f"jax {jax.__version__}: 1,048,576 uniform numbers: rbg {slower[0]:.1f} and unsafe_rbg"
    f" {slower[1]:.1f} times as long as threefry2x32"
)
sys.exit(not min(slower) > 1.5)
PYTHON
