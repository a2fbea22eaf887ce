"""A host's input pipeline: stored bytes to augmented, normalised batches of images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import jax.numpy as jnp
import numpy as np

STORED_IMAGES = 64
MARGIN = 1.125
"""Stored images are larger than the crops by this factor, as 256 is than 224."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePipeline:
    """Crops, flips and normalises stored images, on the host and with NumPy alone.

    The images are random bytes: what they show does not change how long it takes.

    Attributes:
        shape: Height, width and channels of an example.
        dtype: dtype of the batches.
        classes: Labels are drawn from 0 up to this, exclusive; no labels where None.
    """

    shape: tuple[int, int, int]
    dtype: str = "float32"
    classes: int | None = None

    def __call__(self, batch: int, step: int) -> tuple[np.ndarray, ...]:
        """Make the batch of one step, the same every time: images and, where wanted, labels.

        Example:
            >>> images, labels = ImagePipeline(shape=(28, 28, 1), classes=10)(32, 0)
            >>> images.shape, images.dtype.name, labels.shape
            ((32, 28, 28, 1), 'float32', (32,))
        """
        random = np.random.default_rng(step)
        height, width, _ = self.shape
        images = np.empty((batch, *self.shape), np.float32)
        stored = _stored(self.shape)
        for row in range(batch):
            image = stored[random.integers(STORED_IMAGES)]
            top = random.integers(image.shape[0] - height + 1)
            left = random.integers(image.shape[1] - width + 1)
            crop = image[top : top + height, left : left + width]
            images[row] = crop[:, ::-1] if random.integers(2) else crop
        images -= 127.5
        images /= 73.9
        made = images.astype(jnp.dtype(self.dtype))
        if self.classes is None:
            return (made,)
        return made, random.integers(self.classes, size=batch, dtype=np.int32)


@cache
def _stored(shape: tuple[int, int, int]) -> np.ndarray:
    """Return the stored images, made when they are first asked for."""
    height, width, channels = shape
    size = (STORED_IMAGES, round(height * MARGIN), round(width * MARGIN), channels)
    return np.random.default_rng(0).integers(256, size=size, dtype=np.uint8)
