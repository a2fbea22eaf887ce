#!/usr/bin/env bash
# An embedding reads one row of its table for each token and multiplies nothing. GenZ, which
# estimates how long language models take to serve, prices it in the prompt's pass as a product of
# one-hot vectors with the whole table: as many FLOPs and bytes as for the logits, and 23 % of the
# FLOPs and of the time of GPT-2 at 128 tokens.
#
# Seen with genz-llm 0.0.16, Python 3.11, Linux x86-64, 2026-11-30:
#   GPT-2, 128 tokens: the embedding has 9881 MFLOP, reads 73.6 MB of weights and takes 52.5 us of 231.9
#   by hand: 0 MFLOP, and 128 rows, 0.19 MB
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'genz-llm==0.0.16' 'numpy==2.4.6' 'pandas==3.1.1' || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import sys

from GenZ import prefill_moddeling

tokens, width, vocabulary = 128, 768, 50257
with contextlib.redirect_stdout(io.StringIO()):
    found = dict(
        prefill_moddeling(
            model="gpt-2", batch_size=1, input_tokens=tokens, system_name="A100_40GB_GPU", bits="bf16"
        )
    )
table = found["model_df"]
row = table[table["Layer Name"] == "embeddings"].iloc[0]
print(
    f"GPT-2, {tokens} tokens: the embedding has {row['Num ops (MFLOP)']:.0f} MFLOP,"
    f" reads {row['Input_w (MB)']:.1f} MB of weights and takes {row['Latency (msec)'] * 1e3:.1f} us"
    f" of {found['Latency'] * 1e3:.1f}"
)
print(f"by hand: 0 MFLOP, and {tokens} rows, {tokens * width * 2 / 2**20:.2f} MB")
sys.exit(not abs(row["Num ops (MFLOP)"] / (2 * tokens * width * vocabulary / 1e6) - 1) < 0.01)
PYTHON
