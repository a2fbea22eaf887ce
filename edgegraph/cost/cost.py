"""The cost of ops as an algebra: sequence adds, loops multiply, branches take the maximum."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class Cost(Struct, frozen=True, kw_only=True, gc=False):
    """What running something costs; None where it is unknown.

    Attributes:
        macs: Multiply-accumulates.
        flops: Floating point (and integer) operations as XLA counts them.
        transcendentals: exp, log, tanh and the like, which XLA counts apart from FLOPs.
        bytes_read: Bytes read across kernel borders.
        bytes_written: Bytes written across kernel borders.
        wire_bytes: Bytes that each device sends to other devices.
        on_chip_bytes: Those of the bytes read and written that stay on the chip.
    """

    macs: int | None = 0
    flops: int | None = 0
    transcendentals: int | None = 0
    bytes_read: int | None = 0
    bytes_written: int | None = 0
    wire_bytes: int | None = 0
    on_chip_bytes: int | None = 0

    @property
    def known(self) -> bool:
        """Whether every figure is known."""
        return None not in (
            self.macs, self.flops, self.transcendentals, self.bytes_read, self.bytes_written,
            self.wire_bytes, self.on_chip_bytes,
        )  # fmt: skip

    def __mul__(self, times: int) -> Cost:
        """Return the cost of running it `times` times; what is unknown stays unknown.

        >>> cost = Cost(flops=10, bytes_read=None) * 3
        >>> cost.flops, cost.bytes_read, cost.bytes_written
        (30, None, 0)
        """
        if times == 1:
            return self
        return Cost(
            macs=_times(self.macs, times),
            flops=_times(self.flops, times),
            transcendentals=_times(self.transcendentals, times),
            bytes_read=_times(self.bytes_read, times),
            bytes_written=_times(self.bytes_written, times),
            wire_bytes=_times(self.wire_bytes, times),
            on_chip_bytes=_times(self.on_chip_bytes, times),
        )


ZERO = Cost()
UNKNOWN = Cost(
    macs=None, flops=None, transcendentals=None, bytes_read=None, bytes_written=None,
    wire_bytes=None, on_chip_bytes=None,
)  # fmt: skip
FIGURES = Cost.__struct_fields__
"""Names of the figures of a cost."""


def _times(value: int | None, times: int) -> int | None:
    return None if value is None else value * times


def known_sum(values: Iterable[int | None]) -> int:
    """Add what is known: a lower bound where something is not."""
    return sum([value for value in values if value is not None])


def sequence(costs: Iterable[Cost]) -> Cost:
    """Return the cost of running all `costs` one after the other, a lower bound of the unknown.

    >>> sequence([Cost(flops=2), Cost(flops=3), Cost(flops=None)]).flops
    5
    """
    known = list(costs)
    return Cost(
        macs=known_sum([c.macs for c in known]),
        flops=known_sum([c.flops for c in known]),
        transcendentals=known_sum([c.transcendentals for c in known]),
        bytes_read=known_sum([c.bytes_read for c in known]),
        bytes_written=known_sum([c.bytes_written for c in known]),
        wire_bytes=known_sum([c.wire_bytes for c in known]),
        on_chip_bytes=known_sum([c.on_chip_bytes for c in known]),
    )
