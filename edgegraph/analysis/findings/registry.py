"""The registry of rules that find something, and the evidence they look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from edgegraph.base.timing import bulk
from edgegraph.errors import InputError
from edgegraph.hlo import opcodes
from edgegraph.hlo.graph import flatten
from edgegraph.hlo.op_name import UNATTRIBUTED, scope_of
from edgegraph.hlo.op_tree import Kernel, OpTree
from edgegraph.hlo.parameters import model_arguments
from edgegraph.results.analysis import Analysis, Finding, LayerRecord, OpRecord
from edgegraph.results.verdicts import OK

if TYPE_CHECKING:
    from edgegraph.hlo.module import Instruction, Module


LARGE_SHARE = 0.1
"""A layer below this share of the time is not worth a finding of its own: running it in no time
at all would gain less than a change of the batch or the dtype does."""


LEAST_S = 1e-6
"""What takes less than a microsecond takes less than starting a kernel: no roof binds it, and
nothing is gained by making it faster."""


class Share(NamedTuple):
    """Part of the program, 0 to 1, with a certainty: ``high`` if measured, ``low`` if of bytes."""

    value: float
    of: str
    certainty: str


class Evidence:
    """What rules look at.

    Attributes:
        analysis: The finished Analysis, but for its findings.
        jaxpr: The traced program; None where only its module is known.
    """

    def __init__(
        self,
        analysis: Analysis,
        module: Module | None = None,
        jaxpr: Any = None,
        kept: frozenset[str] | None = None,
    ) -> None:
        self.analysis = analysis
        self.jaxpr = jaxpr
        self._module = module
        self._kept = kept

    @property
    def module(self) -> Module:
        """The decoded HLO module."""
        return self.analysis.module if self._module is None else self._module

    @cached_property
    def kept(self) -> frozenset[str]:
        """Names of the program's arguments that a model keeps: its parameters, its state."""
        return model_arguments(flatten(self.module)).held if self._kept is None else self._kept

    @cached_property
    def instructions(self) -> Mapping[str, Instruction]:
        """Every instruction of the module by its name."""
        return {
            instruction.name: instruction
            for computation in self.module.computations.values()
            for instruction in computation.instructions
        }

    def instruction(self, record: OpRecord) -> Instruction:
        """Return the instruction that an op executes: its name, less those of its callers."""
        parts = record.name.split("/")
        # Names in files that XLA did not write may have a slash themselves.
        names = ("/".join(parts[start:]) for start in range(len(parts)))
        return next(self.instructions[name] for name in names if name in self.instructions)

    @property
    def tree(self) -> OpTree[OpRecord]:
        """The ops by what holds them."""
        return self.analysis.op_tree

    @property
    def kernels(self) -> Sequence[Kernel[OpRecord]]:
        """Everything that is launched, in schedule order."""
        return self.tree.kernels

    @property
    def control_flow(self) -> Sequence[OpRecord]:
        """The loops, calls and conditionals, those around others before them."""
        return [record for record in self.tree.outside if record.opcode in opcodes.CONTROL_FLOW]

    def kernels_in(self, container: OpRecord) -> Sequence[Kernel[OpRecord]]:
        """Return what a loop, call or conditional launches."""
        inside: set[str | None] = {container.name}
        for record in self.tree.outside:
            if record.parent in inside:
                inside.add(record.name)
        return [kernel for kernel in self.kernels if kernel.name in inside]

    @cached_property
    def small_kernels(self) -> Sequence[Kernel[OpRecord]]:
        """The kernels that no roof explains, where starting these takes most of the time."""
        return [kernel for kernel in self.kernels if kernel.head.bound == "overhead"]

    @cached_property
    def whole_work(self) -> int:
        """FLOPs and transcendentals of all ops."""
        return sum(map(work_of, self.tree.top))

    @cached_property
    def large_layers(self) -> Sequence[tuple[LayerRecord, Sequence[OpRecord]]]:
        """The layers that take `LARGE_SHARE` of the time and more, with their ops if they multiply.

        What has no products is never asked for its ops, and that is most of an optimizer's.
        """
        large = {
            (scope_of(row.layer), row.phase): row
            for row in self.analysis.layer_records
            if row.leaf and row.share is not None and row.share >= LARGE_SHARE
        }
        held: dict[tuple[str, str], list[OpRecord]] = {
            layer_phase: [] for layer_phase, row in large.items() if row.macs
        }
        layers = {None if layer == UNATTRIBUTED else layer for layer, _ in held}
        for record in self.tree.leaves if held else ():
            if record.layer in layers:
                layer_phase = (record.layer or UNATTRIBUTED, record.phase)
                if layer_phase in held:
                    held[layer_phase].append(record)
        return [(row, held.get(layer_phase, ())) for layer_phase, row in large.items()]

    @cached_property
    def longest_s(self) -> Mapping[tuple[str, str], float]:
        """The longest time at the roof that one execution of an op takes, by layer and phase."""
        found: dict[tuple[str, str], float] = {}
        for op in self.tree.leaves:
            place, roof_s = (op.layer or UNATTRIBUTED, op.phase), op.roof_time_s
            if roof_s:
                found[place] = max(found.get(place, 0.0), roof_s / (op.executions or 1))
        return found

    @cached_property
    def costly(self) -> Mapping[str, Sequence[OpRecord]]:
        """The ops of every kernel that cost something, so far as is known, by its name."""
        return {kernel.name: costly(kernel) for kernel in self.kernels}

    @cached_property
    def launches(self) -> Mapping[tuple[str, str], int]:
        """How many kernels of a layer and phase one call launches."""
        found: Counter[tuple[str, str]] = Counter()
        for kernel in self.kernels:
            for place in {(op.layer or UNATTRIBUTED, op.phase) for op in self.costly[kernel.name]}:
                found[place] += kernel.head.executions or 1
        return found

    def is_brief(self, time_s: float | None) -> bool:
        """Return whether a time is known and too short to be worth a word."""
        return time_s is not None and 0 < time_s < LEAST_S

    @cached_property
    def noisy(self) -> bool:
        """Whether the latency was not measured, or too badly to rest a verdict on."""
        latency = self.analysis.latency
        return latency is None or latency.verdict != OK

    @cached_property
    def untrusted_times(self) -> bool:
        """Whether the ops' times were measured on a machine that was not still."""
        latency = self.analysis.latency
        measured = self.analysis.op_trace is not None
        return measured and latency is not None and latency.verdict != OK

    @cached_property
    def whole_s(self) -> float:
        """Best known times of all ops together; 0 where none is known."""
        return sum(self.takes_s(record) or 0.0 for record in self.tree.top)

    @cached_property
    def whole_bytes(self) -> int:
        """Bytes that all ops read and write."""
        return sum(map(bytes_of, self.tree.top))

    def share(self, records: Iterable[OpRecord]) -> Share:
        """Return some ops' share of the program: of the time, or of the bytes if not timed."""
        if not self.whole_s:
            moved = sum(map(bytes_of, records))
            part = moved / self.whole_bytes if self.whole_bytes else 0.0
            return Share(part, "the bytes moved", "low")
        part = sum(self.takes_s(record) or 0.0 for record in records) / self.whole_s
        # Transfers overlap with compute, so the parts may add up to more than the whole.
        part = min(1.0, part)
        if self.by_expected:
            return Share(part, "the expected time", "medium")
        if self.analysis.op_trace is None:
            return Share(part, "the estimated time", "medium")
        return Share(part, "the time", "high")

    @cached_property
    def by_expected(self) -> bool:
        """Whether shares are of what is expected: no roof tells of small kernels, nor a trace."""
        return bool(self.small_kernels) and self.analysis.op_trace is None

    def takes_s(self, record: OpRecord) -> float | None:
        """Return the best known time of an op."""
        return record.expected_time_s if self.by_expected else record.time_s


