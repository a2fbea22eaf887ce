"""What `scripts.whole_output` shows: every result in every way, as plain data.

Each case is a folder of output: commands that run in it, and the files that they read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CORPUS = REPOSITORY / "tests" / "corpus"
COMMANDS = (
    "report", "analyze", "show", "sweep", "fusion", "overlap", "history", "scaling", "diff",
    "check", "plot", "export", "compare-devices", "devices", "calibrate", "models",
)  # fmt: skip
ENDINGS = (
    ".csv", ".ops.csv", ".parquet", ".md", ".tex", ".json", ".schema.json", ".graphml", ".dot",
    ".model-explorer.json", ".node-data.json", ".trace.json",
)  # fmt: skip
FIGURES = ("roofline", "layers", "memory", "graph")
STUDIES = ("sweep", "fusion", "overlap", "devices", "scaling")
MEASURED = {
    "cnn_b1": "analyze models.cnn:small_cnn --trace-dir trace --store runs.db",
    "cnn_b8": "analyze models.cnn:small_cnn -b 8 --no-trace --store runs.db",
    "cnn_b8_again": "analyze models.cnn:small_cnn -b 8 --no-trace --store runs.db",
    "cnn_b8_bfloat16": "analyze models.cnn:small_cnn -b 8 --dtype bfloat16",
    "cnn_train": "analyze models.cnn:small_cnn_train -b 8 --depth all --throughput --cold --cores"
    " 1 --store runs.db",
    "mlp_b1": "analyze models.mlp:mlp --throughput",
    "mlp_b8": "analyze models.mlp:mlp -b 8 --no-trace --cold",
    "lenet": "analyze models.lenet:lenet5_train -b 2 --depth 1",
    "sweep": "sweep models.cnn:small_cnn --batches 1:8 --store runs.db --max-latency 1ms",
    "sweep_of_options": "sweep models.mlp:mlp --batches 1,4 --dtypes float32,bfloat16"
    " --options-set unfused:xla_disable_hlo_passes=fusion --store runs.db",
    "fusion": "fusion models.cnn:small_cnn -b 8 --store runs.db",
    "overlap": "overlap models.cnn:small_cnn -b 8 --store runs.db",
    "scaling_cpu": "scaling models.mlp:mlp_train --target cpu --chips 1,2 --batch 64",
    "scaling_tpu": "scaling models.mlp:mlp_train --chips 1,4,16 --batch 64 --batch-per-chip 64"
    " --store runs.db",
    "devices": "compare-devices models.cnn:small_cnn models.mlp:mlp --devices"
    " cpu,device:rpi5,tpu:v5e,gpu:orin --batch 1,8 --measure --store runs.db",
}
UNMEASURED = {
    "fusion_unmeasured": "fusion models.cnn:small_cnn --no-measure",
    "sweep_unmeasured": "sweep models.cnn:small_cnn --batches 1:8 --no-measure",
    "mobilenet": "analyze models.mobilenet:mobilenet_v2 --no-measure",
    "transformer": "analyze models.transformer:transformer_decode --no-measure",
    "cnn_tpu": "analyze models.cnn:small_cnn --target tpu:v5e",
    "lowered": "analyze models.cnn:small_cnn_train -b 8 --stage lowered",
}
PAIRS = (
    ("cnn_b1", "cnn_b8"), ("cnn_b8", "cnn_b8_again"), ("cnn_b8", "cnn_b8_bfloat16"),
    ("mlp_b1", "mlp_b8"), ("cnn_b1", "lowered"), ("cnn_b8", "cnn_train"), ("mobilenet", "cnn_tpu"),
)  # fmt: skip
TRAINED = ("cnn:small_cnn", "mlp:mlp", "lenet:lenet5", "resnet:resnet18", "mobilenet:mobilenet_v1")
LIVE = {
    "small_cnn": "analyze models.cnn:small_cnn --no-measure -o it.edgegraph",
    "small_cnn_linen": "analyze models.cnn:small_cnn -b 8 --set flavor=linen --no-measure -o"
    " it.edgegraph",
    "small_cnn_train": "analyze models.cnn:small_cnn_train -b 8 --no-measure -o it.edgegraph",
    "mlp": "analyze models.mlp:mlp --no-measure -b 8 -o it.edgegraph",
    "lenet": "analyze models.lenet:lenet5 --no-measure -o it.edgegraph",
    "attention": "analyze models.blocks:attention --no-measure -o it.edgegraph",
    "for_tpu": "analyze models.cnn:small_cnn --target tpu:v5e -o it.edgegraph",
    "for_gpu": "analyze models.cnn:small_cnn --target gpu:orin -o it.edgegraph",
}
LIVE_STUDIES = {
    "sweep": "sweep models.cnn:small_cnn --batches 1:8 --no-measure",
    "sweeps": "sweep models.mlp:mlp --batches 1,4 --targets cpu,tpu:v5e --no-measure",
    "fusion": "fusion models.cnn:small_cnn --no-measure",
    "devices": "compare-devices models.cnn:small_cnn --devices device:rpi5,tpu:v5e,gpu:orin",
    "scaling": "scaling models.mlp:mlp_train --chips 1,4 --parallel both",
}
ERRORS = (
    "analyze nothing.txt", "analyze models.cnn:small_cn --no-measure", "analyze models.cnn",
    "analyze -b 0 x:y",
    "analyze models.cnn:small_cnn --stage nowhere", "analyze models.cnn:small_cnn --target moon",
    "analyze models.cnn:SmallCNN --no-measure",
    "analyze models.cnn:small_cnn --no-measure --input 3x3", "analyze notes.txt",
    "analyze models.cnn:small_cnn --no-measure --cold", "show cut.edgegraph", "show bent.edgegraph",
    "show notes.txt", "plot moon cnn_b1.edgegraph -o a.svg", "plot sweep cnn_b1.edgegraph -o a.svg",
    "plot roofline cnn_b1.edgegraph -o a.bmp", "plot sweep", "export cnn_b1.edgegraph -o a.xyz",
    "export sweep.edgegraph -o a.csv", "diff cnn_b1.edgegraph sweep.edgegraph", "nonsense", "",
    "check cnn_b1.edgegraph --max-flops +1%", "check cnn_b1.edgegraph --max-flops many",
    "history --store none.db", "history", "devices moon", "show cnn_b1.edgegraph -b 3",
    "show sweep.edgegraph --ops", "scaling models.mlp:mlp --chips x", "sweep x:y --batches 4:1",
    "compare-devices models.mlp:mlp --devices moon", "fusion sweep.edgegraph", "overlap a.txt",
    "report cnn_b1.edgegraph -o no/p.html --json", "analyze cnn_b1.edgegraph --strict --json",
)  # fmt: skip
LIMITS = (
    "", "--max-flops +0 --max-ops +0 --max-kernels +1", "--max-latency +1%", "--max-latency 1ms",
    "--max-peak-memory 1MiB --max-params 5M --max-wire-bytes +0", "--json", "--markdown",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Something to show in every way.

    Attributes:
        name: The folder of its output.
        runs: Commands by the name of the file that takes what they print.
        files: What they read, by the name it has for them.
        shown: A saved result that is looked at through the public names too.
        live: Its results are made anew, so that times of making are masked.
        compiled: Its programs are too, so that the folder of the sources is masked.
    """

    name: str
    runs: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, Path], ...] = ()
    shown: str | None = None
    live: bool = False
    compiled: bool = False


