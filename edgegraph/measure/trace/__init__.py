"""The op trace: what every op takes inside the running program, from the profiler."""

from edgegraph.measure.trace.summary import Traced as Traced
from edgegraph.measure.trace.trace import WARM_UP as WARM_UP
from edgegraph.measure.trace.trace import fits as fits
from edgegraph.measure.trace.trace import join_timeline as join_timeline
from edgegraph.measure.trace.trace import join_trace as join_trace
from edgegraph.measure.trace.trace import take_trace as take_trace
