from __future__ import annotations

import math
import zipfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.errors import FormatError, InputError
from edgegraph.results import files
from edgegraph.results.files import load, load_analysis, save
from edgegraph.results.timing import ProcessTimes, TimingComparison
from tests import analyses


@pytest.mark.parametrize(
    "make", [analyses.small_cnn, analyses.gradient, analyses.without_device, analyses.hostile]
)
def test_saved_and_loaded_is_the_same_byte_for_byte(make: object, tmp_path: Path) -> None:
    analysis = make()  # type: ignore[operator]  # parametrized as object
    first = save(analysis, tmp_path / "first.edgegraph")
    loaded = load(first)
    assert loaded == analysis
    assert loaded.ops.equals(analysis.ops)
    assert loaded.layers.equals(analysis.layers)
    second = save(loaded, tmp_path / "second.edgegraph")
    assert first.read_bytes() == second.read_bytes()


def test_many_records_are_written_and_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = analyses.gradient()
    whole = save(analysis, tmp_path / "whole.edgegraph").read_bytes()
    monkeypatch.setattr(files, "_AT_ONCE", 3)
    monkeypatch.setattr(files, "_LARGE_BYTES", 1000)
    loaded = load_analysis(save(analysis, tmp_path / "parts.edgegraph"))
    assert (tmp_path / "parts.edgegraph").read_bytes() == whole
    assert loaded == analysis
    texts = [record.shape for record in loaded.op_records]
    assert len({id(text) for text in texts}) == len(set(texts))
    odd = msgspec.structs.replace(loaded.op_records[-1], time_s=float("nan"))
    with pytest.raises(InputError, match="is nan, expected a finite number"):
        save(replace(loaded, op_records=(*loaded.op_records, odd)), tmp_path / "a.edgegraph")


def test_nothing_but_the_file_is_left_behind(tmp_path: Path) -> None:
    save(analyses.small_cnn(), tmp_path / "a.edgegraph")
    assert [each.name for each in tmp_path.iterdir()] == ["a.edgegraph"]


@pytest.mark.parametrize("keep", [0, 1, 100, 1000, -1])
def test_a_file_that_was_cut_off_is_refused(keep: int, tmp_path: Path) -> None:
    path = save(analyses.small_cnn(), tmp_path / "a.edgegraph")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FormatError, match=r"a\.edgegraph"):
        load(path)


def rewritten(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, members.get(name.partition(".")[0], content))
    return path


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (b'{"format":"edgegraph","version":3}', "format version 3.*newer EdgeGraph"),
        (b'{"format":"edgegraph","version":1}', "format version 1.*make it again"),
        (b'{"format":"edgegraph","version":2,"kind":"os:system"}', "claims to hold a 'os:system'"),
        (b'{"format":"other","version":2}', "its format is 'other'"),
        (b'{"format":"edgegraph","version":2,"kind":"analysis","result":7}', "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"", "is damaged"),
    ],
)
def test_records_that_cannot_be_read_are_refused(
    records: bytes, message: str, tmp_path: Path
) -> None:
    path = rewritten(save(analyses.small_cnn(), tmp_path / "a.edgegraph"), result=records)
    with pytest.raises(FormatError, match=message):
        load(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", ["flops_coverage", "time_s"])
def test_a_number_that_cannot_be_written_is_refused(
    number: float, field: str, tmp_path: Path
) -> None:
    """Also where it would come back as unknown: the time may be None, the coverage may not."""
    analysis = analyses.small_cnn()
    totals = replace(analysis.totals, **{field: number})  # type: ignore[arg-type]  # one of two floats
    with pytest.raises(InputError, match=rf"analysis\.totals\.{field} is {number}, expected"):
        save(replace(analysis, totals=totals), tmp_path / "a.edgegraph")
    assert [each.name for each in tmp_path.iterdir()] == []


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    analysis = replace(analyses.small_cnn(), workload="a\ud800")
    with pytest.raises(InputError, match=r"cannot save this analysis: .*surrogates not allowed"):
        save(analysis, tmp_path / "a.edgegraph")


def test_a_value_of_another_type_is_refused(tmp_path: Path) -> None:
    broken = replace(analyses.small_cnn(), batch="32")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(InputError, match=r"cannot save this analysis: .*\$\.result\.batch"):
        save(broken, tmp_path / "a.edgegraph")


@given(
    st.builds(
        ProcessTimes, first_s=st.floats(), second_s=st.floats(), control_s=st.floats(0, 1),
        ratio=st.floats(0, 1), control_ratio=st.floats(0, 1), pairs=st.integers(0, 2**63 - 1),
        others_share=st.none() | st.floats(),
    )
)  # fmt: skip
def test_a_result_comes_back_as_it_was_or_is_refused(times: ProcessTimes) -> None:
    comparison = TimingComparison(
        first="a", second="b", first_s=1.0, second_s=2.0, ratio=2.0, interval=(1.9, 2.1),
        control_ratio=1.0, control_interval=(0.9, 1.1), verdict="slower", cores=2,
        processes=(times,),
    )  # fmt: skip
    floats = [times.first_s, times.second_s, times.others_share or 0.0]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.edgegraph"
        if all(map(math.isfinite, floats)):
            assert load(comparison.save(path)) == comparison
        else:
            with pytest.raises(InputError, match="cannot save this comparison of timings"):
                comparison.save(path)


def test_a_file_of_the_first_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.edgegraph"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("analysis.json", b'{"format":"edgegraph","version":1}')
    with pytest.raises(FormatError, match=r"format version 1, .* reads 2; make it again"):
        load(path)


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one of: analysis, "):
        save("a sweep", tmp_path / "a.edgegraph")


def test_a_module_that_is_not_the_one_saved_is_refused(tmp_path: Path) -> None:
    path = rewritten(save(analyses.small_cnn(), tmp_path / "a.edgegraph"), module=b"other")
    with pytest.raises(FormatError, match="does not match its digest"):
        load(path)


def test_another_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(FormatError, match=r"holds no result\.json"):
        load(path)


def test_a_member_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.edgegraph"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("result.json", b"0" * 100)
    raw = path.read_bytes()
    path.write_bytes(raw.replace((100).to_bytes(4, "little"), (2**31).to_bytes(4, "little")))
    with pytest.raises(FormatError):
        load(path)


def test_what_a_file_is_is_read_before_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another version may be as large as it likes."""
    path = save(analyses.small_cnn(), tmp_path / "a.edgegraph")
    newer = b'{"format":"edgegraph","version":3,"kind":"analysis","result":' + b"[7," * 100_000
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked whole"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("result.json", newer)
    with pytest.raises(FormatError, match="format version 3"):
        load(path)


def test_a_file_that_packs_tighter_than_any_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.edgegraph"
    start = b'{"format":"edgegraph","version":2,"kind":"analysis","result":'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("result.json", start + b" " * (1 << 20))
    with pytest.raises(FormatError, match="claims to unpack to 1,048,637 bytes"):
        load(path)


def test_a_missing_file_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file at .*none\.edgegraph"):
        load(tmp_path / "none.edgegraph")
    with pytest.raises(InputError, match="cannot write"):
        save(analyses.small_cnn(), tmp_path / "no" / "folder" / "a.edgegraph")


def test_an_older_file_is_kept_when_writing_fails(tmp_path: Path) -> None:
    path = save(analyses.small_cnn(), tmp_path / "a.edgegraph")
    before = path.read_bytes()
    broken = replace(analyses.small_cnn(), workload=object())  # type: ignore[arg-type]  # on purpose
    with pytest.raises(InputError, match="cannot save this analysis"):
        save(broken, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.edgegraph"]