def bytes_of(record: OpRecord) -> int:
    """Return the bytes that an op reads and writes, 0 where they are unknown."""
    return (record.bytes_read or 0) + (record.bytes_written or 0)


def work_of(record: OpRecord) -> int:
    """Return the FLOPs and transcendentals of an op, 0 where they are unknown."""
    return (record.flops or 0) + (record.transcendentals or 0)


def costly(kernel: Kernel[OpRecord]) -> Sequence[OpRecord]:
    """Return the ops of a kernel that cost something, so far as is known."""
    return [op for op in kernel.ops if bytes_of(op) or work_of(op)]


def common_layer(records: Iterable[OpRecord]) -> str | None:
    """Name the layer that ops belong to; None where they belong to several or to none."""
    layers = {record.layer for record in records}
    return layers.pop() if len(layers) == 1 else None


_Found = TypeVar("_Found")


def once(look: Callable[[Evidence], _Found]) -> Callable[[Evidence], _Found]:
    """Decorate what several rules ask of the same evidence, so that it is looked up once."""
    known: WeakKeyDictionary[Evidence, _Found] = WeakKeyDictionary()

    @wraps(look)
    def found(evidence: Evidence) -> _Found:
        if evidence not in known:
            known[evidence] = look(evidence)
        return known[evidence]

    return found


