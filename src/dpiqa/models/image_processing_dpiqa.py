"""Pixels as the models take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import PILImageResampling

from .images import ImageSource, open_image


class DPIQAImageProcessor(PilBackend):
    """Opens images with [`dpiqa.open_image`], resizes them whole to the model's square and normalises them.

    The aspect ratio is ignored, as published (DP-IQA, arXiv 2405.19996, section 4.1). The defaults are those of the
    published models: 512x512, values in [0, 1], no normalisation; a checkpoint brings its own.

    Example:
        >>> processor = DPIQAImageProcessor.from_pretrained(dpiqa.bundled_checkpoint())
        >>> processor("photo.jpg", return_tensors="pt").pixel_values.shape
        torch.Size([1, 3, 320, 320])
    """

    model_input_names = ["pixel_values"]
    resample = PILImageResampling.BILINEAR
    size = {"height": 512, "width": 512}
    do_resize = True
    do_rescale = True
    rescale_factor = 1 / 255
    do_normalize = False
    image_mean = (0.0, 0.0, 0.0)
    image_std = (1.0, 1.0, 1.0)

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Opens paths; URLs are never fetched here."""
        if isinstance(image_url_or_urls, list | tuple):
            return [self.fetch_images(image) for image in image_url_or_urls]
        if isinstance(image_url_or_urls, str):
            return open_image(image_url_or_urls, cover=(self.size["width"], self.size["height"]))
        return image_url_or_urls

    def process_image(self, image: ImageSource, **kwargs: Any) -> np.ndarray:
        """One image -> uint8 RGB pixels (3, height, width).

        Raises:
            ImageError: See [`dpiqa.open_image`].
            ValueError: When an array has another shape, type or range than `open_image` takes.
        """
        return np.moveaxis(np.asarray(open_image(image)), -1, 0)


__all__ = ["DPIQAImageProcessor"]
