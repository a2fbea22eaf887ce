#!/usr/bin/env bash
# The packages thop and ultralytics-thop both install a module `thop`, the one over the other
# where both are required, and pip says nothing: the last one stays. The older counts nothing of
# attention and multiplies a transposed convolution by its output; the newer counts attention, and
# its transposed convolution is right. Which figure `thop.profile` gives depends on the order in
# which they were installed.
#
# Seen with torch 2.13.0 (CPU), thop 0.1.1, ultralytics-thop 2.2.3, Python 3.11, Linux x86-64,
# 2026-11-30:
#   by hand: attention 589824 MACs, a transposed convolution 1048576
#   thop: attention 0, transposed convolution 4194304
#   ultralytics-thop: attention 595840, transposed convolution 1048576
#   ultralytics-thop, then thop: attention 0, transposed convolution 4194304
#   thop, then ultralytics-thop: attention 595840, transposed convolution 1048576
#
# Ends with 0 where it is still so, with 1 where it has changed, with 2 where it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'torch==2.13.0' 'numpy==2.4.6' || exit 2
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
import sys

count = """
import thop, torch

attention = torch.nn.MultiheadAttention(64, 4, batch_first=True).eval()
transposed = torch.nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1, bias=False)
x, image = torch.zeros(2, 16, 64), torch.zeros(2, 16, 16, 16)
macs = [
    thop.profile(attention, inputs=(x, x, x), verbose=False)[0],
    thop.profile(transposed, inputs=(image,), verbose=False)[0],
]
print(*map(int, macs))
"""
packages = {"thop": "thop==0.1.1.post2209072238", "ultralytics-thop": "ultralytics-thop==2.2.3"}
by_hand = [2 * (4 * 16 * 64 * 64 + 2 * 16 * 16 * 64), 2 * 16 * 8 * 16 * 256]
print(f"by hand: attention {by_hand[0]} MACs, a transposed convolution {by_hand[1]}")


def installed(*names):
    """Install these one after the other, and return what the module thop counts."""
    subprocess.run([sys.executable, "-m", "pip", "uninstall", "--quiet", "--yes", *packages], check=True)
    for name in names:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", packages[name]]
        if subprocess.run(command).returncode:
            sys.exit(2)
    ran = subprocess.run([sys.executable, "-c", count], capture_output=True, text=True, check=True)
    return [int(word) for word in ran.stdout.split()]


found = {}
for names in (["thop"], ["ultralytics-thop"], ["ultralytics-thop", "thop"], ["thop", "ultralytics-thop"]):
    found[tuple(names)] = counted = installed(*names)
    print(f"{', then '.join(names)}: attention {counted[0]}, transposed convolution {counted[1]}")
old, new, ending_old, ending_new = found.values()
right = all(abs(macs / expected - 1) < 0.05 for macs, expected in zip(new, by_hand, strict=True))
sys.exit(not (old == [0, 4 * by_hand[1]] and right and ending_old == old and ending_new == new))
PYTHON
