"""The largest batch: one more never fits, whatever the memory does in between."""

from __future__ import annotations

import jax
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import edgegraph as eg
from edgegraph.errors import CompileError, InputError
from edgegraph.studies.fit.batch import out_of_memory, search
from tests.studies.device_comparisons import dense


@settings(phases=[Phase.explicit, Phase.generate])  # shrinking takes minutes
@given(
    weights=st.integers(0, 10**7),
    each=st.integers(1, 10**6),
    pad=st.integers(1, 64),
    refused=st.integers(1, 10**4),
    limit=st.integers(0, 10**8),
    step=st.integers(1, 8),
)
def test_one_more_does_not_fit(
    weights: int, each: int, pad: int, refused: int, limit: int, step: int
) -> None:
    """Padded to whole tiles, and refused beyond some batch."""

    def needed(batch: int) -> int | None:
        assert batch not in asked, "every batch is compiled once"
        asked.append(batch)
        return weights + each * (-(-batch // pad) * pad) if batch <= refused * pad else None

    asked: list[int] = []
    found = search(needed, limit, step=step)
    assert found.next_batch == found.batch + step
    assert found.batch % step == 0
    assert found.next_bytes is None or found.next_bytes > limit
    assert found.batch == 0 or (found.needed_bytes or 0) <= limit
    assert len(asked) <= 64


def test_a_line_takes_few_compilations() -> None:
    found = search(lambda batch: 1000 + 7 * batch, 10**6)
    assert (found.batch, found.needed_bytes, found.next_bytes) == (142_714, 999_998, 1_000_005)
    assert len(found.tried) <= 7


def test_a_program_that_does_not_grow_has_no_largest_batch() -> None:
    with pytest.raises(InputError, match="step needs no more memory with a larger batch"):
        search(lambda batch: 1000, 10**6, name="step")


def test_a_dense_layer_by_hand() -> None:
    """31,360 bytes of weights, and 3,176 bytes for every example."""
    found = eg.largest_batch(dense(), target="device:rp2040")
    assert found.batch == (found.limit_bytes - 31_360) // 3_176
    assert found.needed_bytes == 31_360 + 3_176 * found.batch
    assert found.next_bytes == found.needed_bytes + 3_176


def test_nothing_fits_into_too_little() -> None:
    found = eg.largest_batch(dense(), target="cpu", memory="1kB")
    assert (found.batch, found.needed_bytes, found.next_batch) == (0, None, 1)


def test_what_has_no_batch_is_refused() -> None:
    fixed = eg.Workload.from_function(lambda x: x, lambda batch: (jax.numpy.ones(3),))
    object.__setattr__(fixed, "batched", False)
    with pytest.raises(InputError, match="has fixed shapes"):
        eg.largest_batch(fixed)


def test_refusals_for_memory_are_told_from_others() -> None:
    tpu = (
        "XLA does not compile small_cnn at batch 1048576 for tpu:v5e: E1000: CompileTimeHbmOom: Ran"
        " out of memory on HBM, the total memory required for HLO temporaries (113.38G) exceeds"
        " available HBM (15.75G)."
    )
    assert out_of_memory(CompileError(tpu))
    assert not out_of_memory(CompileError("XLA does not compile x: bad shape"))
