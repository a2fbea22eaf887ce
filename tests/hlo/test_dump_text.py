from __future__ import annotations

import pytest

from edgegraph import xla
from edgegraph.errors import FormatError
from edgegraph.hlo.decode import decode
from edgegraph.hlo.dump_text import choose, devices_of, head_of, is_hlo_text, modules_in, readable

MODULE = "HloModule m, is_scheduled=true\n\nENTRY e {\n  ROOT x = f32[4,16] parameter(0)\n}\n"
SECOND = MODULE.replace(" m,", " n,")
LOG = "I0000 00:00:1733000000.123456    4242 gpu_compiler.cc:12] "
OLD_LOG = "2024-03-01 10:00:00.123456: I xla/service/dumping.cc:12] "


@pytest.mark.parametrize(
    "text",
    [
        MODULE,
        f"// a comment\n\n{MODULE}",
        f"loading ...\n{MODULE}",
        f"# A dump\n\nHere:\n```hlo\n{MODULE}```\nThat was it {{.\n",
        f"~~~\n{MODULE}~~~\n",
        "".join(f"{LOG}{line}\n" for line in MODULE.splitlines()),
        "".join(f"{OLD_LOG}{line}\n" for line in MODULE.splitlines()),
    ],
    ids=["plain", "comment", "log line", "Markdown", "tildes", "log", "old log"],
)
def test_what_stands_around_a_module_is_left_out(text: str) -> None:
    assert is_hlo_text(text)
    assert head_of(text) == ("m", True)
    assert modules_in(text) == [("m", MODULE)]


def test_several_modules_are_told_apart() -> None:
    found = modules_in(f"first\n{MODULE}\n```\nthen\n```\n{SECOND}```")
    assert [name for name, _ in found] == ["m", "n"]
    assert [text.strip() for _, text in found] == [MODULE.strip(), SECOND.strip()]


def test_a_module_is_chosen_by_name_or_number() -> None:
    names = ["jit_a", "jit_b", "2"]
    assert choose(["only"], None) == 0
    assert [choose(names, wanted) for wanted in ("jit_b", "1", "2", "3")] == [1, 0, 2, 2]
    with pytest.raises(FormatError, match="3 modules; choose one with module= or --module: 1 jit_"):
        choose(names, None)
    with pytest.raises(FormatError, match="1 module, and none is 'jit_c'"):
        choose(["jit_a"], "jit_c")
    with pytest.raises(FormatError) as caught:
        choose(["n" * 100] * 100, "x" * 100)
    assert len(str(caught.value)) <= 200


@pytest.mark.parametrize("shape", ["f32[?,16]", "s8[4,?]", "bf16[<=?]"])
def test_a_shape_without_a_bound_is_named(shape: str) -> None:
    with pytest.raises(FormatError) as caught:
        readable(MODULE.replace("f32[4,16]", shape))
    assert str(caught.value).startswith(f"the shape {shape} has a size without a bound; compile")
    assert len(str(caught.value)) <= 200


def test_a_question_mark_in_a_name_is_no_shape() -> None:
    text = MODULE.replace("(0)", '(0), metadata={op_name="what[?] {"}')
    assert readable(text) == text


@pytest.mark.parametrize("kept", [20, 35, 45, 70])
def test_a_text_that_ends_too_early_says_where(kept: int) -> None:
    lines = MODULE[:kept].rstrip().count("\n") + 1
    with pytest.raises(FormatError, match=f"the text is cut off: it ends in line {lines}, before"):
        readable(MODULE[:kept])


ALONE = """HloModule m
test {
  p = s32[4] parameter(0)
  ROOT d = s32[4] divide(p, p)
}
"""


def test_one_computation_without_a_word_for_the_entry_is_the_entry() -> None:
    assert readable(ALONE) == ALONE
    assert decode(xla.parse_text(ALONE)).entry == "test"


@pytest.mark.parametrize(
    "text", [ALONE.replace("m\n", "m, entry_computation_layout={()->s32[4]}\n"), ALONE + ALONE[12:]]
)
def test_a_text_without_an_entry_that_may_have_had_one_is_cut_off(text: str) -> None:
    with pytest.raises(FormatError, match="the text is cut off"):
        readable(text)


def test_every_way_to_leave_constants_out() -> None:
    text = MODULE.replace("parameter(0)", "constant({...})")
    assert "custom-call(), custom_call_target=" in readable(text)
    assert readable(text) == readable(text.replace("{...}", " { ... } "))


@pytest.mark.parametrize(
    ("head", "devices"),
    [
        ("HloModule m", None),
        ("HloModule m, num_partitions=8", (1, 8)),
        ("HloModule m, replica_count=2", (2, 1)),
        ("HloModule m, replica_count=2, num_partitions=4, x={}", (2, 4)),
        ('HloModule m, frontend_attributes={a="num_partitions=8"}', None),
    ],
)
def test_the_head_says_for_how_many_devices(head: str, devices: tuple[int, int] | None) -> None:
    assert devices_of(f"{head}\n\nENTRY e {{ ..., num_partitions=3 }}") == devices


def test_more_devices_than_there_are_anywhere_are_refused() -> None:
    with pytest.raises(FormatError, match="replica_count=1, num_partitions=9999999: expected 1 to"):
        devices_of("HloModule m, num_partitions=9999999")
