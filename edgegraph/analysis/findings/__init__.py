"""What stands out in an Analysis, in plain words: small registered rules, one each.

A rule looks at the finished Analysis and yields findings; it measures nothing. Rules that rest on
measured time keep silent where the measurement is noisy. What a finding weighs is the share of the
time that its advice is about: of a layer, the part that its roof explains for what moves the roof,
and the part above it, the gain of running at the roof, for what brings the layer there.
"""

from edgegraph.analysis.findings import data as data
from edgegraph.analysis.findings import forms as forms
from edgegraph.analysis.findings import fusions as fusions
from edgegraph.analysis.findings import launches as launches
from edgegraph.analysis.findings import layers as layers
from edgegraph.analysis.findings import program as program
from edgegraph.analysis.findings import slow as slow
from edgegraph.analysis.findings.registry import RULES as RULES
from edgegraph.analysis.findings.registry import Evidence as Evidence
from edgegraph.analysis.findings.registry import find as find
