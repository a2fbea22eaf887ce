from __future__ import annotations

import json

import pytest

from edgegraph.rewrites.timed import best_forms, timed_forms_path


def form(rule: str, kept: bool) -> dict[str, object]:
    # A field that is not asked for is passed over.
    return {"rule": rule, "title": rule, "plain_s": 3.0, "form_s": 1.0, "kept": kept, "more": 1}


def test_the_best_form_of_every_site_is_found(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEGRAPH_CACHE_DIR", str(tmp_path))
    assert best_forms() == {}
    found = {"a(x)[]": [form("slow", False), form("fast", True)], "b(x)[]": [form("slow", False)]}
    timed_forms_path().write_text(json.dumps(found))
    best = best_forms()
    assert best["b(x)[]"] is None
    assert best["a(x)[]"] is not None
    assert best["a(x)[]"].rule == "fast"
    timed_forms_path().write_text("not JSON")
    assert best_forms() == {}
