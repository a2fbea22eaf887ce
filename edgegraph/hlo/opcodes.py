"""What is true of an opcode wherever it stands: every set of opcodes, from one table.

A new opcode of XLA is one word in a row of the table, whose traits say how all of EdgeGraph takes
it. Rules that belong to one opcode (what a loop's body is handed, what an all-gather sends) stand
with the code that needs them.

Source: openxla/xla, ``xla/hlo/ir/hlo_opcode.h``; ``HloInstruction::IsElementwise``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Flag, auto


class Trait(Flag):
    """A trait; the sets below say what each means."""

    NONE = 0
    FREE = auto()
    CONTAINER = auto()
    FRAME = auto()
    START = auto()
    DONE = auto()
    COLLECTIVE = auto()
    DOT = auto()
    REDUCTION = auto()
    WINDOWED = auto()
    ELEMENTWISE = auto()
    CONVERTS = auto()
    VIEW = auto()
    SAME_VALUES = auto()
    REARRANGES = auto()
    COPIES = auto()
    FILLS = auto()
    READS_THROUGH = auto()
    OPAQUE = auto()


_T = Trait

_TABLE: tuple[tuple[Trait, str], ...] = (
    # Names of values
    (_T.FREE, "constant get-tuple-element parameter partition-id replica-id tuple"),
    (_T.FREE | _T.VIEW, "after-all opt-barrier"),
    (_T.FREE | _T.VIEW | _T.SAME_VALUES, "bitcast"),
    (_T.VIEW, "add-dependency"),
    # What holds ops
    (_T.CONTAINER, "fusion"),
    (_T.CONTAINER | _T.FRAME, "call conditional while"),
    (_T.CONTAINER | _T.START, "async-start"),
    # What other devices, the host or a copy engine do meanwhile
    (_T.START, "recv send"),
    (_T.START | _T.FILLS, "copy-start"),
    (_T.START | _T.COLLECTIVE, "all-gather-start all-reduce-start collective-permute-start"),
    (
        _T.DONE,
        "all-gather-done all-reduce-done async-done collective-permute-done copy-done recv-done"
        " send-done",
    ),
    (
        _T.COLLECTIVE,
        "all-gather all-reduce all-to-all collective-broadcast collective-permute"
        " collective-reduce ragged-all-to-all reduce-scatter",
    ),
    # What computes each element from the same element of its operands
    (
        _T.ELEMENTWISE,
        "abs acos acosh add and asin asinh atan atan2 atanh cbrt ceil clamp compare complex cosh"
        " cosine count-leading-zeros divide erf exponential exponential-minus-one floor imag"
        " is-finite log log-plus-one logistic map maximum minimum mulhi multiply negate not or"
        " popcnt power real remainder round-nearest-afz round-nearest-even rsqrt select shift-left"
        " shift-right-arithmetic shift-right-logical sign sine sinh sqrt subtract tan tanh xor",
    ),
    (_T.ELEMENTWISE | _T.CONVERTS, "reduce-precision stochastic-convert"),
    (_T.ELEMENTWISE | _T.CONVERTS | _T.SAME_VALUES, "convert"),
    (_T.ELEMENTWISE | _T.VIEW, "bitcast-convert"),
    # What moves data
    (_T.ELEMENTWISE | _T.VIEW | _T.SAME_VALUES | _T.REARRANGES | _T.COPIES, "copy"),
    (_T.VIEW | _T.SAME_VALUES | _T.REARRANGES | _T.COPIES, "transpose"),
    (_T.VIEW | _T.SAME_VALUES | _T.REARRANGES | _T.FILLS, "reshape"),
    (_T.VIEW | _T.SAME_VALUES | _T.FILLS, "broadcast"),
    (_T.FILLS | _T.OPAQUE, "iota"),
    (_T.VIEW | _T.SAME_VALUES | _T.COPIES, "reverse"),
    (_T.VIEW | _T.SAME_VALUES | _T.COPIES | _T.OPAQUE, "slice"),
    (_T.VIEW | _T.COPIES | _T.OPAQUE, "dynamic-slice"),
    (_T.COPIES, "dynamic-update-slice"),
    (_T.COPIES | _T.READS_THROUGH, "concatenate"),
    (_T.COPIES | _T.READS_THROUGH | _T.OPAQUE, "pad"),
    (_T.COPIES | _T.OPAQUE, "gather scatter sort"),
    # What sums up and multiplies
    (_T.REDUCTION | _T.READS_THROUGH, "reduce"),
    (_T.REDUCTION | _T.WINDOWED | _T.READS_THROUGH | _T.OPAQUE, "reduce-window"),
    (_T.REDUCTION | _T.WINDOWED, "select-and-scatter"),
    (_T.DOT, "dot ragged-dot scaled-dot"),
    (_T.OPAQUE, "convolution custom-call rng rng-bit-generator"),
    # All others
    (
        _T.NONE,
        "async-update batch-norm-grad batch-norm-inference batch-norm-training cholesky domain"
        " dynamic-reshape fft get-dimension-size infeed outfeed rng-get-and-update-state scan"
        " set-dimension-size shuffle topk triangular-solve",
    ),
)

TRAITS: Mapping[str, Trait] = {
    opcode: traits for traits, opcodes in _TABLE for opcode in opcodes.split()
}
"""Every opcode of HLO with its traits."""


def _having(trait: Trait) -> frozenset[str]:
    return frozenset(opcode for opcode, traits in TRAITS.items() if trait & traits)


FREE = _having(_T.FREE)
"""They name values but do no work and move no bytes."""

CONTAINERS = _having(_T.CONTAINER)
"""Their called computations hold ops of their own. The computations of all others (reducers,
comparators, scatter updates) are scalar functions, part of the caller's cost."""

