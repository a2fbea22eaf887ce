"""Telling workloads apart by what they lower to, whatever compiles it afterwards."""

from __future__ import annotations

from edgegraph.compiler.compile import compile
from edgegraph.workload.workload import Workload


def workload_fingerprint(workload: Workload, *, batch: int | None, target: str = "cpu") -> str:
    """Return a digest of the StableHLO that a workload lowers to; nothing is compiled.

    Names of layers and source positions do not count; shapes, dtypes and operations do. Another
    version of jax may lower the same workload to something else.

    Args:
        workload: What to lower.
        batch: Batch size; 1 where None.
        target: For what, as `edgegraph.compile` takes it.

    Raises:
        CompileError: It does not trace, or cannot be lowered.

    Example:
        >>> import jax.numpy as jnp
        >>> def dense(name):
        ...     arguments = lambda batch: (jnp.ones((batch, 784)), jnp.ones((784, 10)))
        ...     return Workload.from_function(jnp.matmul, arguments, name=name)
        >>> one, same, other = (
        ...     workload_fingerprint(dense(name), batch=batch)
        ...     for name, batch in [("a", 1), ("b", 1), ("b", 2)]
        ... )
        >>> one == same, one == other
        (True, False)
    """
    found = compile(workload, batch=batch, target=target, stage="lowered").fingerprint
    assert found is not None  # it was lowered here
    return found
