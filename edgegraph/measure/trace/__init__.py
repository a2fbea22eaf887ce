"""The op trace: what every op takes inside the running program, from the profiler."""

from edgegraph.measure.trace.session import fits as fits
from edgegraph.measure.trace.trace import Traced as Traced
from edgegraph.measure.trace.trace import read_trace as read_trace
from edgegraph.measure.trace.trace import take_trace as take_trace
from edgegraph.measure.trace.trace import trace_program as trace_program
