"""Which operations have a quicker form, among those that `edgegraph improve` tries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgegraph.analysis.findings.registry import LARGE_SHARE, Evidence, once, register_finding
from edgegraph.base.units import percent, ratio
from edgegraph.hlo.op_name import UNATTRIBUTED, parse_op_name, scope_of
from edgegraph.results.analysis import Finding, LayerRecord
from edgegraph.rewrites.rewriter import Found, find_replaceable
from edgegraph.rewrites.rule import forms
from edgegraph.rewrites.timed import best_forms

USUAL = frozenset(
    {
        "depthwise-as-shifts", "depthwise-weights-as-sums", "volume-as-sum-of-flat",
        "max-pool-as-slices", "max-pool-gradient-as-hits", "max-pool-gradient-as-blocks",
        "cumsum-as-dots", "cummax-as-scan", "cumprod-as-scan", "sort-by-integer-keys",
        "first-of-sorted-as-top-k", "quantile-by-counting", "cube-root-as-exponential",
    }
)  # fmt: skip
"""Rules that are at least 1.5 times as fast at most shapes of docs/faster_forms.md.

They are named where nothing was timed; others lose too often to be worth the words.
"""

Place = tuple[str, str]
"""A layer and a phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FasterForm:
    """A form that applies to sites in one place.

    Attributes:
        title: What becomes what.
        sites: How many equations there are.
        plain_s, form_s: Time of all of them, each timed alone; None where that was never done.
    """

    title: str
    sites: int
    plain_s: float | None
    form_s: float | None

    def __str__(self) -> str:
        """Say what becomes what, at how many sites, and how much faster it was here."""
        count = f"{self.sites} site{'s' if self.sites > 1 else ''}"
        if not self.plain_s or not self.form_s:
            return f"{self.title} ({count})"
        return f"{self.title} ({count}; {ratio(self.plain_s / self.form_s)} times as fast alone)"


@once
def faster_forms(evidence: Evidence) -> Mapping[Place, Sequence[FasterForm]]:
    """Return the forms that are known or likely to be quicker, by layer and phase.

    Only for programs on this host's CPU, which are those that `edgegraph improve` can change.
    """
    here = evidence.analysis.target == "cpu" and evidence.jaxpr is not None
    return _by_place(find_replaceable(evidence.jaxpr, ())) if here else {}


def _by_place(sites: Sequence[Found]) -> Mapping[Place, Sequence[FasterForm]]:
    timed = best_forms() if sites else {}
    found: dict[Place, list[FasterForm]] = {}
    for each in sites:
        best = timed.get(each.site.signature)
        if best is not None:
            title: str | None = best.title
        else:
            usual = (rule.title for rule, _ in forms(each.site, ()) if rule.name in USUAL)
            title = None if each.site.signature in timed else next(usual, None)
        for scope in each.scopes if title else ():
            said = parse_op_name(f"{scope}/{each.site.primitive.name}")
            form = FasterForm(
                title=title or "",
                sites=1,
                plain_s=None if best is None else best.plain_s,
                form_s=None if best is None else best.form_s,
            )
            found.setdefault((said.layer or UNATTRIBUTED, said.phase), []).append(form)
    return {place: together(each) for place, each in found.items()}


def together(found: Sequence[FasterForm]) -> list[FasterForm]:
    """Add up forms of the same title; a time is known where it is of all."""
    groups: dict[str, list[FasterForm]] = {}
    for form in found:
        groups.setdefault(form.title, []).append(form)
    return [
        FasterForm(
            title=title,
            sites=sum(form.sites for form in group),
            plain_s=_sum([form.plain_s for form in group]),
            form_s=_sum([form.form_s for form in group]),
        )
        for title, group in groups.items()
    ]


def _sum(times: Sequence[float | None]) -> float | None:
    known = [each for each in times if each is not None]
    return sum(known) if len(known) == len(times) else None


def timed_gain(evidence: Evidence, row: LayerRecord) -> float | None:
    """Return how many times as fast a form of a layer was that `edgegraph improve` timed."""
    found = faster_forms(evidence).get((scope_of(row.layer), row.phase), ())
    timed = [each.plain_s / each.form_s for each in found if each.plain_s and each.form_s]
    return max(timed, default=None)


def remedy(evidence: Evidence, row: LayerRecord) -> str:
    """Return advice to append for a layer that has a quicker form; else nothing."""
    found = faster_forms(evidence).get((scope_of(row.layer), row.phase), ())
    return f"; or try `edgegraph improve`: {'; '.join(map(str, found))}" if found else ""


@register_finding("faster-form", compiled=True)
def faster_form(evidence: Evidence) -> Iterator[Finding]:
    """Layers whose operation XLA's CPU backend computes more quickly in another form."""
    places = faster_forms(evidence)
    if not places:
        return
    shares = {
        (scope_of(row.layer), row.phase): row.share or 0.0
        for row in evidence.analysis.layer_records
        if row.leaf
    }
    titles = dict.fromkeys(form.title for found in places.values() for form in found)
    for title in titles:
        mine = {
            place: form for place, found in places.items() for form in found if form.title == title
        }
        share = sum(shares.get(place, 0.0) for place in mine)
        if share >= LARGE_SHARE and not evidence.is_brief(share * evidence.whole_s):
            yield _finding(together([*mine.values()])[0], [*mine], share)


def _finding(form: FasterForm, places: Sequence[Place], share: float) -> Finding:
    layers = {layer for layer, _ in places}
    numbers = {"sites": float(form.sites), "share": share}
    gain, certainty = None, "medium"
    if form.plain_s and form.form_s:
        faster = form.plain_s / form.form_s
        numbers["gain_alone"] = faster
        gain, certainty = share * max(0.0, 1.0 - 1.0 / faster), "high"
    where = next(iter(layers)) if len(layers) == 1 else f"{len(layers)} layers"
    return Finding(
        rule="faster-form",
        layer=where if len(layers) == 1 else None,
        seen=f"{where}, {percent(share)} of the time, can be computed in another form: {form}",
        why="XLA's CPU backend has no quick code for this operation as it is written",
        try_next=(
            "`edgegraph improve SPEC` tries it on these shapes, proves that the results stay, and"
            " measures what the whole gains"
        ),
        numbers=numbers,
        certainty=certainty,
        share=share,
        gain=gain,
    )
