"""diff(): what changed from one analysis to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgegraph.bulk import bulk
from edgegraph.compare.align import align_layers
from edgegraph.compare.changes import count_same, op_changes
from edgegraph.compare.figures import figures, settings, subject
from edgegraph.compare.labels import Labels, label_instructions
from edgegraph.compare.layers import layer_changes
from edgegraph.compare.match import match
from edgegraph.compare.side import make_side
from edgegraph.errors import InputError
from edgegraph.results.analysis import Analysis
from edgegraph.results.diff import Diff, Subject
from edgegraph.results.files import load_analysis


@bulk
def diff(before: Analysis | str | Path, after: Analysis | str | Path) -> Diff:
    """Find out what changed from one analysis to another.

    Layers are aligned by their path, else by name, order and what they do; ops by layer, phase,
    and what they are, cost and stand beside, never by name. Times are compared with their noise.

    Args:
        before: An analysis, or a file that holds one.
        after: Another; it may differ in batch size, number type, versions, options and target, or
            be of another model.

    Returns:
        An immutable `Diff`; ``.empty`` where both programs do the same.

    Raises:
        InputError: One is no analysis, or there is no such file.
        FormatError: A file cannot be read, or holds something else.

    Example:
        >>> import jax, jax.numpy as jnp, edgegraph as eg
        >>> x = jax.ShapeDtypeStruct((8, 8), "float32")
        >>> small = eg.analyze(lambda x: jnp.tanh(x @ x), args=(x,), name="small")
        >>> large = eg.analyze(lambda x: jnp.tanh(x @ x @ x), args=(x,), name="large")
        >>> eg.diff(small, small).empty
        True
        >>> eg.diff(small, large).totals.loc["macs", ["before", "after"]].to_list()
        [512.0, 1024.0]
    """
    left, right = given_analysis(before), given_analysis(after)
    labels = Labels()
    exact = left.environment.jaxlib == right.environment.jaxlib
    aligned = align_layers(left, right)
    sides = [
        make_side(each, label_instructions(each.module, labels, exact=exact), labels, numbers)
        for each, numbers in ((left, aligned.before), (right, aligned.after))
    ]
    found = match(sides[0], sides[1], labels)
    changes = op_changes(sides[0], sides[1], found)
    subjects = subject(left), subject(right)
    return Diff(
        before=subjects[0],
        after=subjects[1],
        settings=settings(*subjects),
        figures=figures(left, right),
        layer_changes=layer_changes(left, right, aligned, changes),
        op_changes=changes,
        same_ops=count_same(sides[0], found),
        notes=tuple(_notes(left, right, *subjects)),
    )


def given_analysis(given: Analysis | str | Path) -> Analysis:
    """Return an analysis, read from its file where it is not one yet.

    Raises:
        InputError: It is neither, or there is no such file.
    """
    if isinstance(given, Analysis):
        return given
    if isinstance(given, str | Path):
        return load_analysis(given)
    raise InputError(
        f"cannot compare {given!r}; expected an Analysis, or the file that one was saved to"
    )


def _notes(left: Analysis, right: Analysis, before: Subject, after: Subject) -> Iterator[str]:
    if before.jaxlib != after.jaxlib:
        yield (
            f"jaxlib {before.jaxlib} and {after.jaxlib} write attributes differently; of ops only"
            " those that EdgeGraph decodes were compared"
        )
    if left.latency is not None and right.latency is not None and before.machine != after.machine:
        yield f"the times are of two machines: {before.machine}; {after.machine}"
    if before.stage != after.stage:
        yield f"one program is {before.stage} and the other {after.stage}: most ops differ"
