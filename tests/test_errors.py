from __future__ import annotations

import numpy as np
import pytest

from edgegraph.errors import (
    CompileError,
    EdgeGraphError,
    FormatError,
    InputError,
    NoisyMeasurementError,
    UnsupportedVersionError,
    first_line,
    positive_integer,
)


def test_exit_codes_are_those_of_the_command_line() -> None:
    bad_input = (EdgeGraphError, InputError, CompileError, FormatError, UnsupportedVersionError)
    assert {kind.exit_code for kind in bad_input} == {2}
    assert NoisyMeasurementError.exit_code == 3


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n  shapes differ \n  more"), "shapes differ"),
        (KeyError("weights"), "KeyError: 'weights'"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_the_first_line_that_says_something(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_positive_integers_of_python_and_numpy() -> None:
    assert positive_integer(np.int64(8), "batch") == 8
    for wrong in (0, -1, 2.0, True, "8", None):
        with pytest.raises(InputError, match=r"^batch must be a positive integer, not "):
            positive_integer(wrong, "batch")
