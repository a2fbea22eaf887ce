"""What to run: a function and its arguments at any batch size."""

from edgegraph.workload.calls import Call
from edgegraph.workload.workload import Workload

__all__ = ["Call", "Workload"]
