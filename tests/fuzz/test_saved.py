"""Damaged files of saved analyses are loaded or refused."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgegraph as eg
from edgegraph.analysis.analyze import analyze
from edgegraph.compiler.program import Program
from edgegraph.errors import FormatError
from tests.corpus.files import serialized
from tests.fuzz import damage
from tests.fuzz.follow import DEVICE
from tests.refusals import one_line

RECORDS, MODULE = "result.json", "module.hlo.pb"


@cache
def saved() -> bytes:
    """Return the bytes of a saved analysis."""
    program = Program(
        name="scan", batch=2, target="unknown", stage="optimized",
        serialized=serialized("handwritten/gpu_loop_with_trip_count.hlo"),
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        return analyze(program, device=DEVICE).save(f"{folder}/saved").read_bytes()


@cache
def members() -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "saved"
        path.write_bytes(saved())
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in (RECORDS, MODULE)}


def load(data: bytes) -> eg.Analysis | None:
    """Load a file with these bytes; None where it is refused."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "saved"
        path.write_bytes(data)
        try:
            found = eg.load(path)
        except FormatError as error:
            one_line(error)
            return None
        assert isinstance(found, eg.Analysis)
        return found


def packed(records: bytes, module: bytes | None = None) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "saved"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(RECORDS, records)
            archive.writestr(MODULE, members()[MODULE] if module is None else module)
        return path.read_bytes()


def test_what_is_not_damaged_is_loaded() -> None:
    assert load(saved()) == load(packed(members()[RECORDS])) is not None


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), cut=st.booleans())
def test_damaged_bytes_are_loaded_or_refused(seed: int, cut: bool) -> None:
    rng = random.Random(seed)
    data = bytearray(saved())
    # The directory of the archive stands at its end, and says most.
    tail = rng.random() < 0.5
    for _ in range(rng.choice((1, 1, 2, 5, 30))):
        at = rng.randrange(max(0, len(data) - 250) if tail else 0, len(data))
        data[at] = rng.choice((data[at] ^ 1 << rng.randrange(8), rng.randrange(256), 0, 255))
    load(bytes(data[: rng.randrange(len(data))] if cut else data))


def test_every_byte_of_the_archives_own_may_be_damaged() -> None:
    header, directory = range(30), range(len(saved()) - 200, len(saved()))
    for at in (*header, *directory):
        for value in (saved()[at] ^ 1, saved()[at] ^ 8, 14, 255):
            load(saved()[:at] + bytes([value]) + saved()[at + 1 :])


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_damaged_records_are_loaded_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    records = json.loads(members()[RECORDS])
    for _ in range(rng.choice((1, 1, 2, 5))):
        records = damage.value(rng, records)
    load(packed(json.dumps(records).encode()))


NESTED: dict[str, Callable[[], bytes]] = {
    "lists": lambda: b"[" * 100_000,
    "objects": lambda: b'{"a":' * 100_000,
    "in a field": lambda: members()[RECORDS][:-1] + b',"more":' + b"[" * 100_000,
    "no text": lambda: b"\xff\xfe",
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("records", NESTED.values(), ids=NESTED)
def test_records_that_are_none_are_refused(records: Callable[[], bytes]) -> None:
    assert load(packed(records())) is None


def test_another_module_is_refused() -> None:
    assert load(packed(members()[RECORDS], module=b"another")) is None
