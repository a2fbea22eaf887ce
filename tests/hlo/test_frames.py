from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import edgegraph
from edgegraph.hlo.frames import CallPaths, common_path, is_library
from edgegraph.hlo.module import Computation, Instruction, Module, Shape, StackFrame

OURS = str(Path(edgegraph.__file__).parent / "compiler" / "compile.py")
PACKAGES = "/env/lib/python3.11/site-packages"
FLAX = f"{PACKAGES}/flax/core/scope.py"


def module(frames: Sequence[StackFrame], *used: int) -> Module:
    """Return a module whose instructions stand in some frames."""
    instructions = tuple(
        Instruction(
            name=f"i{number}", opcode="add", shape=Shape(dtype="f32"), stack_frame_id=number
        )
        for number in used
    )
    main = Computation(name="main", instructions=instructions, root=instructions[-1].name)
    return Module(name="m", entry="main", computations={"main": main}, stack_frames=tuple(frames))


def chain(*places: tuple[str, str, int]) -> list[StackFrame]:
    """Return frames each of which calls the next."""
    return [
        StackFrame(file=file, function=function, line=line, parent=number)
        for number, (file, function, line) in enumerate(places)
    ]


def functions(frames: Sequence[StackFrame]) -> list[str]:
    """Return the path to the last frame, in functions."""
    paths = CallPaths(module(frames, len(frames)))
    return [paths.frame(number).function for number in paths.of(len(frames))]


def test_what_called_edgegraph_is_no_part_of_the_program() -> None:
    frames = chain(("run.py", "<module>", 1), (OURS, "compile", 2), ("sim.py", "step", 3))
    assert functions(frames) == ["step"]


def test_what_called_the_command_is_no_part_of_the_program() -> None:
    cli = str(Path(edgegraph.__file__).parent / "cli" / "analyze.py")
    called = ((cli, "main", 1), (f"{PACKAGES}/typer/main.py", "Typer.__call__", 2), (cli, "run", 3))
    frames = chain(*called, (OURS, "compile", 4), ("sim.py", "step", 5))
    assert functions(frames) == ["step"]
    assert functions(frames[:-1]) == []


@pytest.mark.parametrize(
    ("file", "own"),
    [
        (OURS, True),
        ("/home/colleague/env/lib/python3.12/site-packages/edgegraph/compiler/compile.py", True),
        (r"C:\src\edgegraph\edgegraph\measure\isolated.py", True),
        ("/src/edgegraph/models/cnn.py", False),
        (f"{Path(edgegraph.__file__).parent}_models/net.py", False),
    ],
)
def test_edgegraph_is_known_wherever_it_stood(file: str, own: bool) -> None:
    frames = chain(("run.py", "<module>", 1), (file, "f", 2), ("sim.py", "step", 3))
    assert functions(frames) == (["step"] if own else ["<module>", "f", "step"])


def test_edgegraphs_own_frames_and_wrappers_inside_the_program_are_left_out() -> None:
    frames = chain(
        (OURS, "compile", 2), ("net.py", "Net.__call__", 3), (OURS, "scoped", 4),
        (FLAX, "wrapped", 5), ("net.py", "Block.__call__", 6),
    )  # fmt: skip
    assert functions(frames) == ["Net.__call__", "Block.__call__"]


def test_of_a_library_the_function_that_is_called_stays_and_the_one_that_does_it() -> None:
    library = f"{PACKAGES}/solver/core.py"
    frames = chain(
        ("sim.py", "simulate", 1), (library, "solve", 2), (library, "loop", 3),
        (library, "step", 4), (library, "update", 5),
    )  # fmt: skip
    assert functions(frames) == ["simulate", "solve", "update"]


def test_a_decorators_wrapper_is_not_what_was_called() -> None:
    library = f"{PACKAGES}/mjx/step.py"
    frames = chain(
        ("sim.py", "simulate", 1), (library, "scope.<locals>.wrapper", 2), (library, "step", 3),
        (library, "solve", 4),
    )  # fmt: skip
    assert functions(frames) == ["simulate", "step", "solve"]


def test_what_a_library_calls_back_stands_in_the_function_that_was_called() -> None:
    library = f"{PACKAGES}/solver/core.py"
    frames = chain(
        ("sim.py", "simulate", 1), (library, "solve", 2), (library, "loop", 3),
        ("sim.py", "field", 9),
    )  # fmt: skip
    assert functions(frames) == ["simulate", "solve", "field"]


def test_a_library_that_is_analysed_itself_counts_as_the_program() -> None:
    frames = chain(
        (OURS, "compile", 1), (f"{PACKAGES}/mjx/step.py", "step", 2),
        (f"{PACKAGES}/mjx/step.py", "forward", 3), (f"{PACKAGES}/mjx/math.py", "rotate", 4),
        (f"{PACKAGES}/helpers/a.py", "outer", 5), (f"{PACKAGES}/helpers/a.py", "inner", 6),
        (f"{PACKAGES}/helpers/a.py", "innermost", 7),
    )  # fmt: skip
    assert functions(frames) == ["step", "forward", "rotate", "outer", "innermost"]


def test_frames_that_xla_writes_again_count_once() -> None:
    frames = chain(
        ("sim.py", "solve", 1), ("sim.py", "body", 2), ("sim.py", "search", 3),
        ("sim.py", "solve", 1), ("sim.py", "body", 2), ("sim.py", "search", 3),
        ("sim.py", "point", 4),
    )  # fmt: skip
    assert functions(frames) == ["solve", "body", "search", "point"]


def test_equal_frames_of_one_caller_are_one() -> None:
    frames = [
        StackFrame(file="sim.py", function="step", line=1, parent=0),
        StackFrame(file="sim.py", function="force", line=2, parent=1),
        StackFrame(file="sim.py", function="force", line=2, parent=1),
        StackFrame(file="sim.py", function="force", line=3, parent=1),
    ]
    paths = CallPaths(module(frames, 2, 3, 4))
    assert paths.of(2) == paths.of(3) == (1, 2)
    assert paths.of(4) == (1, 4)


def test_frames_in_a_circle_or_that_are_not_there_end() -> None:
    frames = [
        StackFrame(file="a.py", function="f", line=1, parent=2),
        StackFrame(file="a.py", function="g", line=2, parent=1),
    ]
    paths = CallPaths(module(frames, 1, 9))
    assert paths.of(1) == (2, 1)
    assert paths.of(9) == paths.of(0) == paths.of(None) == ()


@pytest.mark.parametrize(
    ("paths", "shared"),
    [([(1, 2, 3), (1, 2, 4)], (1, 2)), ([(1, 2), (1, 2, 4)], (1, 2)), ([(1,), (2,)], ()), ([], ())],
)
def test_what_paths_begin_with_alike(paths: list[tuple[int, ...]], shared: tuple[int, ...]) -> None:
    assert common_path(paths) == shared


def test_what_is_installed_is_a_library() -> None:
    assert is_library(FLAX)
    assert is_library(OURS)
    assert not is_library("/home/me/sim.py")
