"""Ask OSV for the published vulnerabilities of the exact versions that are tested with.

One question of names and versions goes to https://osv.dev, which knows the advisories of PyPI.
Where it does not answer, that is said, and is no failure; what is found is one only with --strict.

    python -m scripts.audit
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints"
URL = "https://api.osv.dev/v1/querybatch"
TIMEOUT_S = 20.0

Pin = tuple[str, str]


def pins(paths: Iterable[Path]) -> list[Pin]:
    """Return every package and version of constraints files once."""
    lines = [line.partition("==") for path in paths for line in path.read_text().splitlines()]
    return sorted({(name, version) for name, equals, version in lines if equals and name[0] != "#"})


def advisories(asked: list[Pin], url: str = URL) -> Mapping[Pin, list[str]]:
    """Return the advisories of those that have some.

    Raises:
        OSError: It does not answer in time.
        ValueError: What it answers is no such list.
    """
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
        for name, version in asked
    ]
    request = urllib.request.Request(
        url, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        try:
            found = [each.get("vulns", []) for each in json.load(answer)["results"]]
            known = {
                pin: [each["id"] for each in some]
                for pin, some in zip(asked, found, strict=True)
                if some
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"an answer of another form: {error}") from error
    return known


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--strict", action="store_true", help="end with 1 where there are some")
    parser.add_argument("--url", default=URL)
    options = parser.parse_args(arguments)
    asked = pins(sorted(CONSTRAINTS.glob("*.txt")))
    try:
        known = advisories(asked, options.url)
    except (OSError, ValueError) as error:
        print(f"{options.url} was asked for advisories and did not tell any: {error}")
        return 0
    for (name, version), ids in known.items():
        print(f"{name} {version}: {', '.join(ids)}")
    print(f"{len(known)} of {len(asked)} versions have published vulnerabilities")
    return 1 if known and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
