#!/usr/bin/env bash
# Decoding with `scan` over layers, 8 sequences, width 4096: where the weights of queries, keys and
# values are one matrix for each layer, (4096, 12288), the TPU's compiler wants them transposed, and
# copies all 100 MB of them in every layer of every step before it multiplies. Kept transposed,
# (12288, 4096), they are not copied; nor are they for one sequence, with no product of matrices.
#
# Seen with jax and jaxlib 0.10.2, libtpu 0.0.52, Python 3.11, Linux x86-64, 2026-11-30, compiled for
# a v5e ahead of time without a TPU:
#   jax 0.10.2, 8 sequences, heads of 64, weights as they are: 101 MB copied
#   jax 0.10.2, 8 sequences, heads of 128, weights as they are: 101 MB copied
#   jax 0.10.2, 8 sequences, heads of 64, weights transposed: 0 MB copied
#   jax 0.10.2, 1 sequences, heads of 64, weights as they are: 0 MB copied
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import re
import sys

import jax
import jax.numpy as jnp
from jax.experimental import topologies

described = topologies.get_topology_desc(platform="tpu", topology_name="v5e:1x1")
on_it = jax.sharding.SingleDeviceSharding(described.devices[0])
LAYERS, WIDTH, CACHED = 4, 4096, 512


def decode(heads, transposed):
    """Return one step of a stack of attention layers, and the shapes of its arguments."""
    per_head = WIDTH // heads

    def layer(x, weights):
        qkv, out, keys, values = weights
        projected = (x @ (qkv.T if transposed else qkv)).reshape(len(x), 3, heads, per_head)
        query, key, value = projected[:, 0], projected[:, 1], projected[:, 2]
        keys = jax.lax.dynamic_update_slice(keys, key[:, None], (0, 5, 0, 0))
        values = jax.lax.dynamic_update_slice(values, value[:, None], (0, 5, 0, 0))
        seen = jax.nn.softmax(jnp.einsum("bnd,btnd->bnt", query, keys) / per_head**0.5)
        found = jnp.einsum("bnt,btnd->bnd", seen, values)
        return x + found.reshape(len(x), WIDTH) @ out, (keys, values)

    def step(x, qkv, out, keys, values):
        return jax.lax.scan(layer, x, (qkv, out, keys, values))

    return step, per_head


def copied_mb(batch, heads, transposed):
    """Return the megabytes of the weights that one layer of one step lays out anew."""
    step, per_head = decode(heads, transposed)
    qkv = (LAYERS, 3 * WIDTH, WIDTH) if transposed else (LAYERS, WIDTH, 3 * WIDTH)
    cache = (LAYERS, batch, CACHED, heads, per_head)
    shapes = (batch, WIDTH), qkv, (LAYERS, WIDTH, WIDTH), cache, cache
    arrays = [jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=on_it) for shape in shapes]
    text = jax.jit(step, donate_argnums=(3, 4)).lower(*arrays).compile().as_text()
    copies = re.findall(r"= bf16\[(?:1,)?(\d+),(\d+)\]\S* copy\(", text)
    sizes = [int(rows) * int(columns) for rows, columns in copies]
    return max((2 * size / 1e6 for size in sizes if size == 3 * WIDTH**2), default=0)


found = {}
for batch, heads, transposed in ((8, 64, False), (8, 32, False), (8, 64, True), (1, 64, False)):
    found[batch, heads, transposed] = copied = copied_mb(batch, heads, transposed)
    print(
        f"jax {jax.__version__}, {batch} sequences, heads of {WIDTH // heads},",
        f"weights {'transposed' if transposed else 'as they are'}: {copied:.0f} MB copied",
    )
sys.exit([value > 0 for value in found.values()] != [True, True, False, False])
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" 'libtpu==0.0.52' || exit 2
  TPU_SKIP_MDS_QUERY=1 TPU_ACCELERATOR_TYPE=v5litepod-4 TPU_WORKER_HOSTNAMES=localhost \
    TMPDIR="$folder" TF_CPP_MIN_LOG_LEVEL=3 JAX_PLATFORMS=cpu "$folder/$2/bin/python" seen.py
}
try "${PYTHON:-python3.11}" 0.10.2
