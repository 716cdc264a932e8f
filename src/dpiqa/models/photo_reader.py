"""From a photo to the pixels that a model takes, without PyTorch and without transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from .images import DEFAULT_MAX_PIXELS, ImageSource, opened


class PhotoPixels(NamedTuple):
    """A photo as the reader resized it.

    Attributes:
        pixels: (height, width, 3) uint8, sRGB; of the reader's size.
        width: Width of the original in pixels, upright.
        height: Height of the original likewise.
    """

    pixels: np.ndarray
    width: int
    height: int


@dataclass(frozen=True)
class PhotoReader:
    """What [`dpiqa.DPIQAImageProcessor`] does, which has the same settings and calls this class.

    Attributes:
        size: Mapping with the `height` and the `width` that every photo is resized to.
        do_resize: Whether it is; else photos keep their size.
        resample: Pillow's number of the filter.
        do_rescale: Whether values are multiplied by `rescale_factor`.
        rescale_factor: See `do_rescale`.
        do_normalize: Whether `image_mean` is then subtracted and the result divided by `image_std`.
        image_mean: The means of the three channels.
        image_std: Likewise.
    """

    size: Mapping[str, int]
    do_resize: bool = True
    resample: int = Image.Resampling.BILINEAR
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = False
    image_mean: Sequence[float] = (0.0, 0.0, 0.0)
    image_std: Sequence[float] = (1.0, 1.0, 1.0)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> PhotoReader:
        """Takes its settings out of more of them, such as the content of a `preprocessor_config.json`."""
        return cls(**{name: settings[name] for name in SETTINGS if settings.get(name) is not None})

    def settings(self) -> dict[str, Any]:
        """All settings that the pixels depend on; for fingerprints."""
        return {name: getattr(self, name) for name in SETTINGS}

    def read_photo(
        self, source: ImageSource, *, max_pixels: int = DEFAULT_MAX_PIXELS, formats: Sequence[str] | None = None
    ) -> PhotoPixels:
        """Opens a photo once and resizes it whole to the reader's size, unless `do_resize` is off.

        Args:
            source: Anything that [`dpiqa.open_image`] takes.
            max_pixels: Refuse more pixels than this, from the header.
            formats: Formats of files to read; see `open_image`.

        Raises:
            ImageError: See [`dpiqa.open_image`]; also OSError, ValueError and TypeError as there.
        """
        if not self.do_resize:
            with opened(source, max_pixels=max_pixels, formats=formats) as (image, width, height):
                return PhotoPixels(np.array(image), width, height)
        if not (self.size.get("height") and self.size.get("width")):
            raise ValueError(f"Expected a size with height and width, got {self.size}.")
        size = (self.size["width"], self.size["height"])
        with opened(source, max_pixels=max_pixels, cover=size, formats=formats) as (image, width, height):
            return PhotoPixels(np.array(image.resize(size, self.resample)), width, height)

    def normalise(self, pixels: np.ndarray) -> np.ndarray:
        """Turns pixels into what a model takes.

        Args:
            pixels: (..., height, width, 3) uint8 of [`read_photo`].

        Returns:
            (..., 3, height, width) float32. In memory the channels stay last.

        Raises:
            ValueError: When the shape or the type is another one.
        """
        if pixels.dtype != np.uint8 or pixels.ndim < 3 or pixels.shape[-1] != 3:
            raise ValueError(f"Expected uint8 of shape (..., height, width, 3), got {pixels.dtype} {pixels.shape}.")
        table = self.table()
        values = np.empty(pixels.shape, np.float32)
        for channel in range(3):
            values[..., channel] = table[:, channel][pixels[..., channel]]
        return np.moveaxis(values, -1, -3)

    def table(self) -> np.ndarray:
        """(256, 3) float32: what each value of a byte becomes in each channel; computed once for all pixels."""
        table = np.arange(256, dtype=np.float64)[:, None] * (self.rescale_factor if self.do_rescale else 1)
        table = np.repeat(table, 3, axis=1).astype(np.float32)
        if self.do_normalize:
            table = (table - np.array(self.image_mean, np.float32)) / np.array(self.image_std, np.float32)
        return table


SETTINGS = tuple(field.name for field in fields(PhotoReader))

__all__ = ["SETTINGS", "PhotoPixels", "PhotoReader"]
