"""Names of NNX submodules and variables."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from edgegraph.workload.nnx_model import _Part, canonical_names, leaf_names


def linear() -> nnx.Linear:
    return nnx.Linear(2, 2, rngs=nnx.Rngs(0))


class Holder(nnx.Module):
    """Holds modules in every way there is."""

    def __init__(self) -> None:
        self.plain = linear()
        self.listed = nnx.List([linear(), nnx.List([linear()])])
        self.keyed = nnx.Dict(a=linear())
        self.pair = nnx.data((linear(), {"b": linear()}))
        self.scale = nnx.Param(jnp.ones(2))
        self.scales = nnx.List([nnx.Param(jnp.ones(2))])
        self.nested = nnx.Param({"x": jnp.ones(2), "y": [jnp.ones(2)]})
        self.bare = jnp.ones(3)


def test_every_way_to_hold_a_module() -> None:
    holder: Any = Holder()
    names = canonical_names(holder)
    expected = {
        ("plain",): holder.plain,
        ("listed_0",): holder.listed[0],
        ("listed_1_0",): holder.listed[1][0],
        ("keyed_a",): holder.keyed["a"],
        ("pair_0",): holder.pair[0],
        ("pair_1_b",): holder.pair[1]["b"],
        ("scale",): holder.scale,
        ("scales_0",): holder.scales[0],
        ("bare",): holder.bare,
        ("plain", "kernel"): holder.plain.kernel,
    }
    assert {name: names[id(member)] for name, member in expected.items()} == {
        name: name for name in expected
    }


def test_leaves_are_named_in_their_order() -> None:
    holder: Any = Holder()
    state = nnx.state(holder, nnx.Param)
    named = dict(zip(leaf_names(holder, state), jax.tree.leaves(state), strict=True))
    assert named["listed_1_0", "kernel"] is holder.listed[1][0].kernel.get_value()
    assert {name for name in named if name[0] == "nested"} == {
        ("nested", "x"),
        ("nested", "y", "0"),
    }
    assert len(named) == 6 * 2 + 2 + 2


def test_a_shared_module_takes_its_shortest_name() -> None:
    class Inner(nnx.Module):
        def __init__(self, shared: nnx.Linear) -> None:
            self.also = shared

    class Outer(nnx.Module):
        def __init__(self) -> None:
            self.zed = linear()
            self.inner = Inner(self.zed)

    outer = Outer()
    assert canonical_names(outer)[id(outer.zed)] == ("zed",)
    assert set(leaf_names(outer, nnx.state(outer))) == {("zed", "kernel"), ("zed", "bias")}


def test_a_cycle_ends() -> None:
    class Node(nnx.Module):
        def __init__(self) -> None:
            self.parent: Any = nnx.data(None)
            self.child: Any = nnx.data(None)

    first, second = Node(), Node()
    first.child, second.parent = second, first
    names = canonical_names(first)
    assert (names[id(first)], names[id(second)]) == ((), ("child",))


trees = st.recursive(
    st.integers(),
    lambda inner: st.dictionaries(st.text(min_size=1, max_size=3), inner, min_size=1, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(st.text(min_size=1, max_size=3), trees, max_size=4))
def test_leaves_by_name_find_their_places_again(tree: dict[str, Any]) -> None:
    flat, structure = jax.tree_util.tree_flatten_with_path(tree)
    part = _Part(tuple(tuple(entry.key for entry in path) for path, _ in flat), structure)
    leaves = [leaf for _, leaf in flat]
    assert part.dict_of(leaves) == tree
    assert part.state_of(part.dict_of(leaves)) == tree
