#!/usr/bin/env bash
# JAX brings a roofline of its own, `jax.experimental.roofline.roofline`. It returns the work of a
# function as `flops` (where it is fused) and `unfused_flops`, and bytes and peak memory beside
# them, without a word on what it left out. `flops` is of matrix products alone: of a convolution it
# is 0, and only `unfused_flops` knows it. A `scan` or `fori_loop` of ten products counts as one. A
# `while_loop` and a `cond` count as nothing in both, with what is in them, and so do `tanh`, `max`,
# pooling, sorts and Fourier transforms, in bytes, too. The peak of memory leaves the result out.
#
# Seen with jax and jaxlib 0.10.2 (Python 3.11) and 0.12.0 (3.13), Linux x86-64, 2026-11-30, the
# same with both:
#   product: flops 4,194,304, unfused 4,194,304, bytes 229,376, peak 163,840
#   convolution: flops 0, unfused 4,333,568, bytes 102,400, peak 69,632
#   scan of 10 products: flops 524,288, unfused 524,288, bytes 49,152, peak 180,224
#   while: flops 0, unfused 0, bytes 0, peak 16,384
#   cond: flops 0, unfused 0, bytes 0, peak 16,388
#   tanh: flops 0, unfused 0, bytes 0, peak 16,384
#   max-pooling: flops 0, unfused 0, bytes 0, peak 32,768
# By hand: the product is 2 x 64 x 128 x 256 = 4,194,304 FLOP, and reads 32,768 + 131,072 bytes, all
# that is in its peak, and writes 65,536; ten products of 64 x 64 by 64 x 64 are 5,242,880 FLOP.
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/work.py" <<'PYTHON'
import sys

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.roofline import roofline


def image(x, w):
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=layout)


def pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def struct(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


square, truth = struct(64, 64), struct(dtype=jnp.bool_)
programs = {
    "product": (lambda x, w: x @ w, struct(64, 128), struct(128, 256)),
    "convolution": (image, struct(1, 16, 16, 32), struct(3, 3, 32, 32)),
    "scan of 10 products": (
        lambda x, w: lax.scan(lambda h, each: (h @ each, None), x, w)[0],
        square,
        struct(10, 64, 64),
    ),
    "while": (lambda x: lax.while_loop(lambda h: h[0, 0] < 9, lambda h: h @ h, x), square),
    "cond": (lambda p, x: lax.cond(p, lambda x: x @ x, lambda x: x, x), truth, square),
    "tanh": (jnp.tanh, square),
    "max-pooling": (pool, struct(1, 16, 16, 32)),
}
seen = {}
for name, (function, *arguments) in programs.items():
    _, found = roofline(function)(*arguments)
    seen[name] = found.flops, found.unfused_flops, found.unfused_hbm_bytes
    print(
        f"{name}: flops {found.flops:,}, unfused {found.unfused_flops:,}, bytes"
        f" {found.unfused_hbm_bytes:,}, peak {found.peak_hbm_bytes:,}"
    )
same = (
    seen["product"] == (4194304, 4194304, 229376)
    and seen["convolution"][0] == 0 < seen["convolution"][1]
    and seen["scan of 10 products"][:2] == (524288, 524288)
    and all(seen[name] == (0, 0, 0) for name in ("while", "cond", "tanh", "max-pooling"))
)
sys.exit(not same)
PYTHON
cd "$folder"
try() { # try PYTHON VERSION
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" \
    absl-py==2.4.0 || exit 2 # it imports absl, which jax does not install
  echo "jax $2"
  JAX_PLATFORMS=cpu "$folder/$2/bin/python" work.py
}
try "${PYTHON:-python3.11}" 0.10.2
try "${NEWER_PYTHON:-python3.13}" 0.12.0
