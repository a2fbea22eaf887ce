#!/usr/bin/env bash
# IREE 3.13 compiles a sort of StableHLO, as JAX writes `jnp.sort`, for a CPU to loops whose time
# grows by the square of a row's length and more. Rows of 2,048 take some 30 to 140 times as long
# as in XLA.
#
# Seen with jax 0.10.2, iree-base-compiler and iree-base-runtime 3.13.0, Python 3.11, Linux
# x86-64, 2026-11-30:
#   8 rows of 256: IREE 2.89 ms, XLA 5.34 ms
#   8 rows of 2048: IREE 783.77 ms, XLA 6.27 ms
#   8 times the length: IREE 272 times the time
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'jax==0.10.2' 'jaxlib==0.10.2' 'iree-base-compiler==3.13.0' 'iree-base-runtime==3.13.0' || exit \
  2
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import sys
import time

import iree.compiler.tools
import iree.runtime
import jax
import jax.numpy as jnp
import numpy


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def times(length):
    x = numpy.random.RandomState(0).rand(8, length).astype("float32")
    sort = jax.jit(jnp.sort)
    compiled = iree.compiler.tools.compile_str(
        sort.lower(x).as_text(), target_backends=["llvm-cpu"], input_type="stablehlo",
        extra_args=["--iree-llvmcpu-target-cpu=host"],
    )
    config = iree.runtime.Config("local-sync")
    context = iree.runtime.SystemContext(config=config)
    context.add_vm_module(iree.runtime.VmModule.copy_buffer(context.instance, compiled))
    main = context.modules["jit_sort"]["main"]
    given = iree.runtime.asdevicearray(config.device, x)
    assert (main(given).to_host() == numpy.sort(x)).all()
    sort(x).block_until_ready()
    rounds = [
        (seconds(lambda: main(given).to_host()), seconds(lambda: sort(x).block_until_ready()))
        for _ in range(10)
    ]
    return tuple(map(min, zip(*rounds, strict=True)))


found = {length: times(length) for length in (256, 2048)}
for length, (iree_s, xla_s) in found.items():
    print(f"8 rows of {length}: IREE {iree_s * 1e3:.2f} ms, XLA {xla_s * 1e3:.2f} ms")
growth = found[2048][0] / found[256][0]
print(f"8 times the length: IREE {growth:.0f} times the time")
sys.exit(not (growth > 25 and found[2048][0] > 5 * found[2048][1]))
PYTHON
