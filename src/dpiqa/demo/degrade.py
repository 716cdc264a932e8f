"""Ways of spoiling a photo, each by a strength from 0 (not at all) to 100."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from ..models.images import open_image

MAX_STRENGTH = 100


class Strengths(NamedTuple):
    """How much of each distortion, 0 to 100.

    Attributes:
        jpeg: 100 is JPEG quality 5.
        blur: 100 is a Gaussian blur with a radius of 8 pixels.
        noise: 100 is white noise with a standard deviation of 80 grey levels.
        shrink: 100 is 12 times smaller and back again.
    """

    jpeg: float = 0
    blur: float = 0
    noise: float = 0
    shrink: float = 0

    def scaled(self, share: float) -> Strengths:
        """The same mixture at a share of its strength, in [0, 1]."""
        return Strengths(*(share * strength for strength in self))


def degrade(photo: Image.Image, strengths: Strengths) -> Image.Image:
    """Spoils a photo: first shrinks it, then blurs it, adds noise and compresses it, as a bad camera does.

    Args:
        photo: RGB.
        strengths: How much of each; the same strengths give the same pixels.

    Raises:
        ValueError: When a strength is not in [0, 100].
    """
    for name, strength in strengths._asdict().items():
        if not 0 <= strength <= MAX_STRENGTH:
            raise ValueError(f"Expected strengths from 0 to {MAX_STRENGTH}, got {name}={strength}.")
    jpeg, blur, noise, shrink = strengths.scaled(1 / MAX_STRENGTH)
    if shrink:
        factor = 12**shrink
        small = (max(1, round(photo.width / factor)), max(1, round(photo.height / factor)))
        photo = photo.resize(small, Image.Resampling.BICUBIC).resize(photo.size, Image.Resampling.BICUBIC)
    if blur:
        photo = photo.filter(ImageFilter.GaussianBlur(8 * blur))
    if noise:
        pixels = np.asarray(photo, dtype=np.float32)
        grain = np.random.default_rng(0).standard_normal(pixels.shape, dtype=np.float32)
        photo = Image.fromarray((pixels + 80 * noise * grain).round().clip(0, 255).astype(np.uint8))
    if jpeg:
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=round(95 - 90 * jpeg))
        photo = open_image(buffer.getvalue())
    return photo
