"""The input pipeline gives what the networks take."""

from __future__ import annotations

import numpy as np
import pytest

import edgegraph as eg
from models.cnn import small_cnn, small_cnn_train
from models.pipeline import ImagePipeline
from models.resnet import resnet18


@pytest.mark.parametrize(
    "workload", [small_cnn(), small_cnn_train(), resnet18(dtype="bfloat16")], ids=lambda w: w.name
)
def test_batches_have_the_types_of_the_last_arguments(workload: eg.Workload) -> None:
    assert workload.prepare is not None
    made = workload.prepare(4, 0)
    wanted = workload.call(4).abstract[-len(made) :]
    assert [(a.shape, a.dtype) for a in made] == [(a.shape, a.dtype) for a in wanted]


def test_steps_differ_and_repeat() -> None:
    pipeline = ImagePipeline(shape=(8, 8, 3))
    (first,), (again,), (other,) = pipeline(2, 0), pipeline(2, 0), pipeline(2, 1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_pixels_are_normalised() -> None:
    # Bytes are uniform in 0..255: mean 127.5, standard deviation sqrt((256^2 - 1) / 12) = 73.9.
    (images,) = ImagePipeline(shape=(64, 64, 3))(64, 0)
    assert images.mean() == pytest.approx(0.0, abs=0.02)
    assert images.std() == pytest.approx(1.0, abs=0.02)
