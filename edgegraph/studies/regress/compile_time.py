"""What compiling takes, as plain data: as a whole, by pass, by layer, and how it grows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PassTime:
    """A pass of XLA's compiler, without the passes inside it.

    Attributes:
        name: As XLA calls it.
        threads: ``passes`` for the compiler's own thread, whose times add up to the whole;
            ``machine code`` for the threads beside it.
        before_s, after_s: Its time; None where the version does not run it, or there is none.
        ratio: After over before, over the processes; None where that is not known.
        interval: Its confidence interval.
        verdict: ``faster``, ``slower``, ``no difference`` or ``NOISY``; None where not compared.
    """

    name: str
    threads: str
    before_s: float | None = None
    after_s: float | None = None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    verdict: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCompile:
    """A layer compiled alone, and those that are the same as it.

    Attributes:
        layer: Its name; of several that are the same the first one's.
        phase: As on `LayerRecord`.
        repeats: How many layers are the same; they were compiled once.
        before_s, after_s: Time to compile one, once; None where it is not known.
    """

    layer: str
    phase: str
    repeats: int
    before_s: float | None = None
    after_s: float | None = None

    @property
    def ratio(self) -> float | None:
        """After over before, of one compilation each."""
        if not self.before_s or self.after_s is None:
            return None
        return self.after_s / self.before_s


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileGrowth:
    """How the time to compile grows with the number of layers that are the same.

    Attributes:
        version: That compiled them.
        layer: The first of them.
        repeats: How many stand in a row.
        exponent: The time grows as the number of layers to this power; None where it is so short
            that it shows no growth.
        interval: Of the exponent, 95 %; None where it was seen once.
        one_s, all_s: Time to compile one of them, and all.
    """

    version: str
    layer: str
    repeats: int
    exponent: float | None
    interval: tuple[float, float] | None
    one_s: float
    all_s: float

    @property
    def saved_s(self) -> float:
        """What a scan would save, which compiles one of them."""
        return self.all_s - self.one_s


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileTime:
    """What compiling takes, in two versions or in one.

    Attributes:
        before_s, after_s: Seconds in the compiler; of one version `after_s` alone.
        ratio: After over before, over fresh processes; None where they were not compared.
        interval, control_interval: Its confidence interval, and that of the first version against
            itself.
        verdict: ``faster``, ``slower``, ``no difference`` or ``NOISY``; None where not compared.
        passes: By pass, those that take longest first; none where XLA does not tell.
        layers: By layer compiled alone, those that take longest first; none where not asked for.
        growth: With depth, of each version.
    """

    before_s: float | None
    after_s: float | None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    control_interval: tuple[float, float] | None = None
    verdict: str | None = None
    passes: tuple[PassTime, ...] = ()
    layers: tuple[LayerCompile, ...] = ()
    growth: tuple[CompileGrowth, ...] = ()
