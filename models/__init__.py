"""The model zoo: each function returns a Workload that knows its own input."""

from __future__ import annotations

from typing import Any


def catalogue() -> list[dict[str, Any]]:
    """List the networks of the zoo with their published figures; nothing is built for it.

    Returns:
        One row for each network: ``name`` (the SPEC to run it by), ``params``, ``macs`` (of one
        example), ``input`` (its shape), ``source`` (where the figures are published).

    Example:
        >>> catalogue()[0]["name"], catalogue()[0]["params"]
        ('models.cnn:small_cnn', 824458)
    """
    from models.published import NETWORKS

    return [
        {
            "name": network.spec,
            "params": network.params,
            "macs": network.macs,
            "input": network.input_shape,
            "source": f"{network.source}: {network.figures}" if network.figures else network.source,
        }
        for network in NETWORKS
    ]
