"""Which devices take part in a collective op."""

from __future__ import annotations

import math

from edgegraph.hlo import opcodes
from edgegraph.hlo.module import Collective
from edgegraph.hlo.schema import Proto


def is_collective(opcode: str, proto: Proto) -> bool:
    """Return whether an instruction sends data to another device.

    Args:
        opcode: Of the instruction.
        proto: Its HloInstructionProto.
    """
    if opcode == "send":
        return not proto.is_host_transfer
    return opcode in opcodes.COLLECTIVES


def decode_collective(proto: Proto) -> Collective:
    """Decode the attributes of a collective op.

    Args:
        proto: The instruction's HloInstructionProto.
    """
    return Collective(
        group_size=_group_size(proto),
        # XLA writes "no channel" as a number that is not positive.
        channel_id=proto.channel_id if proto.channel_id > 0 else None,
        use_global_device_ids=proto.use_global_device_ids,
        source_target_pairs=tuple(
            [(pair.source, pair.target) for pair in proto.source_target_pairs]
        ),
    )


def _group_size(proto: Proto) -> int | None:
    """Return the size of the largest group; None where the groups are left out, which means all."""
    if proto.HasField("iota_replica_groups"):
        size: int = proto.iota_replica_groups.group_size
        return size
    if proto.HasField("mesh_replica_groups"):
        return _mesh_group_size(proto.mesh_replica_groups)
    groups = proto.replica_group_list.replica_groups or proto.replica_groups
    return max((len(group.replica_ids) for group in groups), default=0) or None


def _mesh_group_size(proto: Proto) -> int | None:
    """Multiply the sizes of the mesh axes that a group runs along.

    ``mesh['x'=8,'y'=2] {'x':(2)4,'y'}``: the part of size 4 of axis x, and all of axis y.
    """
    sizes: list[int] = [axis.size for axis in proto.mesh.axes]
    if any(not 0 <= reference.axis < len(sizes) for reference in proto.axes):
        return None
    along: list[int] = [
        reference.part.size if reference.HasField("part") else sizes[reference.axis]
        for reference in proto.axes
    ]
    return math.prod(along)