CONTROL_FLOW = _having(_T.FRAME)
"""Containers whose contents are launched one by one, and have a schedule of their own."""

CALLERS = CONTAINERS - {"fusion"}
"""Containers whose contents have memory of their own, and whose costs are those of the ops in
them; a fusion is one kernel."""

INLINED = frozenset({"fusion", "call"})
"""Containers that run what they call once, on their operands by position, and hand on its
result."""

STARTS = _having(_T.START)
"""They set off what runs concurrently with the ops that follow, up to the ``-done``."""

DONES = _having(_T.DONE)
"""They wait for what another has started."""

WAITS = DONES | {"async-update"}
"""They do nothing themselves: all cost of an asynchronous operation stands at its start,
though XLA counts the bytes that have arrived once more."""

NO_KERNEL = FREE | CALLERS | WAITS
"""They launch nothing of their own where they stand outside of fusions."""

COLLECTIVES = _having(_T.COLLECTIVE)
"""They send data between devices; the ``-done`` halves only wait for it."""

PASSED_ALONG = frozenset({"collective-broadcast", "collective-reduce"})
"""Collectives that go from one device to the next, once round."""

GROUPED_BY_PARTITION = frozenset({"all-to-all", "collective-broadcast"})
"""Collectives whose groups are of partitions where they have a channel."""

DOTS = _having(_T.DOT)
"""They multiply their first two operands as matrices."""

PRODUCTS = DOTS | {"convolution"}
"""They multiply and add."""

REDUCTIONS = _having(_T.REDUCTION)
"""They combine many elements into one."""

WINDOWED = _having(_T.WINDOWED)
"""Reductions over a window that slides: pooling and its gradient."""

ELEMENTWISE = _having(_T.ELEMENTWISE)
"""They compute each element from the same element of their operands."""

CONVERSIONS = _having(_T.CONVERTS)
"""They write the same numbers in another dtype."""

VIEWS = _having(_T.VIEW)
"""Their result is another way to read their operand."""

SAME_VALUES = _having(_T.SAME_VALUES)
"""Their result has no other values than their operand, but for rounding."""

SAME_NUMBER = frozenset({"bitcast", "convert", "copy", "opt-barrier", "reshape"})
"""They hand on a number, or a tuple, as it is."""

REARRANGEMENTS = _having(_T.REARRANGES)
"""They write the same elements in another order or shape."""

HANDED_ON = REARRANGEMENTS | {"bitcast", "convert", "get-tuple-element"}
"""They belong to what they read, where nothing else says whose they are."""

COPIES = _having(_T.COPIES)
"""They bring what they read to other places, and compute nothing."""

