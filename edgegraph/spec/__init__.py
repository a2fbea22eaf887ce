"""From a SPEC, ``package.module:attribute``, to the Workload that it names."""

from edgegraph.spec.resolve import resolve_spec

__all__ = ["resolve_spec"]
