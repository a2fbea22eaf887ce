"""Hold what is expected of boards against latencies that others published.

What is expected rests on this machine's calibration, so it differs from machine to machine.

    python scripts/bench/boards.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import edgegraph as eg
from edgegraph.base.units import seconds
from models.mobilenet import mobilenet_v2
from models.resnet import resnet50

NCNN = "ncnn, 4 threads, https://github.com/Tencent/ncnn/blob/master/benchmark/README.md"
TENSORRT = "TensorRT 10.3, MAXN_SUPER, https://github.com/onnxsim/onnxsim/blob/master/scripts/nvidia/README.md"
HEXAGON = (
    "Qualcomm AI Hub, precision not said,"
    " https://edgegate.frozo.ai/blog/100-inference-runs-on-snapdragon-what-the-data-shows"
)
PUBLISHED = (
    ("rpi5", "bfloat16", 10.52e-3, 46.21e-3, NCNN),
    ("orin-nano-8-super", "float32", 1.386e-3, 3.596e-3, TENSORRT),
    ("orin-nano-8-super", "bfloat16", 0.850e-3, 1.814e-3, TENSORRT),
    ("snapdragon-8-gen-3", "bfloat16", 0.369e-3, 1.403e-3, HEXAGON),
)
"""Device, dtype (16 bits stand for f16), MobileNetV2 and ResNet-50 at batch 1, source; read on
2026-11-30."""


def main() -> None:
    """Print a row for every published latency."""
    for device, dtype, small_s, large_s, source in PUBLISHED:
        print(f"{device}, {dtype}: {source}")
        for make, published_s in ((mobilenet_v2, small_s), (resnet50, large_s)):
            totals = eg.analyze(make(dtype=dtype), target=f"device:{device}").totals
            low_s, high_s = totals.expected_low_s, totals.expected_high_s
            if low_s is None or high_s is None:
                sys.exit("nothing is expected; run edgegraph calibrate first")
            inside = "inside" if low_s <= published_s <= high_s else "outside"
            span = f"{seconds(totals.expected_time_s)} ({seconds(low_s)} to {seconds(high_s)})"
            print(f"  {make.__name__}: {seconds(published_s)} published; expected {span}: {inside}")


if __name__ == "__main__":
    main()