REORDERINGS = COPIES - frozenset(
    {"concatenate", "dynamic-slice", "dynamic-update-slice", "pad", "slice"}
)
"""Of these, those that take elements one by one from places apart."""

GUARDED = frozenset({"dynamic-update-slice", "gather", "pad"})
"""They read an operand only where an index says so."""

MOVEMENTS = COPIES | _having(_T.FILLS)
"""They only fill memory, with what they read or with what takes nothing to make."""

TRANSFERABLE = frozenset({"copy", "slice", "dynamic-slice", "dynamic-update-slice"})
"""A copy engine does them while others compute."""

INDEXED = frozenset({"gather", "scatter"})
"""They read or write where indices say."""

READS_THROUGH = _having(_T.READS_THROUGH)
"""They can compute a chain of elementwise ops while they read its operands."""

OPAQUE = _having(_T.OPAQUE)
"""They have attributes that the decoded module does not have, so that two of them that look alike
need not be."""

MAY_ALIAS = frozenset({"custom-call", "fusion"})
"""They say themselves which operands they write over."""

WRITES_OVER = frozenset({"dynamic-update-slice", "scatter", "set-dimension-size"})
"""They change part of an array, in the memory that it lies in."""

GIVEN = frozenset({"constant", "parameter"})
"""Values that nothing has to compute."""

ENTRIES = frozenset({"conditional", "parameter", "while"})
"""Where a value enters or leaves a loop or branch, in memory that it lies in already."""

MADE_ANYWHERE = frozenset({"broadcast", "constant", "iota"})
"""They make the same value anywhere; they stand with what reads them."""

TUPLES = frozenset({"get-tuple-element", "tuple"})
"""They put values together and take them apart."""

MAKERS_BEHIND = TUPLES | INLINED | {"parameter", "while"}
"""Hold together or hand on what other ops have made, which are looked for behind them."""

LOOKUPS = frozenset({"dynamic-slice", "gather", "slice"})
"""They take some elements of their first operand."""

BY_ELEMENT = ELEMENTWISE | REARRANGEMENTS | frozenset(
    {"bitcast", "broadcast", "concatenate", "pad", "reverse"}
)  # fmt: skip
"""Each element of their result takes one of each operand at most."""

SHARES_A_KERNEL = BY_ELEMENT | {"dynamic-slice", "iota", "slice"}
"""They may share a kernel with what reads them, before anything is fused."""

HAS_EFFECTS = frozenset(
    {
        "conditional", "custom-call", "infeed", "outfeed", "parameter", "recv", "recv-done", "send",
        "send-done", "while",
    }
)  # fmt: skip
"""They stay where nothing reads their result."""

MADE_ELSEWHERE = INLINED | {"get-tuple-element", "parameter"}
"""Their value, as a whole, another op may have made."""

OF_MULTIPLY_ADDS = PRODUCTS | {"cholesky", "triangular-solve"}
"""XLA counts them by multiply-adds."""

OF_VALUES = ELEMENTWISE | (REDUCTIONS - {"select-and-scatter"})
"""Those whose work is so many operations for each value."""

APPLIERS = REDUCTIONS | {"all-reduce", "map", "scatter"}
"""Apply a computation of a single op to many numbers."""

PLUMBING = FREE - GIVEN | {"call"}
"""They hand values on; they come and go with the ops around them."""

IDLE = FREE | PLUMBING
"""They name values or hand them on."""

COMING_AND_GOING = PLUMBING | {"constant"}
"""They are not worth a line where they are new or gone; the ops that use them are."""

SLIGHT = FREE | {"broadcast", "copy", "reshape"}
"""They say little about which kernel is which."""

PRICED_BY_SHAPE = (
    ELEMENTWISE
    | TUPLES
    | GIVEN
    | {"bitcast", "broadcast", "iota", "reshape", "reverse", "transpose"}
) - {"map"}
"""Their price follows from the opcode and the shapes alone (hlo_cost_analysis.cc)."""

DETAILED = COLLECTIVES | PRODUCTS | MAY_ALIAS | WINDOWED | {
    "compare", "fft", "get-tuple-element", "send"
}  # fmt: skip
"""They have attributes that others do not have; so do parameters and constants, of which there are
many."""
