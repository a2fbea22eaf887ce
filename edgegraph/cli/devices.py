"""``edgegraph devices``, ``calibrate`` and ``compare-devices``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgegraph.base.units import memory_size, ratio, si
from edgegraph.cli.completion import complete_spec
from edgegraph.cli.job import (
    ANALYSIS_ONLY,
    Job,
    JsonObject,
    StoreOption,
    grouped_options,
    parse_sizes,
    saving_to,
)
from edgegraph.cli.output import (
    STUDY_SUFFIXES,
    StudyFiles,
    check_files,
    present_study,
    print_json,
    print_lines,
    print_rich,
    progress,
)
from edgegraph.cli.run import exit_interrupted, interruptible, settings, subject
from edgegraph.errors import EdgeGraphError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from edgegraph.device.catalogue import Entry
    from edgegraph.device.device import Device
    from edgegraph.studies.devices.result import DeviceRow


def devices(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[DEVICE]", help="Show one device with the source of each figure."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the devices whose roofs are known, or show one with its sources."""
    from msgspec import to_builtins

    from edgegraph.device.catalogue import catalogue, find_entry
    from edgegraph.device.catalogue import devices as known_devices
    from edgegraph.reporting.table_kit import ByWidth

    if name is not None:
        entry = find_entry(name)
        if json:
            print_json(to_builtins(entry))
        else:
            print_rich(*_entry(entry))
        return
    known = known_devices()
    if json:
        print_json([{"device": key, **to_builtins(device)} for key, device in known.items()])
    else:
        entries = {entry.key: entry for entry in catalogue()}
        print_rich(
            ByWidth(lambda width: _catalogue(known, entries, aliases=width >= _WIDE)), _NAMES
        )


_WIDE = 150
"""Columns from which other names of devices are shown."""

_SOURCES = {None: "measured", "high": "maker", "medium": "secondary", "low": "derived"}
"""What the source of a peak is, by how certain it is."""

_NAMES = (
    "--target and --device take these names. Those that are called gpu:... or tpu:..., too, are"
    " compiled for ahead of time; of every other device the kernels are those of a model of fusion,"
    " and its times a first guess. `edgegraph devices NAME` has other names, and the source of each"
    " figure."
)


def _catalogue(
    devices: Mapping[str, Device], entries: Mapping[str, Entry], *, aliases: bool = False
) -> Table:
    """Show every known device: its reference peak, bandwidth, ridge point, memory and power.

    With `aliases`, so is what the source of the peak is, and what else it is called.
    """
    from rich.text import Text

    from edgegraph.reporting.table_kit import plain_table

    headings = (
        "name",
        "peak",
        "bandwidth",
        "FLOP/B",
        "memory",
        "power",
        *["source", "also"] * aliases,
    )
    table = plain_table("device", *headings, words=("name", "source", "also"))
    table.columns[1].max_width = 30
    kind = None
    for key, device in devices.items():
        entry = entries.get(key)
        now = "this machine" if entry is None else entry.kind
        if now != kind:
            kind = now
            table.add_row("", Text(kind, style="italic dim"))
        dtype, peak = next(iter(device.peak_flops_per_s.items()))
        capacity = None if entry is None else entry.capacity_bytes
        power = None if entry is None or entry.power is None else entry.power.value
        table.add_row(
            key,
            device.name,
            f"{si(peak, 'FLOP/s')} {dtype}",
            si(device.memory[-1].bandwidth_bytes_per_s, "B/s"),
            ratio(device.ridge_point(dtype)),
            "" if capacity is None else memory_size(capacity),
            "" if power is None else f"{power:g} W",
            *[_SOURCES[None if entry is None else entry.peaks[dtype].certainty]] * aliases,
            *["" if entry is None else ", ".join(entry.aliases)] * aliases,
        )
    return table


def _entry(entry: Entry) -> Iterator[RenderableType]:
    """Show one device of the catalogue: every figure, how sure it is, and its source."""
    from rich.text import Text

    from edgegraph.reporting.table_kit import plain_table

    table = plain_table("figure", no_wrap=False)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("sure")
    table.add_column("source", overflow="fold")
    for name, figure in entry.figures():
        unit = figure.unit.replace("bytes", "B")
        value = memory_size(figure.value) if name.endswith(" size") else si(figure.value, unit)
        table.add_row(name, value, figure.certainty, figure.source)
    yield Text(f"{entry.name} ({', '.join((entry.key, *entry.aliases))})", style="bold")
    yield table
    if entry.note:
        yield Text(entry.note, style="dim")


_Export = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write it to a .json file too, which is a device elsewhere: --target device:FILE.",
    ),
]
_Script = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write a .py file that calibrates a board with numpy alone, and measure nothing.",
    ),
]


def calibrate(
    full: Annotated[
        bool, typer.Option("--full", help="Measure everything at once, in about a minute.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure again, even where a calibration is stored.")
    ] = False,
    export: _Export = None,
    script: _Script = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the device as a JSON object.")
    ] = False,
) -> None:
    """Measure this machine's peak arithmetic and memory bandwidth, in about ten seconds.

    The next time, or with --full, they are measured for longer, and what single kernels reach, from
    which times are expected: that takes about a minute.
    """
    check_files([export] if export else [], (".json",), option="--export")
    if script is not None:
        _write_script(script)
        return
    from edgegraph import xla
    from edgegraph.device.calibration.saved import load_calibration, write_device

    xla.set_synchronous_dispatch()
    stored = None if fresh else load_calibration()
    device = stored
    if device is None or not device.kernel_rates:
        device = _measured(full=full or stored is not None or export is not None)
    if export is not None:
        write_device(device, export)
    if json:
        print_json(device)
        return
    print_lines(device.name)
    print_rich(*_calibrated(device))
    print_lines(device.source, *_what_next(device, known=device is stored))
    if export is not None:
        print_lines(f"written to {export}; elsewhere it is --target device:{export.name}")


