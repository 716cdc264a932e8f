"""Pictures of quality maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from .colours import BAD, GOOD, MIDDLING


def colour_range(score_quantiles: Sequence[float] | None) -> tuple[float, float]:
    """Scores that the ends of the colour scale stand for: those of the worst and the best training photo.

    Without a calibration, or where all training photos have one score, they are 0 and 1.
    """
    if score_quantiles is None or not score_quantiles[0] < score_quantiles[-1]:
        return (0.0, 1.0)
    return (score_quantiles[0], score_quantiles[-1])


def own_range(quality_map: np.ndarray) -> tuple[float, float]:
    """The least and the greatest value of a map; a hundredth around the value of one that is the same everywhere."""
    low, high = float(quality_map.min()), float(quality_map.max())
    return (low, high) if high - low > 1e-6 else (low - 0.005, high + 0.005)


def colour_map(quality_map: np.ndarray, size: tuple[int, int], limits: tuple[float, float]) -> Image.Image:
    """Draws a quality map: purple where the photo is bad, white in the middle, green where it is good.

    Args:
        quality_map: (rows, columns) local qualities in units of the score.
        size: (width, height) of the picture in pixels.
        limits: Scores at the two ends of the colour scale; the same for every photo, so that pictures compare.

    Returns:
        An RGB image.

    Raises:
        ValueError: When the first limit is not below the second.
    """
    low, high = limits
    if not low < high:
        raise ValueError(f"Expected limits (low, high) with low < high, got {limits}.")
    levels = np.clip((quality_map - low) / (high - low), 0, 1) * 255
    grey = Image.fromarray(levels.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return ImageOps.colorize(grey.convert("L"), BAD, GOOD, MIDDLING)


def overlay(
    photo: Image.Image, quality_map: np.ndarray, limits: tuple[float, float], opacity: float = 0.55
) -> Image.Image:
    """Lays a quality map over its photo, in grey so that the colours are the map's.

    Args:
        photo: RGB photo of any size.
        quality_map: See [`colour_map`].
        limits: See [`colour_map`].
        opacity: Share of the map in [0, 1].

    Returns:
        An RGB image of the photo's size.
    """
    return Image.blend(photo.convert("L").convert("RGB"), colour_map(quality_map, photo.size, limits), opacity)
