"""Every module of the corpus is read, drawn as a graph, priced, shown, saved and loaded."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from rich.console import Console

import edgegraph as eg
from edgegraph.hlo.decode import decode
from edgegraph.hlo.graph import build_graph
from edgegraph.reporting.page import page
from edgegraph.reporting.tables import findings_panel, layer_table
from tests.analyses import DEVICE
from tests.corpus import make_corpus
from tests.corpus.files import FILES, HANDWRITTEN, REAL, serialized


def analysis(name: str) -> eg.Analysis:
    content = serialized(name)
    stage = "optimized" if decode(content).schedule else "lowered"
    program = eg.Program(name=name, batch=None, target="unknown", stage=stage, serialized=content)
    return eg.analyze(program, device=DEVICE)


def terminal(found: eg.Analysis) -> str:
    text = io.StringIO()
    Console(file=text, width=80).print(layer_table(found), findings_panel(found))
    return text.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        # Half a minute altogether; the other files show what is not of this host.
        pytest.param(name, marks=[pytest.mark.slow] if name.startswith("real/") else [])
        for name in FILES
    ],
)
def test_every_module_goes_all_the_way(name: str, tmp_path: Path) -> None:
    module = decode(serialized(name))
    graph = build_graph(module)
    assert nx.is_directed_acyclic_graph(graph)
    found = analysis(name)
    assert list(found.ops["name"]) == list(graph)
    for figure in ("macs", "flops", "bytes_read", "bytes_written", "wire_bytes"):
        top = [getattr(record, figure) for record in found.op_records if record.parent is None]
        assert found.totals[figure] == sum(value for value in top if value is not None)
    if module.schedule:
        memory = found.live_memory
        assert memory is not None
        assert max(memory.alive_bytes) == sum(buffer.bytes for buffer in memory.peak_buffers)
    shown = terminal(found)
    assert max(map(len, shown.splitlines())) <= 80
    assert "nan" not in shown
    document = page([found])
    assert document.endswith("</html>")
    assert ">None<" not in document
    assert ">nan" not in document.lower()
    path = found.save(tmp_path / "saved.edgegraph")
    assert eg.load(path) == found


def test_the_corpus_is_large_and_its_files_are_small() -> None:
    sizes = [path.stat().st_size for path in FILES.values()]
    assert len(sizes) >= 60
    assert len(list(HANDWRITTEN.iterdir())) >= 25
    assert sum(sizes) < 1_500_000


def test_the_script_makes_the_files_that_are_there() -> None:
    assert sorted(make_corpus.names()) == sorted(path.name for path in REAL.iterdir())


def test_the_script_makes_modules_without_paths_of_this_machine(tmp_path: Path) -> None:
    make_corpus.make(tmp_path, ["conditional"])
    assert len(list(tmp_path.iterdir())) == len(make_corpus.STAGES)
    for path in tmp_path.iterdir():
        module = eg.read_hlo(path).module
        assert {frame.file for frame in module.stack_frames} >= {"/tests/corpus/programs.py"}
        assert not any(str(Path.home()) in frame.file for frame in module.stack_frames)


@pytest.mark.parametrize(
    "name",
    ["real/cnn.optimized.pb.gz", "ahead_of_time/sorts.tpu_v5e.txt.gz",
     "handwritten/gpu_triton_softmax.hlo"],
)  # fmt: skip
def test_files_of_every_kind_are_read(name: str) -> None:
    read, parsed = eg.read_hlo(FILES[name]).module, decode(serialized(name))
    assert (read.computations, read.schedule) == (parsed.computations, parsed.schedule)


def test_every_file_says_where_it_comes_from() -> None:
    for path in HANDWRITTEN.iterdir():
        assert path.read_text().startswith("// Written by hand in the syntax of XLA")


# Padding: of 16 outputs 14 see all 3 taps along an axis and 2 see 2, so 46 of 48 are valid.
CONVOLUTION = {"macs": 2 * 12 * 16 * 16 * 8 * 9, "flops": 2 * 2 * 12 * 8 * 46**2}
RING = 1024 * 256 * 4

FIGURES: dict[str, dict[str, Any]] = {
    "gpu_cudnn_conv_forward": CONVOLUTION,
    "gpu_cudnn_conv_bias_activation": {"macs": 4 * 14 * 14 * 32 * 32},
    "gpu_cudnn_conv_gradients": {"macs": 2 * (2 * 12 * 8 * 8 * 8 * 9)},
    "gpu_cudnn_conv_depthwise": {"macs": 16 * 8 * 8 * 9, "flops": 2 * 16 * 22**2},
    "gpu_cublas_gemm": {"macs": 4 * 64 * 32 * 16, "flops": 2 * 4 * 64 * 32 * 16},
    "gpu_cublaslt_bias_gelu": {"macs": 32 * 128 * 64},
    "gpu_cublaslt_fp8": {"macs": 64 * 32 * 16, "bytes_read": 64 * 32 + 16 * 32 + 8},
    # The product, and one addition of the bias and two conversions.
    "gpu_triton_gemm_fusion": {
        "macs": 64 * 128 * 256,
        "flops": 2 * 64 * 128 * 256 + 2 * 64 * 256 + 256,
    },
    "gpu_triton_softmax": {
        "flops": 128 * (63 + 64 + 63 + 64),
        "transcendentals": 128 * 64,
        "bytes_read": 128 * 64 * 4,
        "bytes_written": 128 * 64 * 4,
    },
    # Two products; of 16 x 16 scores the 136 on and below the diagonal.
    "gpu_fused_attention": {"macs": 2 * 4 * 136 * (64 + 64)},
    "gpu_cusolver_potrf": {"macs": 0},
    "gpu_top_k": {"bytes_read": 8 * 1024 * 4, "bytes_written": 2 * 8 * 4 * 4},
    "gpu_all_reduce_async": {"wire_bytes": 2 * 7 * RING // 8, "transcendentals": 256 * 256},
    "gpu_all_reduce_of_many": {"wire_bytes": (64 + 64) * 4},
    "gpu_all_gather_async": {"wire_bytes": 3 * 32 * 256 * 2, "macs": 16 * 128 * 256},
    "gpu_reduce_scatter_async": {"wire_bytes": 3 * 16 * 16 * 4},
    "gpu_reduce_scatter_sugar": {"wire_bytes": 2 * 3 * 16 * 16 * 4},
    "gpu_collective_permute": {"wire_bytes": 128 * 64 * 4, "macs": 128 * 64 * 64},
    "gpu_all_to_all": {"wire_bytes": 8 * 32 * 2},
    "gpu_command_buffer": {"flops": 64 + 64, "bytes_read": 3 * 256, "bytes_written": 2 * 256},
    "gpu_input_fusion": {"flops": 32 * 256 + 32 * 255},
    # 12 products and 12 additions to the counter; the condition is asked 13 times.
    "gpu_loop_with_trip_count": {"macs": 12 * 16**3, "flops": 12 * (2 * 16**3 + 1) + 13},
    "gpu_unknown_kernel": {"flops": 16, "lower_bound": True},
    "tpu_tiled_layouts": {"flops": 256 * 512 + 64 * 128, "transcendentals": 256 * 512},
    "tpu_output_fusion": {"macs": 8 * 28 * 28 * 32 * 16 * 9},
    "tpu_slice_start": {"flops": 8 * 128, "transcendentals": 8 * 128},
    # 15 squares; counters and conditions: 5 times (3 + 4), 5 and 6.
    "tpu_while": {"flops": 15 * 8 * 128 + 5 * (3 + 4) + 5 + 6},
    "tpu_infeed_outfeed": {"transcendentals": 8 * 128},
    "tpu_send_recv": {"macs": 8 * 128 * 128},
    "tpu_mosaic_kernel": {"flops": 2 * 8 * 512 * 512 * 128, "bytes_written": 8 * 512 * 512 * 2},
    "tpu_dynamic_shapes": {"transcendentals": 16 * 128},
    "tpu_shardings": {"macs": 16 * 64 * 32, "transcendentals": 8 * 16},
    "tpu_sort": {"flops": 4 * 1024 * 10},
    "tpu_conditional": {"macs": 128**3, "flops_lowest": 0},
    "tpu_tuples": {"flops": 0, "macs": 0},
    "tpu_host_offload": {"flops": 256 * 128, "transcendentals": 256 * 128},
    "tpu_kv_cache": {"macs": 64 * 128},
    "tpu_replicas": {"lower_bound": True},
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_that_can_be_worked_out_by_hand(name: str) -> None:
    totals = analysis(f"handwritten/{name}.hlo").totals
    assert {figure: totals[figure] for figure in FIGURES[name]} == FIGURES[name]


def test_every_handwritten_file_has_a_figure() -> None:
    assert set(FIGURES) == {path.stem for path in HANDWRITTEN.iterdir()}


def test_loops_know_their_trips() -> None:
    found = analysis("handwritten/tpu_while.hlo")
    runs = {record.name: record.executions for record in found.op_records}
    assert (runs["ob.next"], runs["oc.less"], runs["ib.y"], runs["ic.less"]) == (5, 6, 15, 20)
