"""Which of two programs is faster, as far as this machine can tell."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

FASTER = "faster"
SLOWER = "slower"
NO_DIFFERENCE = "no difference"
NOISY = "NOISY"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTimes:
    """What one fresh process saw, in which the calls of both programs took turns.

    Attributes:
        first_s, second_s: Median of a call of each.
        control_s: Median of a call of the first, loaded a second time.
        ratio: second / first: the median of the ratios of calls that were made in one round.
        control_ratio: control / first, likewise; what it strays from 1 is noise.
        pairs: Calls of each that were compared.
        others_share: Share of the cores' time that other processes took; None if unknown.
    """

    first_s: float
    second_s: float
    control_s: float
    ratio: float
    control_ratio: float
    pairs: int
    others_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingComparison:
    """The second program against the first, paired and interleaved over fresh processes.

    Attributes:
        first, second: Names of the programs.
        first_s, second_s: Medians over the processes.
        ratio: second / first: above 1 the second is slower. Geometric mean over the processes.
        interval: 95 % confidence interval of the ratio, from the spread between processes.
        control_ratio, control_interval: The same of the first program against itself, taken in
            the same rounds of the same processes.
        verdict: The second is ``faster`` or ``slower``, there is ``no difference`` that this
            comparison could see, or it is too ``NOISY`` to say.
        reasons: Why it is ``NOISY``, one line each.
        cores: Cores that the processes could use.
        processes: What each process saw.
    """

    first: str
    second: str
    first_s: float
    second_s: float
    ratio: float
    interval: tuple[float, float]
    control_ratio: float
    control_interval: tuple[float, float]
    verdict: str
    reasons: tuple[str, ...] = ()
    cores: int
    processes: tuple[ProcessTimes, ...]

    @property
    def largest_difference(self) -> float:
        """The largest difference from 1, either way, that the interval leaves possible."""
        low, high = self.interval
        return max(high - 1.0, 1.0 - low)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per process, in the order they ran; columns as on `ProcessTimes`."""
        import pandas as pd

        names = [field.name for field in fields(ProcessTimes)]
        return pd.DataFrame(
            {name: [getattr(one, name) for one in self.processes] for name in names}
        ).astype({"others_share": "float64"})

    def save(self, path: str | Path) -> Path:
        """Write the comparison to `path` (usually ``*.edgegraph``), atomically.

        Raises:
            InputError: The folder does not exist or cannot be written.
        """
        from edgegraph.results.files import save

        return save(self, path)

    def __str__(self) -> str:
        """Describe the outcome in one line."""
        from edgegraph.units import seconds

        (low, high), (control_low, control_high) = self.interval, self.control_interval
        outcome = {
            FASTER: f"{self.second} is faster than {self.first}",
            SLOWER: f"{self.second} is slower than {self.first}",
            NO_DIFFERENCE: f"no difference between {self.first} and {self.second}",
        }.get(self.verdict, f"too noisy to compare {self.first} and {self.second}")
        return (
            f"{outcome}: {seconds(self.second_s)} against {seconds(self.first_s)}, ratio"
            f" {self.ratio:.3f} (95 % {low:.3f} to {high:.3f}; control {self.control_ratio:.3f},"
            f" {control_low:.3f} to {control_high:.3f})"
            + "".join(f"; {reason}" for reason in self.reasons)
        )
