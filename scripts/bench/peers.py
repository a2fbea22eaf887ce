"""Time networks of equal sizes in JAX, plain and improved, and in what else one would pick.

ONNX Runtime, OpenVINO and PyTorch are timed where they are installed; this script installs nothing
and says which are missing. All run in one process on the same cores, one call after the other in
random order. Their networks have the zoo's layers and sizes, with batch norms folded into the
convolutions before them and weights of their own.

    python scripts/bench/peers.py                                # all networks, batch 1
    python scripts/bench/peers.py --model mobilenet_v2 --batch 1 --batch 8 --rounds 50
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

import edgegraph as eg

THREADS, ROUNDS, SECONDS = 2, 30, 30.0
Run = Callable[[], Any]


class Network(Protocol):
    """What a network is written down with; every method returns the name or the tensor made."""

    input: Any

    def conv(
        self, x: Any, taken: int, made: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> Any:
        """Convolve with a bias, zeros around."""

    def relu(self, x: Any, most: float | None = None) -> Any:
        """Cut off below 0, and above `most`."""

    def add(self, x: Any, y: Any) -> Any:
        """Add two images."""

    def pool(self, kind: str, x: Any, size: int, stride: int) -> Any:
        """Take the largest or the mean of windows."""

    def dense(self, x: Any, taken: int, made: int) -> Any:
        """Multiply a flattened input with a matrix."""

    def global_mean(self, x: Any) -> Any:
        """Take the mean over the image."""


def small_cnn(net: Network) -> Any:
    """Write down models.cnn:small_cnn."""
    x = net.pool("Average", net.relu(net.conv(net.input, 1, 32, 3)), 2, 2)
    x = net.pool("Average", net.relu(net.conv(x, 32, 64, 3)), 2, 2)
    return net.dense(net.relu(net.dense(x, 7 * 7 * 64, 256)), 256, 10)


def mobilenet_v2(net: Network) -> Any:
    """Write down models.mobilenet:mobilenet_v2."""
    x, taken = net.relu(net.conv(net.input, 3, 32, 3, 2), 6), 32
    for expansion, made, repeats, first in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):  # fmt: skip
        for number in range(repeats):
            stride, width, y = first if number == 0 else 1, taken * expansion, x
            if expansion != 1:
                y = net.relu(net.conv(y, taken, width, 1), 6)
            y = net.relu(net.conv(y, width, width, 3, stride, width), 6)
            y = net.conv(y, width, made, 1)
            x, taken = net.add(x, y) if stride == 1 and taken == made else y, made
    return net.dense(net.global_mean(net.relu(net.conv(x, taken, 1280, 1), 6)), 1280, 1000)


def resnet50(net: Network) -> Any:
    """Write down models.resnet:resnet50, strides on the 3x3 convolutions."""
    x = net.pool("Max", net.relu(net.conv(net.input, 3, 64, 7, 2)), 3, 2)
    taken = 64
    for stage, repeats in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for number in range(repeats):
            stride, made = 2 if stage and not number else 1, 4 * width
            y = net.relu(net.conv(x, taken, width, 1))
            y = net.relu(net.conv(y, width, width, 3, stride))
            y = net.conv(y, width, made, 1)
            x = x if taken == made else net.conv(x, taken, made, 1, stride)
            x, taken = net.relu(net.add(x, y)), made
    return net.dense(net.global_mean(x), taken, 1000)


NETWORKS: dict[str, tuple[str, Callable[[Network], Any], tuple[int, ...]]] = {
    "small_cnn": ("models.cnn", small_cnn, (1, 28, 28)),
    "mobilenet_v2": ("models.mobilenet", mobilenet_v2, (3, 224, 224)),
    "resnet50": ("models.resnet", resnet50, (3, 224, 224)),
}
"""By name: the zoo's module, the network, and the shape of its input, channels first."""