def _measured(*, full: bool) -> Device:
    """Calibrate; what was stored before is kept until the end."""
    from edgegraph.device.calibration import calibrate as calibration
    from edgegraph.device.calibration.saved import calibration_path

    kept = [calibration_path()] if calibration_path().exists() else []
    with interruptible(kept), progress() as report:
        return calibration.calibrate(full=full, progress=report)


def _what_next(device: Device, *, known: bool) -> Iterator[str]:
    """Say how to measure again, or the rest."""
    if known:
        yield f"Taken at {device.measured_at}; `edgegraph calibrate --fresh` measures again."
    elif not device.kernel_rates:
        yield (
            "These are first roofs. `edgegraph calibrate` once more measures them for longer, and"
            " what single kernels reach, from which times are expected."
        )


def _write_script(path: Path) -> None:
    """Write the script that calibrates a board on its own."""
    check_files([path], (".py",), option="--script")
    from edgegraph.base.files import replacing

    source = Path(__file__).parents[1] / "device" / "calibration" / "board.py"
    with replacing(path) as temporary:
        temporary.write_bytes(source.read_bytes())
    print_lines(
        f"written to {path}; run python3 {path.name} board.json on the board, and copy board.json"
        " back: it is --target device:board.json"
    )


def _calibrated(device: Device) -> tuple[Table, Table]:
    """Show bandwidths, and peaks with the intensities in FLOP/byte from which they bind."""
    memory = _table("memory", "holds", "bandwidth", "95 % interval")
    for level in device.memory:
        held = "" if level.size_bytes is None else f"{level.size_bytes / 1024:,.0f} KiB"
        known = _interval(device, level.name, "B/s")
        memory.add_row(level.name, held, si(level.bandwidth_bytes_per_s, "B/s"), known)
    levels = [level.name for level in device.memory]
    ridges_at = (f"ridge at {name}" for name in levels)
    arithmetic = _table("arithmetic", "peak", "95 % interval", *ridges_at)
    for dtype, peak in device.peak_flops_per_s.items():
        ridges = (f"{device.ridge_point(dtype, name):,.2f} FLOP/B" for name in levels)
        arithmetic.add_row(dtype, si(peak, "FLOP/s"), _interval(device, dtype, "FLOP/s"), *ridges)
    return memory, arithmetic


def _interval(device: Device, name: str, unit: str) -> str:
    """Write the interval of a rate; nothing of a calibration that has none."""
    interval = device.intervals.get(name)
    return "" if interval is None else f"{si(interval[0], unit)} to {si(interval[1], unit)}"


def _table(name: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(name)
    for column in columns:
        table.add_column(column, justify="right")
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What is compared, besides the workloads."""

    devices: Annotated[
        str, typer.Option(metavar="LIST", help="What to compare: cpu,gpu:orin,rpi5,board.json.")
    ]
    batch: Annotated[str, typer.Option("--batch", "-b", help="Batch sizes: 1,8,64 or 1:64.")] = "1"
    largest: Annotated[
        bool,
        typer.Option(
            "--largest-batch",
            help="Find the largest batch that fits each device, by compiling at others.",
        ),
    ] = False


@grouped_options(without=("batch", "target", "stage", "compiler_options", "strict", *ANALYSIS_ONLY))
def compare_devices(
    job: Job,
    compared: Compared,
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SPEC",
            help="Others to compare it with on the same devices.",
            autocompletion=complete_spec,
        ),
    ] = None,
    output: StudyFiles = None,
    store: StoreOption = None,
    json: JsonObject = False,
) -> None:
    """Compare devices: time, bound, use of the peak, memory, throughput.

    What a TPU or GPU would run is compiled ahead of time; with --measure, cpu is measured. A file
    with HLO is compiled already: it gets the roofs of devices of the catalogue, device:NAME.
    """
    check_files(output or (), STUDY_SUFFIXES)
    jobs = [job, *(replace(job, spec=spec) for spec in more or ())]
    from edgegraph.studies.devices.run import comparison

    rows: list[DeviceRow] = []
    interrupted = False
    with saving_to(store) as keep:
        try:
            for row in _rows(jobs, compared):
                rows.append(row)  # noqa: PERF402 # the rows before an interruption are kept
        except KeyboardInterrupt:
            interrupted = True
        found = comparison(rows)
        if rows:
            keep(found)
    drawable = any(row.low_s for row in rows)
    written = present_study(found, output or (), json=json, has_figure=drawable) if rows else []
    if interrupted:
        exit_interrupted(", ".join([f"{len(rows)} finished rows", *map(str, written)]))
    errors = [row for row in rows if row.error is not None]
    if len(errors) == len(rows):
        raise EdgeGraphError(f"no device has figures; {errors[0].device}: {errors[0].error}")


def _rows(jobs: Sequence[Job], compared: Compared) -> Iterator[DeviceRow]:
    """Yield a row for every workload, device and batch size, as soon as it is there."""
    from edgegraph.studies.devices.run import device_rows

    with progress() as report:
        yield from device_rows(
            [subject(each) for each in jobs],
            devices=[name.strip() for name in compared.devices.split(",")],
            batches=parse_sizes("--batch", compared.batch),
            measure=bool(jobs[0].measure),
            largest=compared.largest,
            settings=settings(jobs[0]),
            progress=report,
        )