def showing(name: str) -> list[tuple[str, str]]:
    """Return the commands that show a saved analysis."""
    runs = [
        ("analyze", f"analyze {name}"), ("json", f"show {name} --json"), ("show", f"show {name}"),
        ("ops", f"show {name} --ops --all"), ("depth", f"show {name} --depth 1 --sort time"),
        ("forward", f"show {name} --phase forward --sort bytes"),
        ("page", f"report {name} -o page.html"),
    ]  # fmt: skip
    runs += [(f"export{ending}", f"export {name} -o as{ending}") for ending in ENDINGS]
    return runs + [
        (f"plot_{kind}", f"plot {kind} {name} -o {kind}.svg --width {width}")
        for kind, width in zip(FIGURES, ("column", "page", "column", "page"), strict=True)
    ]


def showing_saved(name: str) -> list[tuple[str, str]]:
    """Return the commands that show whatever is in a saved file."""
    more = [(f"as_{command}", f"{command} {name}") for command in ("sweep", "fusion")]
    more += [(f"as_{command}_json", f"{command} {name} --json") for command in ("sweep", "fusion")]
    more += [(f"plot_{kind}", f"plot {kind} {name} -o {kind}.svg") for kind in STUDIES]
    more += [("plot", f"plot {name} -o it.svg -o it.png -o it.pdf --width page --json")]
    more += [("top", f"show {name} --ops --sort flops"), ("sweep_files", f"sweep {name} -o a.csv")]
    return showing(name) + more


def cases(folder: Path) -> Iterator[tuple[Case, bool]]:
    """Give all cases, each with whether it is part of the quick sample."""
    helps = [(command or "all", f"{command} --help") for command in ("", *COMMANDS)]
    lists = [("models", "models"), ("models_json", "models --json"), ("devices", "devices")]
    lists += [("devices_json", "devices --json"), ("orin", "devices gpu:orin")]
    lists += [("calibration", "calibrate"), ("calibration_json", "calibrate --json")]
    zoo = (("models", REPOSITORY / "models"),)
    yield Case(name="help", runs=tuple(helps)), True
    yield Case(name="lists", runs=tuple(lists), files=zoo), True
    yield from live_cases(folder)
    for number, path in enumerate(sorted((folder / "inputs" / "zoo").iterdir())):
        yield module_case("zoo", path, pictures=number % 2), number % 12 == 3
    saved = sorted((folder / "inputs" / "saved").glob("*.edgegraph"))
    for number, path in enumerate(saved):
        runs, files = showing_saved(path.name), ((path.name, path),)
        case = Case(name=f"saved/{path.stem}", runs=tuple(runs), files=files, shown=path.name)
        yield case, number % 4 == 1
    yield from saved_cases(folder, {path.name: path for path in saved})
    modules = [
        path for path in CORPUS.glob("*/*") if re.search(r"\.(hlo|txt\.gz|pb\.gz)$", path.name)
    ]
    for number, path in enumerate(sorted(modules)):
        case = module_case(f"corpus/{path.parent.name}", path, pictures=number % 2)
        yield case, number % 9 == 0


