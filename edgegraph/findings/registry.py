"""The registry of rules that find something."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from edgegraph.bulk import bulk
from edgegraph.errors import InputError
from edgegraph.findings.evidence import Evidence
from edgegraph.results.analysis import Analysis, Finding

if TYPE_CHECKING:
    from edgegraph.hlo.module import Module

Rule = Callable[[Evidence], Iterable[Finding]]
"""Looks at an analysis and gives what it found, usually nothing."""

RULES: dict[str, Rule] = {}
"""Every rule by its name."""


def register_finding(name: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule that finds `name`.

    The rule runs at the end of every `edgegraph.analyze` from then on. It takes the place of one
    registered earlier under the same name, also of one that EdgeGraph brings along.

    Args:
        name: What its findings carry as their `rule`, in lower case with hyphens.

    Returns:
        A decorator for a function that takes an `Evidence`, whose `analysis` is the Analysis
        (its `findings` still empty), and gives findings.

    Raises:
        InputError: The name is no text, or empty.

    Example:
        A rule for arithmetic in float64, which accelerators are slow at:

        >>> import edgegraph as eg
        >>> @eg.register_finding("double-precision")
        ... def double_precision(evidence):
        ...     ops = [op for op in evidence.analysis.op_records if op.dtype == "f64" and op.flops]
        ...     if ops:
        ...         yield eg.Finding(
        ...             rule="double-precision",
        ...             layer=None,
        ...             seen=f"{len(ops)} ops compute in float64",
        ...             why="most accelerators have a small fraction of their peak for it",
        ...             try_next="leave jax_enable_x64 off, or cast the inputs to float32",
        ...             numbers={"ops": float(len(ops))},
        ...             certainty="high",
        ...             weight=1.0,
        ...         )

        `edgegraph.findings.RULES` holds it; taken out, it runs no more:

        >>> from edgegraph.findings import RULES
        >>> RULES.pop("double-precision") is double_precision
        True
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(
            f"register_finding got the name {name!r}; expected the name of its findings, such as"
            ' @eg.register_finding("double-precision")'
        )

    def register(rule: Rule) -> Rule:
        RULES[name] = rule
        return rule

    return register


@bulk
def find(analysis: Analysis, module: Module | None = None) -> tuple[Finding, ...]:
    """Apply every rule.

    Args:
        analysis: What to look at.
        module: Its module where that is decoded already, which takes longer than all rules.

    Returns:
        Findings, those that concern most of the time first.

    Raises:
        InputError: A rule calls its finding by another name than its own.
    """
    evidence = Evidence(analysis, module)
    found: list[Finding] = []
    for name, rule in RULES.items():
        for finding in rule(evidence):
            if finding.rule != name:
                raise InputError(
                    f"the rule {name!r} returned a finding of rule {finding.rule!r}; it must carry"
                    " the name under which the rule was registered"
                )
            found.append(finding)
    return tuple(sorted(found, key=lambda finding: -finding.weight))
