"""Instructions that move data between devices and memories, at once or in two halves."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.conformance.cases import Array, Case, arrays, binary, block, tuple_of

SENT = ("f32", "bf16", "f64", "s8", "s32", "pred", "c64")
REDUCED = ("f32", "bf16", "s32")
GROUPS = {1: "{{0},{1}}", 2: "{{0,1}}", 4: "{{0,1,2,3},{4,5,6,7}}", 8: "[1,8]<=[8]"}

IDS = ("", ", channel_id=1", ", channel_id=1, use_global_device_ids=true")


@st.composite
def groups(draw: st.DrawFn) -> tuple[int, str]:
    """Draw how many devices take part, and the attributes that say so."""
    size = draw(st.sampled_from(sorted(GROUPS)))
    return size, f", replica_groups={GROUPS[size]}{draw(st.sampled_from(IDS))}"


@st.composite
def all_reduce(draw: st.DrawFn, opcode: str) -> Case:
    members = [draw(arrays(REDUCED))]
    members += [members[0].resized(*dims) for dims in draw(st.sampled_from([[], [(3, 2)]]))]
    _, attributes = draw(groups())
    if opcode == "collective-reduce":
        attributes = ", replica_groups={{0,1}}"
    function = binary(members[0].dtype, draw(st.sampled_from(["add", "maximum", "power"])))
    result = members[0] if len(members) == 1 else tuple_of(members)
    return Case(opcode, result, tuple(members), f"{attributes}, to_apply=f@", (function,))


@st.composite
def all_gather(draw: st.DrawFn, opcode: str) -> Case:
    x = draw(arrays(SENT, rank=(1, 3)))
    axis = draw(st.integers(0, len(x.dims) - 1))
    size, attributes = draw(groups())
    members = [x] * draw(st.integers(1, 2))
    gathered = [m.resized(*_scaled(m, axis, size)) for m in members]
    parts = [tuple_of(which) if len(which) > 1 else str(which[0]) for which in (members, gathered)]
    result = f"({parts[0]}, {parts[1]})" if opcode.endswith("start") else parts[1]
    return Case(opcode, result, tuple(members), f"{attributes}, dimensions={{{axis}}}")


def _scaled(x: Array, axis: int, factor: int) -> tuple[int, ...]:
    return tuple(size * factor if d == axis else size for d, size in enumerate(x.dims))


@st.composite
def reduce_scatter(draw: st.DrawFn) -> Case:
    y = draw(arrays(REDUCED, rank=(1, 3)))
    axis = draw(st.integers(0, len(y.dims) - 1))
    size, attributes = draw(groups())
    x = y.resized(*_scaled(y, axis, size))
    function = binary(x.dtype, "add")
    attributes += f", dimensions={{{axis}}}, to_apply=f@"
    return Case("reduce-scatter", y, (x,), attributes, (function,))


@st.composite
def all_to_all(draw: st.DrawFn) -> Case:
    x = draw(arrays(SENT, rank=(1, 3)))
    size = draw(st.sampled_from([1, 2, 4]))
    attributes = f", replica_groups={GROUPS[size]}"
    if draw(st.booleans()):
        return Case("all-to-all", tuple_of([x] * size), (x,) * size, attributes)
    x = x.resized(*_scaled(x, 0, size))
    return Case("all-to-all", x, (x,), f"{attributes}, dimensions={{0}}")


@st.composite
def ragged_all_to_all(draw: st.DrawFn) -> Case:
    x = draw(arrays(SENT, rank=(1, 3)))
    y = x.resized(draw(st.integers(0, 9)), *x.dims[1:])
    each = Array("s32", (2,))
    return Case("ragged-all-to-all", y, (x, y, each, each, each, each), ", replica_groups={{0,1}}")


@st.composite
def collective_broadcast(draw: st.DrawFn) -> Case:
    x = draw(arrays(SENT))
    attributes = f", replica_groups={draw(st.sampled_from(sorted(GROUPS.values())))}"
    return Case("collective-broadcast", x, (x,), attributes + draw(st.sampled_from(IDS[:2])))


@st.composite
def permute(draw: st.DrawFn, opcode: str) -> Case:
    x = draw(arrays(SENT))
    pairs = draw(st.sampled_from(["{{0,1},{1,0}}", "{{0,1}}", "{{0,0},{1,1}}"]))
    words = draw(st.sampled_from(["", ", u32[], u32[]"]))
    result = f"({x}, {x}{words})" if opcode.endswith("start") else x
    return Case(opcode, result, (x,), f", source_target_pairs={pairs}")


@st.composite
def copy_start(draw: st.DrawFn) -> Case:
    x = draw(arrays(SENT))
    return Case("copy-start", f"({x}, {x}, u32[])", (x,))


@st.composite
def send(draw: st.DrawFn) -> Case:
    x = draw(arrays(SENT))
    host = draw(st.sampled_from(["", ", is_host_transfer=true"]))
    return Case("send", f"({x}, u32[], token[])", (x, "token[]"), f", channel_id=1{host}")


@st.composite
def recv(draw: st.DrawFn) -> Case:
    x = draw(arrays(SENT))
    return Case("recv", f"({x}, u32[], token[])", ("token[]",), ", channel_id=1")


@st.composite
def infeed(draw: st.DrawFn) -> Case:
    x = draw(arrays(SENT))
    shape = draw(st.sampled_from([str(x), f"({x}, {x})"]))
    return Case("infeed", f"({shape}, token[])", ("token[]",))


@st.composite
def outfeed(draw: st.DrawFn) -> Case:
    x = draw(arrays(SENT))
    shape = draw(st.sampled_from([str(x), f"({x}, {x})"]))
    return Case("outfeed", "token[]", (shape, "token[]"), f", outfeed_shape={shape}")


@st.composite
def wrapped(draw: st.DrawFn) -> tuple[str, str, str]:
    """Draw a computation that runs in two halves; return it, its parameter and its result."""
    x = draw(arrays(("f32", "bf16"), rank=(1, 3)))
    opcode = draw(st.sampled_from(["exponential", "negate", "reverse"]))
    attributes = ", dimensions={0}" if opcode == "reverse" else ""
    lines = [f"p@ = {x} parameter(0)", f"q@ = {x} {opcode}(p@){attributes}"]
    return block("w@", lines), str(x), str(x)


@st.composite
def in_parts(draw: st.DrawFn, opcode: str) -> Case:
    """A part of an asynchronous computation, after those that come before it."""
    body, x, y = draw(wrapped())
    state = f"(({x}), {y}, s32[])"
    case = Case("async-start", state, (x,), ", calls=w@", (body,))
    if opcode == "async-update" or (opcode == "async-done" and draw(st.booleans())):
        case = Case("async-update", state, before=(case,))
    return case if opcode != "async-done" else Case(opcode, y, before=(case,))


def done(start: Case) -> Case:
    """The second half of what `start` begins."""
    opcode = start.opcode.removesuffix("-start")
    members = str(start.result)[1:-1]
    channel = ", channel_id=1" if opcode in ("send", "recv") else ""
    if opcode == "send":
        result = "token[]"
    elif opcode == "recv":
        result = f"({members.split(', ')[0]}, token[])"
    elif opcode == "all-reduce":
        result = str(start.result)
    elif opcode == "all-gather" and len(start.operands) > 1:
        result = members[members.index("), ") + 3 :]
    else:
        result = members.split(", ")[0 if opcode == "copy" else 1]
    return Case(f"{opcode}-done", result, attributes=channel, before=(start,))


STARTS = {
    "all-gather-start": all_gather("all-gather-start"),
    "all-reduce-start": all_reduce("all-reduce-start"),
    "collective-permute-start": permute("collective-permute-start"),
    "copy-start": copy_start(),
    "recv": recv(),
    "send": send(),
}

STRATEGIES: dict[str, st.SearchStrategy[Case]] = {
    **STARTS,
    **{f"{opcode.removesuffix('-start')}-done": STARTS[opcode].map(done) for opcode in STARTS},
    **{opcode: in_parts(opcode) for opcode in ("async-start", "async-update", "async-done")},
    "add-dependency": arrays().map(lambda x: Case("add-dependency", x, (x, "token[]"))),
    "after-all": st.integers(0, 3).map(lambda n: Case("after-all", "token[]", ("token[]",) * n)),
    "all-gather": all_gather("all-gather"),
    "all-reduce": all_reduce("all-reduce"),
    "all-to-all": all_to_all(),
    "collective-broadcast": collective_broadcast(),
    "collective-permute": permute("collective-permute"),
    "collective-reduce": all_reduce("collective-reduce"),
    "infeed": infeed(),
    "outfeed": outfeed(),
    "partition-id": st.just(Case("partition-id", "u32[]")),
    "ragged-all-to-all": ragged_all_to_all(),
    "reduce-scatter": reduce_scatter(),
    "replica-id": st.just(Case("replica-id", "u32[]")),
}
