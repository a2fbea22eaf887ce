#!/usr/bin/env bash
# With `jax_compilation_cache_dir`, JAX looks a program up by a key that leaves names and source
# lines out. Where the same program was compiled under other names (a layer renamed, lines moved,
# another model of equal layers), the executable that comes from the cache has the names of that
# one: in `as_text()`, and so in every profile, which says that time is spent in layers that the
# program does not have. `jax_compilation_cache_include_metadata_in_key` (off by default) helps.
# Setting `jax_enable_compilation_cache` to False helps with 0.10.2; with 0.12.0 it has no effect
# any more once the process has used the cache.
#
# Seen with jax and jaxlib 0.10.2 (Python 3.11) and 0.12.0 (3.13), Linux x86-64, 2026-11-29:
#   jax 0.10.2: compiled as new, named old; with names in the key, new; with the cache off, new
#   jax 0.12.0: compiled as new, named old; with names in the key, new; with the cache off, old
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/named.py" <<'PYTHON'
import sys
import tempfile

import jax
import jax.numpy as jnp

jax.config.update("jax_compilation_cache_dir", tempfile.mkdtemp(dir="."))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def name_of(layer):
    def program(x):
        with jax.named_scope(layer):
            return jnp.tanh(x @ x)

    text = jax.jit(program).lower(jnp.ones((8, 8))).compile().as_text()
    return "old" if "/old/tanh" in text else "new" if "/new/tanh" in text else "none"


assert name_of("old") == "old"
seen = [name_of("new")]
jax.config.update("jax_compilation_cache_include_metadata_in_key", True)
seen.append(name_of("new"))
jax.config.update("jax_compilation_cache_include_metadata_in_key", False)
jax.config.update("jax_enable_compilation_cache", False)
seen.append(name_of("new"))
print(
    f"jax {jax.__version__}: compiled as new, named {seen[0]}; with names in the key, {seen[1]};"
    f" with the cache off, {seen[2]}"
)
sys.exit(seen != sys.argv[1:])
PYTHON
cd "$folder"
try() { # try PYTHON VERSION EXPECTED...
  "$1" -m venv "$folder/$2" || exit 2
  "$folder/$2/bin/pip" install --quiet --disable-pip-version-check "jax==$2" "jaxlib==$2" || exit 2
  JAX_PLATFORMS=cpu "$folder/$2/bin/python" named.py "${@:3}"
}
try "${PYTHON:-python3.11}" 0.10.2 old new new
try "${NEWER_PYTHON:-python3.13}" 0.12.0 old new old
