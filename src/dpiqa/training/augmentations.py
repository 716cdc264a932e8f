"""What a photo may be shown as in training without changing its quality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from PIL import Image, ImageOps

from ..models.image_processing_dpiqa import DPIQAImageProcessor
from ..models.images import open_image

# Mirroring is the one change of the whole photo that no rater would notice; the published training has none.
AUGMENTATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "original": lambda photo: photo,
    "mirrored": ImageOps.mirror,
}


def augmented_pixels(
    image: Mapping[str, Any], processor: DPIQAImageProcessor, augmentation: str = "original"
) -> torch.Tensor:
    """A photo, augmented, as a model takes it.

    Args:
        image: Entry of an `image` column: `bytes`, or the `path` of a file. It is decoded at the scale that covers
            the processor's size.
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
    cover = (processor.size["width"], processor.size["height"])
    photo = open_image(image["bytes"] or image["path"], cover=cover)
    return processor(AUGMENTATIONS[augmentation](photo), return_tensors="pt")["pixel_values"][0]


__all__ = ["AUGMENTATIONS", "augmented_pixels"]
