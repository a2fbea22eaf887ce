"""The text of an issue: versions, machine, figures, the case, HLO before and after."""

from __future__ import annotations

from edgegraph.studies.regress.issue import issue_text
from tests.studies.regressions import regression


def test_the_issue_has_what_a_maintainer_asks_for() -> None:
    study = regression()
    text = issue_text(study)
    assert text.startswith("# dot\\_general: slower with jax 0.10.2 than with 0.10.1\n")
    assert study.environment.processor[:10] in text
    assert "```python\nimport jax\n```" in text
    assert "Optimised by 0.10.1:\n\n```\nHloModule b" in text
    assert "Optimised by 0.10.2:\n\n```\nHloModule c" in text
    assert "- flag: `xla_cpu_new false → true`" in text
    assert "| 0.10.0 | 0.10.0 | 3.11.7 | 1 ms |" in text
