"""What stands out in an Analysis, in plain words: small registered rules, one each.

A rule looks at the finished Analysis and yields findings; it measures nothing. Rules that rest on
measured time keep silent where the measurement is noisy. What a finding weighs is the share of the
time that its advice is about: of a layer, the part that its roof explains for what moves the roof,
and the part above it, the gain of running at the roof, for what brings the layer there.

The rules stand by what they look at: `layers`, `fusions`, `data` (padding, dtypes, layouts),
`forms` (quicker ways to compute the same) and `program` (launches, loops, transfers, work done
twice, and how far the rest can be believed).
"""

from edgegraph.analysis.findings import data, forms, fusions, layers, program
from edgegraph.analysis.findings.registry import RULES, Evidence, Rule, find, register_finding

__all__ = [
    "RULES",
    "Evidence",
    "Rule",
    "data",
    "find",
    "forms",
    "fusions",
    "layers",
    "program",
    "register_finding",
]
