"""Four distortions at once, each by a strength from 0 (not at all) to 100: what the Space's sliders do."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from .distort import distort

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


def distort_mixed(photo: Image.Image, strengths: Strengths) -> Image.Image:
    """Shrinks a photo, blurs it, adds noise and compresses it, in the order in which a bad camera does.

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
        photo = distort(photo, "downscale", 12**shrink)
    if blur:
        photo = distort(photo, "gaussian blur", 8 * blur)
    if noise:
        photo = distort(photo, "white noise", 80 / 255 * noise)
    if jpeg:
        photo = distort(photo, "jpeg", round(95 - 90 * jpeg))
    return photo
