"""What an analysis says besides its figures: memory, where it was made, what stands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse:
    """XLA's own memory statistics of the executable, in bytes.

    Attributes:
        argument_bytes: What it is called with, weights included.
        output_bytes: Its results.
        temp_bytes: What is set aside for intermediates.
        alias_bytes: Results that are written over arguments.
        code_bytes: The machine code; None where a dump does not tell.
    """

    argument_bytes: int
    output_bytes: int
    temp_bytes: int
    alias_bytes: int
    code_bytes: int | None

    @property
    def peak_bytes(self) -> int:
        """Arguments, outputs and temporaries together, aliased buffers counted once."""
        return self.undonated_peak_bytes - self.alias_bytes

    @property
    def undonated_peak_bytes(self) -> int:
        """The most that it takes without donation, where no result is written over an argument.

        The compiler may then need fewer temporaries.
        """
        return self.argument_bytes + self.output_bytes + self.temp_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where and with what the analysis was made.

    Attributes:
        edgegraph, jax, jaxlib, python: Versions.
        platform: The operating system.
        processor: Name of the processor.
        cores: Logical cores that it has.
        affinity: Cores that the process could use.
        governor: How the system sets the clock rate; None if it does not tell.
        load_1min: Processes that ran or waited in the last minute, on average; None if unknown.
        created_at: UTC, ISO 8601.
    """

    edgegraph: str
    jax: str
    jaxlib: str
    python: str
    platform: str
    processor: str
    cores: int
    affinity: int
    governor: str | None
    load_1min: float | None
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Finding:
    """One thing worth knowing, in plain words and with its numbers.

    Attributes:
        rule: Name of the rule that found it (``memory-bound-dense``).
        layer: The layer it is about, or None for the whole program.
        seen: What was seen, with the numbers in the sentence.
        why: Why it matters.
        try_next: What to try.
        numbers: The figures behind the sentence, by name with unit.
        certainty: ``high``, ``medium`` or ``low``.
        weight: What findings are ranked by, 0 to 1: `gain` where it is known, else `share`, else
            what the rule says.
        phase: The phase of the layer, where it is about one.
        share: Share of the program's time that it concerns; None where it concerns none, or nobody
            knows.
        gain: Share of the program's time that its advice can save at most; None where unknown.
    """

    rule: str
    layer: str | None
    seen: str
    why: str
    try_next: str
    numbers: Mapping[str, float]
    certainty: str
    weight: float = 0.0
    phase: str | None = None
    share: float | None = None
    gain: float | None = None

    def __repr__(self) -> str:
        """Say what was seen and what to try, so that a tuple of them reads as text."""
        return f"<{self.rule}: {self.seen}. Try: {self.try_next}.>"