def weights(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Draw weights with which activations neither vanish nor overflow."""
    drawn = np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)
    return drawn / np.float32(np.prod(shape[1:]) ** 0.5)


class OnnxNetwork:
    """Writes a network down as an ONNX graph."""

    def __init__(self) -> None:
        onnx = importlib.import_module("onnx")

        self.onnx = onnx
        self.input = "input"
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def _node(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        names = [x if isinstance(x, str) else self._constant(x) for x in inputs]
        made = f"v{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, names, [made], **attributes))
        return made

    def _constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def conv(
        self, x: Any, taken: int, made: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> Any:
        """Convolve with a bias, zeros around."""
        kernels = weights(made, taken // groups, kernel, kernel)
        return self._node(
            "Conv", x, kernels, np.zeros(made, np.float32), kernel_shape=[kernel] * 2,
            strides=[stride] * 2, pads=[kernel // 2] * 4, group=groups,
        )  # fmt: skip

    def relu(self, x: Any, most: float | None = None) -> Any:
        """Cut off below 0, and above `most`."""
        if most is None:
            return self._node("Relu", x)
        return self._node("Clip", x, np.float32(0), np.float32(most))

    def add(self, x: Any, y: Any) -> Any:
        """Add two images."""
        return self._node("Add", x, y)

    def pool(self, kind: str, x: Any, size: int, stride: int) -> Any:
        """Take the largest or the mean of windows."""
        around = [0 if size == stride else size // 2] * 4
        return self._node(
            f"{kind}Pool", x, kernel_shape=[size] * 2, strides=[stride] * 2, pads=around
        )

    def dense(self, x: Any, taken: int, made: int) -> Any:
        """Multiply a flattened input with a matrix."""
        flat = self._node("Flatten", x)
        return self._node("Gemm", flat, weights(made, taken).T, np.zeros(made, np.float32))

    def global_mean(self, x: Any) -> Any:
        """Take the mean over the image."""
        return self._node("GlobalAveragePool", x)

    def model(self, write: Callable[[Network], Any], shape: tuple[int, ...]) -> bytes:
        """Return the serialised model."""
        result = write(self)
        helper, kind = self.onnx.helper, self.onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes, "network",
            [helper.make_tensor_value_info("input", kind, shape)],
            [helper.make_tensor_value_info(result, kind, None)],
            self.constants,
        )  # fmt: skip
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        return bytes(model.SerializeToString())


class TorchNetwork:
    """Computes a network with PyTorch, so that it can be traced."""

    def __init__(self, image: Any) -> None:
        torch = importlib.import_module("torch")

        self.torch = torch
        self.input = image

    def _weights(self, *shape: int) -> Any:
        return self.torch.from_numpy(weights(*shape))

    def conv(
        self, x: Any, taken: int, made: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> Any:
        """Convolve with a bias, zeros around."""
        kernels, bias = self._weights(made, taken // groups, kernel, kernel), self.torch.zeros(made)
        convolve = self.torch.nn.functional.conv2d
        return convolve(x, kernels, bias, stride, kernel // 2, groups=groups)

    def relu(self, x: Any, most: float | None = None) -> Any:
        """Cut off below 0, and above `most`."""
        return self.torch.clamp(x, 0.0, most)

    def add(self, x: Any, y: Any) -> Any:
        """Add two images."""
        return x + y

    def pool(self, kind: str, x: Any, size: int, stride: int) -> Any:
        """Take the largest or the mean of windows."""
        functions = self.torch.nn.functional
        pool = functions.max_pool2d if kind == "Max" else functions.avg_pool2d
        return pool(x, size, stride, 0 if size == stride else size // 2)

    def dense(self, x: Any, taken: int, made: int) -> Any:
        """Multiply a flattened input with a matrix."""
        return x.flatten(1) @ self._weights(made, taken).T

    def global_mean(self, x: Any) -> Any:
        """Take the mean over the image."""
        return x.mean((2, 3))


def with_onnx_runtime(write: Callable[[Network], Any], image: Any) -> Run:
    """Return a call of ONNX Runtime."""
    onnxruntime = importlib.import_module("onnxruntime")

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(
        OnnxNetwork().model(write, image.shape), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"input": image})


def with_openvino(precision: str, write: Callable[[Network], Any], image: Any) -> Run:
    """Return a call of OpenVINO."""
    openvino = importlib.import_module("openvino")

    core = openvino.Core()
    model = core.read_model(OnnxNetwork().model(write, image.shape), b"")
    settings = {
        "INFERENCE_NUM_THREADS": THREADS,
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer({"input": image})


def with_torch(write: Callable[[Network], Any], image: Any) -> Run:
    """Return a call of a frozen trace of PyTorch."""
    torch = importlib.import_module("torch")

    torch.set_num_threads(THREADS)
    given = torch.from_numpy(image)
    with torch.no_grad():
        traced = torch.jit.trace(lambda x: write(TorchNetwork(x)), given)
        frozen = torch.jit.optimize_for_inference(torch.jit.freeze(traced.eval()))

    def run() -> Any:
        with torch.no_grad():
            return frozen(given)

    return run


def with_jax(workload: eg.Workload, batch: int) -> Run:
    """Return a call of the compiled workload."""
    import jax

    program = eg.compile(workload, batch=batch)
    assert program.concrete is not None
    arguments = program.concrete()
    return lambda: jax.block_until_ready(program.executable(*arguments))


def runs(name: str, batch: int, missing: set[str]) -> Iterator[tuple[str, Run]]:
    """Yield what computes a network here; what is not installed is added to `missing`."""
    module, write, shape = NETWORKS[name]
    workload = getattr(importlib.import_module(module), name)()
    yield "jax", with_jax(workload, batch)
    study = eg.improve(workload, batch=batch, seconds=SECONDS, processes=3)
    if study.decisions:
        yield "jax, improved", with_jax(study.improved_workload, batch)
    image = np.random.default_rng(0).standard_normal((batch, *shape), np.float32)
    peers: Mapping[str, Callable[[], Run]] = {
        "ONNX Runtime": lambda: with_onnx_runtime(write, image),
        "OpenVINO": lambda: with_openvino("f32", write, image),
        "PyTorch": lambda: with_torch(write, image),
    }
    for peer, made in peers.items():
        try:
            yield peer, made()
        except ImportError:
            missing.add(peer)


def in_turns(calls: Mapping[str, Run], rounds: int) -> dict[str, list[float]]:
    """Call everything in random order, and return the seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    shuffled = random.Random(0)
    for number in range(rounds + 2):
        names = list(calls)
        shuffled.shuffle(names)
        for name in names:
            start = perf_counter()
            calls[name]()
            if number >= 2:  # the first calls warm up
                times[name].append(perf_counter() - start)
    return times


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", choices=NETWORKS)
    parser.add_argument("--batch", action="append", type=int)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    missing: set[str] = set()
    print("| network | batch | with | median | shortest | times ONNX Runtime's shortest |")
    print("|---|---|---|---|---|---|")
    for name in options.model or NETWORKS:
        for batch in options.batch or [1]:
            found = in_turns(dict(runs(name, batch, missing)), options.rounds)
            least = min(found["ONNX Runtime"]) if "ONNX Runtime" in found else None
            for peer, times in found.items():
                shortest = min(times)
                ratio = f"{shortest / least:.3g}" if least else "?"
                cells = f"{median(times) * 1e3:.3g} ms | {shortest * 1e3:.3g} ms | {ratio}"
                print(f"| {name} | {batch} | {peer} | {cells} |", flush=True)
    print(f"\nNot installed here: {', '.join(sorted(missing)) or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
