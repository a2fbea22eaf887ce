# Shared by scripts/test and scripts/demo: headings, finding Pythons, making environments.
# Sourced from bash with `set -euo pipefail`, in the project's root folder.

all_extras=test,lint,tpu,gpu,parquet,distributed,foreign

heading() { # heading TEXT
  printf '\n=== %s (%d:%02d)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60))
}

die() { # die TEXT
  printf 'error: %s\n' "$1" >&2
  exit 1
}

find_python() { # find_python 3.11 -> prints an interpreter of that version that can make environments
  local candidate
  for candidate in "python$1" "$HOME"/.pyenv/versions/"$1"*/bin/python "/usr/bin/python$1" python3; do
    if "$candidate" -c "
import ensurepip, sys, venv
sys.exit('%d.%d' % sys.version_info[:2] != '$1')" >/dev/null 2>&1; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

# make_environment FOLDER PYTHON CONSTRAINTS [EXTRAS]
# Installs the project, editable, with exactly the versions of CONSTRAINTS. An environment whose
# constraints and pyproject.toml have not changed since is used as it is.
make_environment() {
  local folder=$1 python=$2 constraints=$3 extras=${4:-} state stamp
  state=$(cat "$constraints" pyproject.toml | sha256sum | cut -d' ' -f1)
  stamp=$folder/.installed
  # The tests' environment also holds all that the demo needs.
  if grep -qsx -e "$state $extras" -e "$state $all_extras" "$stamp"; then
    echo "$folder is up to date"
    return 0
  fi
  [ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
  rm -f "$stamp"
  "$folder/bin/python" -m pip install -qq --disable-pip-version-check \
    --constraint "$constraints" setuptools
  # Most modules are never imported: those that are, Python compiles itself.
  "$folder/bin/python" -m pip install -qq --disable-pip-version-check --no-compile \
    --constraint "$constraints" --no-build-isolation --editable ".${extras:+[$extras]}"
  echo "$state $extras" >"$stamp"
  echo "$folder: $("$folder/bin/python" --version), $("$folder/bin/python" -c 'import jax; print("jax", jax.__version__)')"
}
