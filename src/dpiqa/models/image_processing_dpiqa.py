"""The one way from a photo to what the models take."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import (
    IMAGENET_STANDARD_MEAN,
    IMAGENET_STANDARD_STD,
    ChannelDimension,
    PILImageResampling,
)

from .images import DEFAULT_MAX_PIXELS, ImageSource, is_one_image
from .photo_reader import SETTINGS, PhotoPixels, PhotoReader


class DPIQAImageProcessor(PilBackend):
    """Opens images as [`dpiqa.open_image`] does, resizes them whole to the model's square and normalises them.

    The aspect ratio is ignored, as published (DP-IQA, arXiv 2405.19996, section 4.1). The defaults are those of the
    published models: 512x512, values in [0, 1], no normalisation; a checkpoint brings its own.

    A call is [`read_photo`] for every image and [`normalise`] for them all, and takes the settings `size`,
    `do_resize`, `resample`, `do_rescale`, `rescale_factor`, `do_normalize`, `image_mean` and `image_std` in place of
    the processor's own, as every processor in transformers does, and `max_pixels` and `formats` of `open_image`.
    Other settings of processors in transformers, such as `data_format`, are refused where they ask for something else.
    It takes one image or many, of any kind that `open_image` takes, and answers the `pixel_values`: (batch, 3, height,
    width) float32.

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

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Loads the processor of a checkpoint, as every processor of transformers does.

        Raises:
            OSError: When there is none, or its file is no JSON.
            ValueError: When the file does not hold the settings of a processor.
        """
        source = pretrained_model_name_or_path
        try:
            processor = super().from_pretrained(source, **kwargs)
            processor.rescale_factor = float(processor.rescale_factor)
            return processor
        except (OSError, ValueError):
            raise
        except Exception as error:  # on odd values transformers raises nearly anything
            raise ValueError(f"{source}: its preprocessor_config.json is that of no processor ({error}).") from error

    @classmethod
    def from_efficientnet(cls, efficientnet: str | os.PathLike[str], *, image_size: int) -> DPIQAImageProcessor:
        """Makes a processor that normalises as an EfficientNet of transformers was trained.

        Their processors divide by the standard deviation twice where `include_top` is set, which is their default.

        Args:
            efficientnet: Folder or Hub id, such as "google/efficientnet-b7".
            image_size: Side in pixels of the square input.

        Raises:
            OSError: When there is no such checkpoint, or it has no processor.
        """
        trained, _ = cls.get_image_processor_dict(efficientnet)
        normalises = trained.get("do_normalize", True)
        offset = 1.0 if trained.get("rescale_offset", False) else 0.0
        std = np.array(trained.get("image_std", IMAGENET_STANDARD_STD), float)
        mean = np.array(trained.get("image_mean", IMAGENET_STANDARD_MEAN), float) if normalises else np.zeros(3)
        divisions = int(normalises) + int(trained.get("include_top", True))
        return cls(
            size={"height": image_size, "width": image_size},
            rescale_factor=trained.get("rescale_factor", cls.rescale_factor),
            do_normalize=True,
            image_mean=(mean + offset).tolist(),
            image_std=(std**divisions).tolist(),
        )

    def read_photo(
        self, source: ImageSource, *, max_pixels: int = DEFAULT_MAX_PIXELS, formats: Sequence[str] | None = None
    ) -> PhotoPixels:
        """Opens a photo and resizes it: [`PhotoReader.read_photo`] with the processor's settings."""
        return self._reader.read_photo(source, max_pixels=max_pixels, formats=formats)

    def normalise(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels -> what a model takes: [`PhotoReader.normalise`] with the processor's settings."""
        return self._reader.normalise(pixels)

    def settings(self) -> dict[str, Any]:
        """All that pixels follow from, beside the photo and the code; for fingerprints."""
        own = self.to_dict()
        return {name: own.get(name) for name in SETTINGS}

    @property
    def _reader(self) -> PhotoReader:
        return PhotoReader.from_settings(vars(self))

    def preprocess(
        self,
        images: Any,
        *,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        formats: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        return super().preprocess(images, max_pixels, formats, **kwargs)

    def _preprocess_image_like_inputs(
        self,
        images: Any,
        max_pixels: int,
        formats: Sequence[str] | None,
        *,
        return_tensors: str | None = None,
        **settings: Any,
    ) -> BatchFeature:
        _refuse(settings)
        # The base class has put the processor's own settings where the call gives none.
        of_this_call = copy.copy(self)
        for name, value in settings.items():
            if value is not None:
                setattr(of_this_call, name, value)
        photos = [images] if is_one_image(images) else list(images)
        read = [of_this_call.read_photo(photo, max_pixels=max_pixels, formats=formats).pixels for photo in photos]
        pixel_values = [np.ascontiguousarray(of_this_call.normalise(pixels)) for pixels in read]
        return BatchFeature({"pixel_values": pixel_values}, tensor_type=return_tensors)


def _refuse(settings: dict[str, Any]) -> None:
    """Refuses what processors of transformers take and this one has no use for, rather than to ignore it."""
    if settings.get("do_center_crop") or settings.get("do_pad"):
        raise ValueError("A photo is scored whole: this processor has no do_center_crop and no do_pad.")
    if settings.get("do_convert_rgb") is False:
        raise ValueError("The models take RGB, and every photo is converted: leave do_convert_rgb out.")
    layout = settings.get("data_format")
    if layout not in (None, ChannelDimension.FIRST):
        raise ValueError(f"The models take channels first, got data_format={str(layout)!r}: move the axes afterwards.")
    if settings.get("input_data_format") is not None:
        raise ValueError(
            "Arrays have their channels last, tensors first: move the axes and leave input_data_format out."
        )
    if str(settings.get("device") or "cpu") != "cpu":
        raise ValueError(
            f"Photos are read on the CPU, got device={str(settings['device'])!r}: use .to(device) afterwards."
        )


__all__ = ["DPIQAImageProcessor"]
