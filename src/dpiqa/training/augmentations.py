"""What a photo may be shown as in training without changing its quality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ..models.image_processing_dpiqa import DPIQAImageProcessor

AUGMENTATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "original": lambda pixels: pixels,
    "mirrored": lambda pixels: pixels[:, ::-1],
}
"""Mirroring is the one change of the whole photo that no rater would notice; the published training has none."""


def augmented_pixels(
    image: Mapping[str, Any], processor: DPIQAImageProcessor, augmentation: str = "original"
) -> torch.Tensor:
    """A photo, augmented, as a model takes it.

    Args:
        image: Entry of an `image` column: `bytes`, or the `path` of a file.
        processor: The model's.
        augmentation: One of `AUGMENTATIONS`.

    Returns:
        (3, height, width) float32.

    Raises:
        ImageError: When the photo cannot be opened.
        ValueError: When there is no such augmentation.
    """
    if augmentation not in AUGMENTATIONS:
        raise ValueError(f"Unknown augmentation {augmentation!r}: expected {', '.join(AUGMENTATIONS)}.")
    pixels = AUGMENTATIONS[augmentation](processor.read_photo(image).pixels)
    return torch.from_numpy(processor.normalise(pixels))


__all__ = ["AUGMENTATIONS", "augmented_pixels"]
