"""Which versions to hold against each other: from what was asked to environments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgegraph.base.timing import Progress
from edgegraph.errors import EdgeGraphError, InputError
from edgegraph.studies.regress.environments import (
    find_interpreter,
    index_versions,
    is_interpreter,
    make_environment,
    own_requirements,
)

SPAN = ".."
"""Between two versions: these, and all that the index has in between."""

NEEDED = ("flatbuffers",)
"""What jax.export needs, and does not ask for."""

_PARTS = re.compile(r"\d+|[a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One version that was asked for.

    Attributes:
        label: What it is called.
        jax: Its version; None where an environment is named, which says its own.
        requirements: What pip is asked for; none where an environment is named.
        python: A version of Python, or the interpreter of the environment.
    """

    label: str
    jax: str | None
    requirements: tuple[str, ...] = ()
    python: str | None = None


def wanted_versions(
    *,
    jax: Sequence[str] = (),
    python: Sequence[str] = (),
    flax: Sequence[str] = (),
    libtpu: Sequence[str] = (),
    packages: Sequence[str] = (),
    edgegraph: bool = False,
    nightly: bool = False,
    fewest: int = 2,
    kind: str = "cpu",
) -> list[Wanted]:
    """Return what is to be compared, in the order in which it is named.

    Args:
        jax: Versions; ``0.10.0..0.10.2`` is these and all between that the index has.
        python: A version to make environments for, and interpreters of those that are there.
        flax: One version for all, or one for each of `jax`.
        libtpu: Likewise.
        packages: What else the workload needs, as pip takes it.
        edgegraph: Whether EdgeGraph has to run there.
        nightly: Whether a span has what was released before its time, too.
        fewest: How many there must be.
        kind: Of the target: ``cpu``, ``tpu`` or ``gpu``, whose compiler is installed as well.

    Raises:
        InputError: There are fewer than two, or lists of different lengths.
    """
    paths = [each for each in python if is_interpreter(each)]
    plain = [each for each in python if not is_interpreter(each)]
    if len(plain) > 1:
        raise InputError(f"--python names {', '.join(plain)}; environments are made for one Python")
    base = plain[0] if plain else None
    versions = [each for text in jax for each in _span(text, base, nightly=nightly)]
    count = max(len(versions), len(flax), len(libtpu)) if versions else 0
    lists = {"jax": versions, "flax": list(flax), "libtpu": list(libtpu)}
    for name, given in lists.items():
        if versions and len(given) not in (0, 1, count):
            raise InputError(
                f"--{name} has {len(given)} versions and another option {count}; give one for all,"
                " or one for each"
            )
    more = [*NEEDED, *packages, *(own_requirements() if edgegraph and versions else [])]
    found = [_wanted(lists, at, more, base, kind) for at in range(count)]
    found += [Wanted(label=path, jax=None, python=path) for path in paths]
    if len(found) < fewest:
        raise InputError(
            "two versions at least are compared; name them with --jax 0.10.0,0.10.2, or"
            " environments that are there with --python PATH, twice"
        )
    return found


def _wanted(
    lists: Mapping[str, Sequence[str]], at: int, more: Sequence[str], python: str | None, kind: str
) -> Wanted:
    """Return one of the versions to make an environment for."""
    pinned = {name: given[min(at, len(given) - 1)] for name, given in lists.items() if given}
    pins = [f"{name}=={version}" for name, version in pinned.items()]
    if kind == "tpu" and not lists["libtpu"]:
        pins[0] = f"jax[tpu]=={pinned['jax']}"  # with the libtpu that belongs to it
    if kind == "gpu":
        pins += [f"jax-cuda12-plugin=={pinned['jax']}", "nvidia-cuda-nvcc-cu12"]
    varied = [f", {name} {pinned[name]}" for name in ("flax", "libtpu") if len(lists[name]) > 1]
    return Wanted(
        label=pinned["jax"] + "".join(varied),
        jax=pinned["jax"],
        requirements=tuple(dict.fromkeys([*pins, *more])),
        python=python,
    )


def version_key(version: str) -> tuple[tuple[int, str], ...]:
    """Return what versions are ordered by; what comes before a release stands before it.

    Example:
        >>> sorted(["0.10.2", "0.9.1", "0.10.2.dev20260101", "0.10.2.1"], key=version_key)
        ['0.9.1', '0.10.2.dev20260101', '0.10.2', '0.10.2.1']
    """
    parts = [(int(each), "") if each.isdigit() else (-1, each) for each in _PARTS.findall(version)]
    return (*parts, (-1, "~"))


def told_apart(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Give versions that are asked for twice different names."""
    seen: Counter[str] = Counter()
    made = []
    for each in wanted:
        seen[each.label] += 1
        again = f" ({seen[each.label]})" if seen[each.label] > 1 else ""
        made.append(replace(each, label=each.label + again))
    return made


def _span(text: str, python: str | None, *, nightly: bool) -> list[str]:
    first, dots, last = text.partition(SPAN)
    if not dots:
        return [text]
    low, high = version_key(first), version_key(last)
    every = index_versions("jax", find_interpreter(python), nightly=nightly)
    inside = [each for each in every if low <= version_key(each) <= high]
    if len(inside) < 2:
        raise InputError(
            f"--jax {text}: the index has {len(inside)} version{'s' * (len(inside) != 1)} of jax"
            f" from {first} to {last} for this Python"
        )
    return inside


def environment_of(wanted: Wanted, progress: Progress) -> Path:
    """Return the interpreter of a version; make its environment where there is none.

    Raises:
        EdgeGraphError: It cannot be made, or there is no such interpreter.
    """
    if wanted.requirements:
        return make_environment(wanted.requirements, python=wanted.python, progress=progress)
    path = Path(wanted.python or "")
    if not path.exists():
        raise EdgeGraphError(f"there is no interpreter at {path}")
    return path.absolute()
