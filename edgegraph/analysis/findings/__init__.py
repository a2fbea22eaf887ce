"""What stands out in an Analysis, in plain words: small registered rules, one each.

A rule looks at the finished Analysis and yields findings; it measures nothing. Rules that rest on
measured time keep silent where the measurement is noisy. A finding weighs what can be won: the
share of the time that its advice can save at most; where nobody knows that, the share that it is
about.
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
