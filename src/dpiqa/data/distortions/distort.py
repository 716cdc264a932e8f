"""One distortion of one photo: as strong as you like, or at a level."""

from __future__ import annotations

import zlib

import numpy as np
from PIL import Image

from .camera import CAMERA_DISTORTIONS
from .kinds import DISTORTIONS, LEVELS
from .pixels import from_pil, to_pil

_ALL = DISTORTIONS | CAMERA_DISTORTIONS


def distort(photo: Image.Image, kind: str, strength: float, seed: int = 0) -> Image.Image:
    """Applies one distortion, as strong as you like.

    Args:
        photo: RGB.
        kind: One of [`DISTORTIONS`] or [`CAMERA_DISTORTIONS`].
        strength: In the unit of the kind: the radius of a blur in pixels, the standard deviation of noise in units of
            the full range, the quality of a JPEG (1 to 95, lower is worse), the factor of a downscale. The tables
            show what is weak and what is strong.
        seed: Seed of what is random. One seed gives the same noise at every strength.

    Returns:
        A new image of the same size.

    Raises:
        ValueError: When there is no such kind.
    """
    if kind not in _ALL:
        raise ValueError(f"Unknown distortion {kind!r}: expected one of {', '.join(_ALL)}.")
    generator = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    return to_pil(_ALL[kind][0](from_pil(photo), strength, generator))


def distort_to_level(photo: Image.Image, kind: str, level: float, seed: int = 0) -> Image.Image:
    """Applies one distortion at one of five levels, or between two of them.

    Args:
        photo: RGB.
        kind: One of [`DISTORTIONS`] or [`CAMERA_DISTORTIONS`].
        level: From 1 (hardly visible) to 5 (severe).
        seed: Seed of what is random; levels of one seed differ in strength only.

    Raises:
        ValueError: When there is no such kind or level.
    """
    if kind not in _ALL or not 1 <= level <= LEVELS:
        raise ValueError(
            f"Expected a kind of DISTORTIONS or CAMERA_DISTORTIONS and a level from 1 to {LEVELS}, got {kind!r}, "
            f"{level}."
        )
    return distort(photo, kind, float(np.interp(level, range(1, LEVELS + 1), _ALL[kind][1])), seed)