Rule = Callable[[Evidence], Iterable[Finding]]
"""Looks at an analysis and gives what it found, usually nothing."""

RULES: dict[str, Rule] = {}
"""Every rule by its name."""


COMPILED_ONLY: set[str] = set()
"""Rules about kernels, copies and bounds, which only a compiled program has."""


def register_finding(name: str, *, compiled: bool = False) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule that finds `name`.

    The rule runs at the end of every `edgegraph.analyze` from then on. It takes the place of one
    registered earlier under the same name, also of one that EdgeGraph brings along.

    Args:
        name: What its findings carry as their `rule`, in lower case with hyphens.
        compiled: Whether it is about kernels, copies or bounds, and says nothing of a program
            before optimisation.

    Returns:
        A decorator for a function that takes an `Evidence`, whose `analysis` is the Analysis
        (its `findings` still empty), and gives findings.

    Raises:
        InputError: The name is no text, or empty.

    Example:
        A rule for arithmetic in float64, which accelerators are slow at:

        >>> import edgegraph as eg
        >>> @eg.register_finding("double-precision")
        ... def double_precision(evidence):
        ...     ops = [op for op in evidence.analysis.op_records if op.dtype == "f64" and op.flops]
        ...     if ops:
        ...         yield eg.Finding(
        ...             rule="double-precision",
        ...             layer=None,
        ...             seen=f"{len(ops)} ops compute in float64",
        ...             why="most accelerators have a small fraction of their peak for it",
        ...             try_next="leave jax_enable_x64 off, or cast the inputs to float32",
        ...             numbers={"ops": float(len(ops))},
        ...             certainty="high",
        ...             weight=1.0,
        ...         )

        `edgegraph.analysis.findings.RULES` holds it; taken out, it runs no more:

        >>> from edgegraph.analysis.findings import RULES
        >>> RULES.pop("double-precision") is double_precision
        True
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(
            f"register_finding got the name {name!r}; expected the name of its findings, such as"
            ' @eg.register_finding("double-precision")'
        )

    def register(rule: Rule) -> Rule:
        RULES[name] = rule
        (COMPILED_ONLY.add if compiled else COMPILED_ONLY.discard)(name)
        return rule

    return register


@bulk
def find(
    analysis: Analysis,
    module: Module | None = None,
    jaxpr: Any = None,
    kept: frozenset[str] | None = None,
) -> tuple[Finding, ...]:
    """Apply every rule; return findings, those by which most can be won first.

    What is known already of the analysed program need not be found out again: its module, its
    jaxpr, and which arguments a model has `kept`.
    """
    evidence = Evidence(analysis, module, jaxpr, kept)
    found: list[Finding] = []
    for name, rule in RULES.items():
        if analysis.stage == "lowered" and name in COMPILED_ONLY:
            continue
        for finding in rule(evidence):
            if finding.rule != name:
                raise InputError(
                    f"the rule {name!r} returned a finding of rule {finding.rule!r}; it must carry"
                    " the name under which the rule was registered"
                )
            found.append(_weighed(finding))
    return tuple(sorted(found, key=lambda finding: -finding.weight))


def _weighed(finding: Finding) -> Finding:
    """Rank a finding by the time that its advice can save; where nobody knows, by its share."""
    if finding.gain is not None:
        return replace(finding, weight=finding.gain)
    return finding if finding.share is None else replace(finding, weight=finding.share)
