"""Constraints are held against published advisories, wherever these are told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts import audit


class Osv(BaseHTTPRequestHandler):
    """Answers as https://google.github.io/osv.dev/post-v1-querybatch says; jax has an advisory."""

    answer: Any = None

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        results = [
            {"vulns": [{"id": "GHSA-1", "modified": "2026-01-01T00:00:00Z"}]}
            if query == {"package": {"name": "jax", "ecosystem": "PyPI"}, "version": "0.10.2"}
            else {}
            for query in asked
        ]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.answer or {"results": results}).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Osv) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_pins_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("# jax==1\njax==0.10.2\nnumpy==2.0\n")
    (tmp_path / "b.txt").write_text("jax==0.12.0\nnumpy==2.0\n")
    read = audit.pins(sorted(tmp_path.iterdir()))
    assert read == [("jax", "0.10.2"), ("jax", "0.12.0"), ("numpy", "2.0")]


def test_advisories_are_told_and_fail_only_where_asked_to(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.advisories([("jax", "0.10.2"), ("numpy", "2.0")], url) == {
        ("jax", "0.10.2"): ["GHSA-1"]
    }
    assert audit.main(["--url", url]) == 0
    assert "jax 0.10.2: GHSA-1\n1 of " in capsys.readouterr().out
    assert audit.main(["--url", url, "--strict"]) == 1


@pytest.mark.parametrize("answer", [{"results": []}, {"error": "busy"}, [1]])
def test_an_answer_of_another_form_is_none(
    url: str, answer: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Osv, "answer", answer)
    assert audit.main(["--url", url, "--strict"]) == 0
    assert "did not tell any" in capsys.readouterr().out


def test_where_nothing_answers_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--url", "http://127.0.0.1:9/", "--strict"]) == 0
    assert "did not tell any" in capsys.readouterr().out
