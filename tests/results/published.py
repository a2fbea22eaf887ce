"""The published schema of documents, and what holds a document against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).parents[2] / "docs" / "document.schema.json"


SCHEMA = json.loads(PUBLISHED.read_text("utf-8"))


def check(value: Any, kind: Any, where: str = "document") -> None:
    """Hold a value against what JSON Schema says, as far as the document's schema uses it."""
    if "$ref" in kind:
        kind = SCHEMA["$defs"][kind["$ref"].rpartition("/")[2]]
    if "anyOf" in kind:
        for each in kind["anyOf"]:
            try:
                return check(value, each, where)
            except AssertionError:
                continue
        raise AssertionError(f"{where}: {value!r} is none of {kind['anyOf']}")
    if "enum" in kind:
        assert value in kind["enum"], where
        return None
    kinds = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
        "null": type(None), "boolean": bool,
    }  # fmt: skip
    assert isinstance(value, kinds[kind["type"]]), where  # type: ignore[arg-type]
    assert kind["type"] == "boolean" or not isinstance(value, bool), where
    if kind["type"] == "object":
        _check_object(value, kind, where)
    if kind["type"] == "array":
        fixed = kind.get("prefixItems", [])
        assert kind.get("minItems", 0) <= len(value) <= kind.get("maxItems", len(value)), where
        for number, each in enumerate(value):
            check(each, fixed[number] if number < len(fixed) else kind["items"], where)
    return None


def _check_object(value: Any, kind: Any, where: str) -> None:
    properties, more = kind.get("properties", {}), kind.get("additionalProperties", True)
    assert set(kind.get("required", ())) <= set(value), where
    for name, each in value.items():
        assert name in properties or more is not False, f"{where}.{name}"
        if name in properties or isinstance(more, dict):
            check(each, properties.get(name, more), f"{where}.{name}")
