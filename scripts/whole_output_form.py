"""The form in which `scripts.whole_output` keeps files.

Masked are, only in results that are made anew: the time of making, load, and compile times, the
version, and the module's digest, since a module names the source files that built it.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import re
import zipfile

from scripts.whole_output_cases import REPOSITORY, Case


def readable(name: str, content: bytes, case: Case, paths: dict[str, str], since: str) -> bytes:
    """Return the content of a file in a form that can be read, masked where it is made anew."""
    if name.endswith((".png", ".pdf")):
        return content
    if name.endswith(".parquet"):
        import pandas as pd

        frame = pd.read_parquet(io.BytesIO(content))
        content = f"{frame.dtypes.to_string()}\n{frame.to_csv()}".encode()
    if name.endswith(".edgegraph"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read("result.json")
    text = content.decode()
    if name.endswith(".html"):
        text = re.sub(r'"(H4sI[\w+/=]+)"', unpacked, text)
    for path, word in (paths | ({str(REPOSITORY): "REPOSITORY"} if case.compiled else {})).items():
        text = text.replace(path, word)
    if not case.live:
        return text.encode()
    return masked(without_compile_times(text) if name.endswith(".csv") else text, since).encode()


def unpacked(found: re.Match[str]) -> str:
    """Return the data that a page holds packed."""
    return gzip.decompress(base64.b64decode(found[1])).decode()


def without_compile_times(table: str) -> str:
    r"""Return a CSV file without the values in its column ``compile_s``.

    Example:
        >>> without_compile_times("name,compile_s\nfull,0.5\n")
        'name,compile_s\nfull,TIME\n'
    """
    header, *rows = csv.reader(io.StringIO(table))
    if "compile_s" not in header:
        return table
    place = header.index("compile_s")
    text = io.StringIO()
    rows = [[*row[:place], "TIME" if row[place] else "", *row[place + 1 :]] for row in rows]
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def masked(text: str, since: str) -> str:
    """Return a text without what differs from run to run.

    Example:
        >>> masked('made 2031-02-03T04:05:06+00:00 of 2029-01-01T00:00:00+00:00', "2030-01-01")
        'made NOW of 2029-01-01T00:00:00+00:00'
    """

    def now(found: re.Match[str]) -> str:
        return "NOW" if found[0] >= since else found[0]

    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\+00:00)?", now, text)
    text = re.sub(r'("(?:load_1min|lower_s|compile_s)":\s*)[\d.e-]+', r"\1TIME", text)
    text = re.sub(r"(trace and lower |, compile )[\d.,]+ \w+", r"\1TIME", text)
    text = re.sub(r"(cores, load )[\d.]+", r"\1LOAD", text)
    text = re.sub(r'("edgegraph":\s*")[^"]*', r"\1VERSION", text)
    text = re.sub(r"(scripts/whole_output\.py:)\d+", r"\1LINE", text)
    return re.sub(r'("module_sha256":")\w+', r"\1DIGEST", text)