def module_case(group: str, path: Path, *, pictures: int) -> Case:
    """Return the case of an HLO file: analysed anew, and shown, with its page or its pictures."""
    runs = [("analysis", f"analyze {path.name} -o it.edgegraph"), *showing("it.edgegraph")]
    runs = [run for run in runs if not run[0].startswith("page" if pictures else "plot")]
    name = f"{group}/{path.name.split('.gz')[0]}"
    return Case(name=name, runs=tuple(runs), files=((path.name, path),), live=True)


def live_cases(folder: Path) -> Iterator[tuple[Case, bool]]:
    """Give the cases that compile."""
    for name, command in LIVE.items():
        runs = [("analysis", command), *showing("it.edgegraph")]
        quick = name in ("small_cnn_train", "mlp")
        yield Case(name=f"live/{name}", runs=tuple(runs), live=True, compiled=True), quick
    for name, command in LIVE_STUDIES.items():
        runs = [
            ("study", f"{command} -o it.edgegraph -o it.html -o it.csv -o it.svg"),
            ("json", f"{command} --json"),
        ]
        yield (
            Case(name=f"live/study_{name}", runs=tuple(runs), live=True, compiled=True),
            name == "fusion",
        )
    for path in sorted((folder / "inputs" / "zoo").iterdir()):
        module, _, network = path.stem.partition(".")
        command = f"analyze models.{module}:{network} --stage lowered --json"
        runs = [("json", f"{command} -o it.edgegraph"), ("show", "show it.edgegraph")]
        case = Case(name=f"lowered/{path.stem}", runs=tuple(runs), live=True, compiled=True)
        yield case, network in ("small_cnn", "lenet5_train", "resnet18")


def saved_cases(folder: Path, saved: dict[str, Path]) -> Iterator[tuple[Case, bool]]:
    """Give the cases of several saved results: diffs, gates, pages, history, and errors."""
    files = tuple(saved.items())
    for one, other in PAIRS:
        names = f"{one}.edgegraph {other}.edgegraph"
        runs = [
            ("diff", f"diff {names}"),
            ("files", f"diff {names} -o d.html -o d.md -o d.csv -o d.edgegraph"),
            *((flag, f"diff {names} --{flag}") for flag in ("all", "json", "markdown")),
        ]
        gate = f"check {other}.edgegraph --baseline {one}.edgegraph"
        runs += [(f"check_{number}", f"{gate} {flags}") for number, flags in enumerate(LIMITS)]
        quick = one == "cnn_b1"
        yield Case(name=f"pairs/{one}_{other}", runs=tuple(runs), files=files), quick
    page = "report cnn_b1.edgegraph cnn_b8.edgegraph sweep.edgegraph fusion.edgegraph"
    page += " overlap.edgegraph devices.edgegraph scaling_tpu.edgegraph -o all.html"
    runs = [("page", page), ("json", f"{page} --json")]
    yield Case(name="pages", runs=tuple(runs), files=files), False
    store = "history --store runs.db"
    runs = [("all", store), ("json", f"{store} --json"), ("frame", f"{store} -o runs.csv")]
    for metric in ("latency_s", "throughput_per_s", "flops", "peak_memory_bytes"):
        one_metric = f"{store} small_cnn --metric {metric}"
        runs += [(metric, one_metric), (f"{metric}_json", f"{one_metric} --json -b 8")]
        runs += [(f"{metric}_files", f"{one_metric} -o {metric}.csv -o {metric}.svg")]
    runs += [(f"run_{number}", f"show runs.db#{number}") for number in (1, 2, 3, 6, 99)]
    database = (("runs.db", folder / "inputs" / "saved" / "runs.db"),)
    yield Case(name="history", runs=tuple(runs), files=database), True
    (profile,) = (folder / "inputs" / "saved").rglob("*.xplane.pb")
    traced = (("it.xplane.pb", profile), ("it.pb", folder / "inputs" / "cnn_b1.pb"))
    yield Case(name="trace", runs=(), files=traced), True
    runs = [(f"{number:02}", line) for number, line in enumerate(ERRORS)]
    damaged = [(path.name, path) for path in sorted((folder / "inputs" / "damaged").iterdir())]
    files = (*files, *damaged)
    yield Case(name="errors", runs=tuple(runs), files=files), True
