"""Groups of collectives are read in every way that XLA writes them."""

from __future__ import annotations

import pytest

from edgegraph import xla
from edgegraph.hlo.decode import decode
from edgegraph.hlo.module import Collective


def collective(attributes: str, opcode: str = "all-reduce") -> Collective:
    add = " to_apply=add" if opcode == "all-reduce" else ""
    text = f"""HloModule m
    add {{
      a = f32[] parameter(0)
      b = f32[] parameter(1)
      ROOT c = f32[] add(a, b)
    }}
    ENTRY e {{
      x = f32[8] parameter(0)
      ROOT y = f32[8] {opcode}(x), {attributes}{"," if add else ""}{add}
    }}"""
    found = decode(xla.parse_text(text)).computations["e"].instructions[-1].collective
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("groups", "size"),
    [
        ("{}", None),
        ("{{0,1,2,3}}", 4),
        ("{{0,1},{2,3}}", 2),
        ("{{0,1,2},{3}}", 3),
        ("[2,4]<=[8]", 4),
        ("[4,2]<=[2,4]T(1,0)", 2),
        ("mesh['x'=8] {'x'}", 8),
        ("mesh['x'=2,'y'=4] {'y'}", 4),
        ("mesh['x'=2,'y'=4] {'x','y'}", 8),
        ("mesh['x'=8,'y'=2] {'x':(2)2}", 2),
        ("mesh['x'=8,'y'=2] {'x':(2)2,'y'}", 4),
    ],
)
def test_group_sizes(groups: str, size: int | None) -> None:
    assert collective(f"replica_groups={groups}").group_size == size


def test_channels_and_global_ids() -> None:
    plain = collective("replica_groups={{0,1}}")
    assert (plain.channel_id, plain.use_global_device_ids) == (None, False)
    devices = collective("replica_groups={{0,1}}, channel_id=3, use_global_device_ids=true")
    assert (devices.channel_id, devices.use_global_device_ids) == (3, True)


def test_pairs_of_a_permute() -> None:
    ring = collective("source_target_pairs={{0,1},{1,2},{2,0}}", "collective-permute")
    assert ring.source_target_pairs == ((0, 1), (1, 2), (2, 0))
