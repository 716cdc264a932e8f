"""Pixels in [0, 1], in which distortions compute, and the way from and to photos."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from ...models.images import open_image

# Pixels (height, width, 3) in [0, 1], a strength and a generator -> pixels.
Distortion = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def from_pil(photo: Image.Image) -> np.ndarray:
    """RGB -> (height, width, 3) float32 in [0, 1]."""
    return np.asarray(photo, np.float32) / 255


def to_pil(pixels: np.ndarray) -> Image.Image:
    """Pixels -> RGB; what is outside of [0, 1] is cut off."""
    return Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))


def through_file(pixels: np.ndarray, kind: str, **options: object) -> np.ndarray:
    """Pixels as they come back from a file of one of Pillow's formats."""
    buffer = io.BytesIO()
    to_pil(pixels).save(buffer, kind, **options)
    return from_pil(open_image(buffer.getvalue()))
