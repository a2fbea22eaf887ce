"""What to run: a function and its arguments at any batch size."""

from edgegraph.workload.workload import Call, Workload

__all__ = ["Call", "Workload"]
