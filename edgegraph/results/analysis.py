"""An Analysis: everything found out about one program on one device.

It is plain immutable data; nothing here imports jax. Presenters read it, from memory or
from a file, and compute nothing that belongs here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from edgegraph.device.device import Device
from edgegraph.errors import InputError
from edgegraph.hlo.op_tree import OpTree
from edgegraph.results.about import Environment as Environment
from edgegraph.results.about import Finding as Finding
from edgegraph.results.about import MemoryUse as MemoryUse
from edgegraph.results.base import Exportable, Notes, numbers
from edgegraph.results.code import By, code_records
from edgegraph.results.columns import frame
from edgegraph.results.compiled_together import (
    TOGETHER_COLUMNS,
    WHAT_IF_COLUMNS,
    compare_together,
    what_if,
)
from edgegraph.results.op_trace import OpTrace
from edgegraph.results.records import CODE_COLUMNS, LAYER_COLUMNS, OP_COLUMNS, VIEWS, CodeRecord
from edgegraph.results.records import LayerRecord as LayerRecord
from edgegraph.results.records import OpRecord as OpRecord
from edgegraph.results.schedule import ActivationMemory, LiveMemory, Schedule
from edgegraph.results.timing import Latency, LayerLatency, Throughput, best_throughput, timed

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd
    from matplotlib.axes import Axes

    from edgegraph.hlo.module import Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals(Mapping[str, "int | float | str | None"]):
    """The whole program; reads like a mapping with the frames' column names.

    Attributes:
        ops: Executed instructions, containers not counted.
        params, param_bytes: Parameters of the model; None where it is not known which arguments
            they are.
        macs, flops, transcendentals, bytes_read, bytes_written: Sums over the top-level ops.
        wire_bytes: Bytes that each device sends to others.
        flops_lowest, bytes_lowest: FLOPs, and bytes read and written, if every conditional
            takes its cheapest branch, where the totals count the most expensive one.
        xla_flops, xla_transcendentals, xla_bytes: XLA's own module totals (float32 sums,
            loop bodies counted once), or None where XLA gave none.
        main_memory_bytes: Bytes read and written, less those that stay on the chip because the
            compiler placed the values there (a TPU's VMEM); they are what the memory roof counts.
        intensity_flops_per_byte: flops / main_memory_bytes.
        compute_time_s, memory_time_s: Sums over the ops.
        network_time_s: wire_bytes over the device's links; None where nothing is sent.
        overlapped_time_s: max(compute, memory, network): perfect overlap.
        serial_time_s: compute + memory + network: no overlap.
        bound: ``overhead`` where launching it, or its kernels, takes over half of its time, else
            the largest of the roofline times: ``compute``, ``memory`` or ``network``. None where
            these are unknown, and before optimisation.
        time_s: Measured median latency of one call, else None.
        layers_time_s: Sum of the layers' times, each compiled alone, as often as they run.
        compiled_together_s: The measured whole less that sum, both net of the dispatch floor:
            negative where compiling the layers together gained.
        flops_coverage, bytes_coverage: Share of FLOPs and bytes that have a layer (0 to 1).
        lower_bound: True if some cost is unknown, so that the sums are lower bounds.
        traced_time_s: Times of all ops in an op trace; the layers' add up to it. None without.
        compiler_time_s: What a TPU's or GPU's compiler expects, added up over the kernels of which
            it says something; None where it says nothing.
        compiler_coverage: Share of the time at the roof that is of ops of which it does.
        compiler_optimal_s: XLA's own roofline for such a device (``optimal_seconds``), custom
            calls left out; None where it gives none, or takes a second off for custom calls and
            the sum does not show for how many.
        expected_time_s, expected_low_s, expected_high_s: Time to expect of one call, and its
            range: the sum over the kernels and the dispatch. None without a calibrated machine.
    """

    ops: int
    params: int | None
    param_bytes: int | None
    macs: int
    flops: int
    transcendentals: int
    bytes_read: int
    bytes_written: int
    wire_bytes: int
    flops_lowest: int
    bytes_lowest: int
    xla_flops: float | None
    xla_transcendentals: float | None
    xla_bytes: float | None
    intensity_flops_per_byte: float | None
    compute_time_s: float | None
    memory_time_s: float | None
    overlapped_time_s: float | None
    serial_time_s: float | None
    bound: str | None
    time_s: float | None
    layers_time_s: float | None
    flops_coverage: float
    bytes_coverage: float
    lower_bound: bool
    compiled_together_s: float | None = None
    traced_time_s: float | None = None
    main_memory_bytes: int | None = None
    compiler_time_s: float | None = None
    compiler_coverage: float | None = None
    compiler_optimal_s: float | None = None
    expected_time_s: float | None = None
    expected_low_s: float | None = None
    expected_high_s: float | None = None
    network_time_s: float | None = None

    def __getitem__(self, key: str) -> int | float | str | None:
        """Return one figure by its name."""
        if key not in {f.name for f in fields(self)}:
            raise KeyError(key)
        value: int | float | str | None = getattr(self, key)
        return value

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the figures."""
        return (f.name for f in fields(self))

    def __len__(self) -> int:
        """Count the figures."""
        return len(fields(self))


@dataclass(frozen=True, kw_only=True, repr=False)
class Analysis(Exportable):
    """Everything found out about one program on one device.

    Attributes:
        workload: Name of the workload.
        batch: Batch size, or None where the workload has none.
        target: What it was compiled for (``cpu``).
        stage: ``optimized`` or ``lowered``.
        options: XLA compiler options that were set.
        device: The device whose roofs were used, or None if no device was given.
        environment: Where and with what it was made.
        op_records: One record per executed instruction, in schedule order.
        layer_records: One record per layer and phase, parents before children.
        totals: The whole program.
        memory: XLA's memory statistics, or None for a module from a file.
        live_memory: What is alive in memory when; None if the module is not scheduled.
        activation_memory: Peak memory of the activations before optimisation, as papers count it;
            None where that module is not known, or is that of a very large compiled program.
        schedule: How the schedule plays out with the best known time of every op, and which
            transfers it hides; None if the module is not scheduled.
        lower_s, compile_s: Time to trace and lower, and to compile; None if not done here.
        latency: Measured latency of the whole, or None.
        layer_latencies: Measured latency of every layer compiled alone.
        findings: What stands out, most important first.
        unpriced: Names of ops whose cost is unknown, with the reason.
        throughputs: Measured throughput of the whole by queue depth; empty unless asked for.
        other_latencies: Latency of the whole on fewer cores or with cold caches, where asked for;
            each says under what it was measured.
        op_trace: Measured time of every op inside the running program, or None.
        fingerprint: Digest of the StableHLO that it lowers to; None for a module from a file.
        figures_of: Whose figures these are where the program is for several devices: ``per device,
            1 of 8``, ``whole program, 8 devices``; None where it is for one, or does not say.
        notes: What was decided while a file was read: which of its modules it is, what it lacks.
        shown_by: By what its rows are to be shown, one of `VIEWS`; None leaves it to `view`.
        serialized_module: The HloModuleProto that was analysed.
    """

    workload: str
    batch: int | None
    target: str
    stage: str
    options: Mapping[str, str | int | float | bool]
    device: Device | None
    environment: Environment
    op_records: tuple[OpRecord, ...]
    layer_records: tuple[LayerRecord, ...]
    totals: Totals
    memory: MemoryUse | None
    lower_s: float | None
    compile_s: float | None
    latency: Latency | None
    layer_latencies: tuple[LayerLatency, ...]
    findings: tuple[Finding, ...]
    unpriced: Mapping[str, str]
    live_memory: LiveMemory | None = None
    activation_memory: ActivationMemory | None = None
    schedule: Schedule | None = None
    throughputs: tuple[Throughput, ...] = ()
    other_latencies: tuple[Latency, ...] = ()
    op_trace: OpTrace | None = None
    fingerprint: str | None = None
    notes: tuple[str, ...] = ()
    figures_of: str | None = None
    shown_by: str | None = None
    serialized_module: bytes

    @cached_property
    def module(self) -> Module:
        """The decoded HLO module."""
        from edgegraph.hlo.decode import decode

        return decode(self.serialized_module)

    @cached_property
    def op_tree(self) -> OpTree[OpRecord]:
        """The ops by what holds them, and the kernels that they make up."""
        return OpTree(self.op_records)

    @cached_property
    def graph(self) -> nx.MultiDiGraph[str]:
        """The graph with every op's figures as node attributes.

        One node per executed instruction; ``parent`` names the fusion, loop or call that it
        runs in. Edges run from operand to user, keyed by operand position, with ``shape``,
        ``dtype`` and ``bytes``.
        """
        from edgegraph.hlo.graph import build_graph

        graph = build_graph(self.module)
        for record in self.op_records:
            derived = {"intensity_flops_per_byte": record.intensity_flops_per_byte}
            graph.nodes[record.name].update(asdict(record) | derived)
            del graph.nodes[record.name]["name"]
        return graph

    @cached_property
    def ops(self) -> pd.DataFrame:
        """One row per executed instruction, in schedule order; times are seconds.

        Its ``attrs["figures_of"]`` tells whose figures these are, as that of `layers` does.
        """
        found = frame(self.op_records, OP_COLUMNS)
        found.attrs["figures_of"] = self.figures_of
        return found

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row per layer and phase, parents before children."""
        found = frame(self.layer_records, LAYER_COLUMNS)
        found.attrs["figures_of"] = self.figures_of
        return found

    def by(self, by: str) -> pd.DataFrame:
        """Add the ops up by layer, function or line of the code.

        Args:
            by: ``layer``; ``function`` or ``line``, callers before what they call.

        Returns:
            One row each, with the columns of `layers`; of functions and lines, which are not split
            by phase, ``layer`` is the path of calls, and ``source`` and ``text`` say where each
            stands and what is written there. The rows of depth 0 add up to the program, and so do
            the leaves.

        Raises:
            InputError: There is no such way to add them up.

        Example:
            >>> import jax, jax.numpy as jnp, edgegraph as eg
            >>> def force(x):
            ...     return jnp.sin(x) / x
            >>> def step(x):
            ...     return x + 0.1 * force(x)
            >>> analysis = eg.analyze(step, args=(jax.ShapeDtypeStruct((64,), "float32"),))
            >>> analysis.by("function")[["layer", "flops", "transcendentals"]]
                     layer  flops  transcendentals
            0         step    192               64
            1   step/force     64               64
            2   step/(own)    128                0
        """
        if by == "layer":
            return self.layers
        found = frame(self.records_by(by), CODE_COLUMNS)
        found.attrs["figures_of"] = self.figures_of
        return found

    def records_by(self, by: str) -> tuple[LayerRecord, ...]:
        """Return the rows of `by`."""
        if by not in VIEWS:
            raise InputError(f"cannot add up by {by!r}; choose one of: {', '.join(VIEWS)}")
        return self.layer_records if by == "layer" else getattr(self, f"_by_{by}")

    @cached_property
    def _by_function(self) -> tuple[CodeRecord, ...]:
        return self._code("function")

    @cached_property
    def _by_line(self) -> tuple[CodeRecord, ...]:
        return self._code("line")

    def _code(self, by: By) -> tuple[CodeRecord, ...]:
        trace = self.op_trace
        rows = code_records(
            self.op_records,
            () if trace is None else trace.shares,
            self.module,
            by,
            made_at=self.environment.created_at,
        )
        if self.stage == "lowered":  # whose ops are no kernels
            rows = tuple(replace(row, bound=None) for row in rows)
        return rows

    @cached_property
    def view(self) -> str:
        """By what its rows are shown: `shown_by`, or ``layer`` or ``function``, which says more.

        Layers do where they cover half of the time and more, or as much as functions; without
        times, of the FLOPs.
        """
        if self.shown_by is not None:
            return self.shown_by
        leaves = self.op_tree.leaves
        weights = [op.time_s or 0.0 for op in leaves]
        if not sum(weights):
            weights = [float(op.flops or 0) for op in leaves]
        held = list(zip(leaves, weights, strict=True))
        in_layers = sum(weight for op, weight in held if op.layer is not None)
        in_code = sum(weight for op, weight in held if op.stack_frame is not None)
        return "function" if in_layers < min(in_code, sum(weights) / 2) else "layer"

    @cached_property
    def what_if(self) -> pd.DataFrame:
        """What the whole would gain if a layer ran at its roofline, the largest gain first.

        One row per leaf layer and phase: ``layer phase time_s roof_time_s gain_s gain_share
        speedup bound time_source``. ``gain_share`` is of the sum of all layers' times; what was
        not measured has no gain (NaN).
        """
        return frame(what_if(self.layer_records), WHAT_IF_COLUMNS)

    @cached_property
    def compiled_together(self) -> pd.DataFrame:
        """What compiling layers together gained or cost, against each compiled alone.

        One row for the whole program (no layer) and every cut into layers, and one for every
        layer that was timed both as one piece and in parts: ``layer phase depth parts
        together_s alone_s difference_s change noise_s verdict``. Empty if not measured.
        """
        compared = compare_together(self.latency, self.layer_latencies)
        return frame(compared, TOGETHER_COLUMNS)

    def run_notes(self) -> Notes:
        """Return what the run database notes about it: every total among its figures."""
        totals = self.totals
        figures = {
            **totals,
            **timed(self.latency, best_throughput(self.throughputs)),
            "bytes": totals.bytes_read + totals.bytes_written,
            "peak_memory_bytes": None if self.memory is None else self.memory.peak_bytes,
            "live_memory_bytes": (
                None if self.live_memory is None else self.live_memory.peak_bytes
            ),
            "lower_s": self.lower_s,
            "compile_s": self.compile_s,
        }
        return Notes(
            workload=self.workload,
            fingerprint=self.fingerprint,
            verdict=None if self.latency is None else self.latency.verdict,
            batch=self.batch,
            target=self.target,
            options=self.options,
            environment=self.environment,
            metrics=numbers(figures.items()),
        )

    def plot(self, kind: str | None = None, ax: Axes | None = None, **size: float) -> Axes:
        """Draw one of the figures.

        Args:
            kind: ``roofline``, ``layers``, ``memory`` or ``graph``; where None the roofline, or
                without a device the graph, for there are no roofs.
            ax: Where to draw; a new figure of one paper column where None.
            **size: ``width`` of a new figure, in inches.

        Returns:
            The Axes drawn on; ``ax.figure.savefig("roofline.pdf")`` keeps it.

        Raises:
            InputError: There is no figure of that kind, or the analysis lacks what it shows.
        """
        drawn: Axes = self.draw(kind, ax, **size)
        return drawn

    @property
    def _main_figure(self) -> str:
        return "graph" if self.device is None else "roofline"
