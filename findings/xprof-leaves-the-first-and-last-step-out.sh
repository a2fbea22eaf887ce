#!/usr/bin/env bash
# XProf's overview takes the steps that `jax.profiler.StepTraceAnnotation` marks without the first
# and the last, although both lie whole in the profile, as soon as there are 6; of 5 or fewer it
# takes all. Mean and deviation of the step time have the step that compiles in the one case and
# not in the other.
#
# Seen with jax 0.10.2, xprof 2.24.2, Python 3.11, Linux x86-64, 2026-11-30:
#   xprof 2.24.2: 2 steps, 2 in the profile, shown: 2, from train 0 to train 1
#   xprof 2.24.2: 5 steps, 5 in the profile, shown: 5, from train 0 to train 4
#   xprof 2.24.2: 6 steps, 6 in the profile, shown: 4, from train 1 to train 4
#   xprof 2.24.2: 10 steps, 10 in the profile, shown: 8, from train 1 to train 8
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'jax==0.10.2' 'jaxlib==0.10.2' 'xprof==2.24.2' || exit 2
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import glob
import importlib.metadata
import json
import sys

import jax
import jax.numpy as jnp
from xprof.convert import raw_to_tool_data


def shown(steps):
    with jax.profiler.trace(f"logs{steps}"):
        for step in range(steps):
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                function(x).block_until_ready()
    files = glob.glob(f"logs{steps}/plugins/profile/*/*.xplane.pb")
    whole = sum(
        event.name == "train"
        for plane in jax.profiler.ProfileData.from_file(files[0]).planes
        for line in plane.lines
        for event in line.events
    )
    tables = json.loads(raw_to_tool_data.xspace_to_tool_data(files, "overview_page", {})[0])
    rows = [
        [row["c"][0]["v"] for row in table["rows"]]
        for table in tables
        if table.get("cols") and table["cols"][0]["id"] == "stepnum"
    ]
    return whole, sum(rows, [])


function = jax.jit(lambda x: jnp.tanh(x @ x))
x = jnp.ones((512, 512))
function(x).block_until_ready()
same = True
for steps in (2, 5, 6, 10):
    whole, names = shown(steps)
    print(
        f"xprof {importlib.metadata.version('xprof')}: {steps} steps, {whole} in the profile,"
        f" shown: {len(names)}, from {names[0]} to {names[-1]}"
    )
    same &= whole == steps and len(names) == (steps if steps < 6 else steps - 2)
sys.exit(not same)
PYTHON
