"""Workload -> Program: module names, tracing, lowering, compilation."""

from edgegraph.compiler.compile import compile as compile
from edgegraph.compiler.read import read_hlo as read_hlo

__all__ = ["compile", "read_hlo"]
