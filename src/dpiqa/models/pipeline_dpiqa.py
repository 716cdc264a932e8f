"""`pipeline("image-quality-assessment")`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from transformers import Pipeline

from .calibration import calibrate
from .image_urls import download_image, is_url
from .images import OPENING_ERRORS, ImageError, describe, is_one_image, reason_of
from .photo_reader import PhotoPixels

TASK = "image-quality-assessment"


class ImageQualityAssessmentPipeline(Pipeline):
    """Gives photos quality scores, as a transformers pipeline.

    A half-precision student computes in float32, as it does in a [`Scorer`], unless another `dtype` is asked for.
    The `Scorer` is the faster of the two for many files.

    Args:
        model: A student or a teacher.
        image_processor: The checkpoint's image processor.
        dtype: As for every pipeline.
        **kwargs: Arguments of every pipeline, such as `device` and `batch_size`; and, for all calls, those of a call:
            `return_map` and `allow_urls`.

    Example:
        >>> import dpiqa
        >>> from transformers import pipeline
        >>> rate = pipeline("image-quality-assessment", model=dpiqa.bundled_checkpoint())
        >>> rate("photo.jpg").get("score")
        0.71
        >>> for result in rate(["a.jpg", "b.jpg"], batch_size=16):
        ...     print(result.get("score"), result.get("error"))
    """

    _load_processor = False
    _load_image_processor = True
    _load_feature_extractor = False
    _load_tokenizer = False

    def __init__(self, model: Any, image_processor: Any, *, dtype: Any = "auto", **kwargs: Any):
        super().__init__(model=model, image_processor=image_processor, **kwargs)
        self.model.eval()
        if dtype in (None, "auto") and self.model.config.model_type == "dpiqa-student":
            self.model.float()

    def __call__(self, inputs: Any, **kwargs: Any) -> dict[str, Any] | list[dict[str, Any]] | Iterator[dict[str, Any]]:
        """Scores one image, or many.

        Args:
            inputs: Anything that [`dpiqa.open_image`] takes; or several of such: a list, a tuple, a column of pandas
                or of `datasets`, a generator or another iterator, or a `torch.utils.data.Dataset`.
            **kwargs: `return_map`, whether results have the `quality_map` (students with the pooled head only);
                `allow_urls`, whether strings may be http and https URLs (off unless asked for: in a server it would
                let strangers fetch from the server's network); `batch_size`; `num_workers`.

        Returns:
            A dict per image; a list of them for what has a length, an iterator for an iterator or a data set:

            - `score`: higher is better, MOS normalised to [0, 1]; NaN when there is an error;
            - `percentile`, `interval`: see [`Score`]; None when the checkpoint is not calibrated;
            - `width`, `height`: of the original in pixels, upright;
            - `error`: why one of many has no score, else None;
            - `quality_map`: (rows, columns) float32 array in units of the score, when asked for.

        Raises:
            ImageError: When the only image cannot be scored (also OSError, ValueError: see `open_image`). One of
                many becomes a result with an `error`.
            ValueError: When a quality map is asked for and the model has none.
        """
        if isinstance(inputs, torch.utils.data.Dataset):
            return super().__call__(inputs, **kwargs)
        if is_one_image(inputs):
            return super().__call__(inputs, raise_errors=True, **kwargs)
        if hasattr(inputs, "__len__"):
            return [] if len(inputs) == 0 else super().__call__(list(inputs), **kwargs)
        # transformers knows generators, and no other iterators.
        return super().__call__((image for image in inputs), **kwargs)

    def _sanitize_parameters(
        self, return_map: bool | None = None, allow_urls: bool | None = None, raise_errors: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if return_map and getattr(self.model.config, "head", None) != "pooled":
            raise ValueError("Only students with the pooled head have quality maps: leave return_map out.")
        raising = {"raise_errors": True} if raise_errors else {}
        preprocess = {} if allow_urls is None else {"allow_urls": allow_urls}
        postprocess = {} if return_map is None else {"return_map": return_map}
        return preprocess | raising, {}, postprocess | raising

    def preprocess(self, image: Any, allow_urls: bool = False, raise_errors: bool = False) -> dict[str, Any]:
        failure = None
        try:
            if is_url(image):
                if not allow_urls:
                    raise ImageError(image, "URLs are fetched only with allow_urls=True.")
                image = download_image(image)
            photo = self.image_processor.read_photo(image)
        except OPENING_ERRORS as error:
            if raise_errors:
                raise
            # Something of the right shape, so that the rest of the batch goes on.
            size = self.image_processor.size
            photo = PhotoPixels(np.zeros((size["height"], size["width"], 3), np.uint8), 0, 0)
            failure = reason_of(error, describe(image))
        pixels = torch.from_numpy(self.image_processor.normalise(photo.pixels[None]))
        return {"pixel_values": pixels, "width": photo.width or None, "height": photo.height or None, "error": failure}

    def _forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        output = self.model(inputs.pop("pixel_values"))
        return {"score": output.score, "quality_map": output.quality_map, **inputs}

    def postprocess(
        self, outputs: dict[str, Any], return_map: bool = False, raise_errors: bool = False
    ) -> dict[str, Any]:
        score, error = outputs["score"].item(), outputs["error"]
        if error is None and not math.isfinite(score):
            error = f"the model gave {score}: its weights are damaged, or do not suit {self.model.dtype}."
            if raise_errors:
                raise ValueError(error)
        failed = error is not None
        score = math.nan if failed else score
        percentile, interval = (None, None) if failed else calibrate(score, self.model.config)
        result = {
            "score": score,
            "percentile": percentile,
            "interval": interval,
            "width": outputs["width"],
            "height": outputs["height"],
            "error": error,
        }
        if return_map:
            result["quality_map"] = None if failed else outputs["quality_map"][0].float().numpy()
        return result


__all__ = ["ImageQualityAssessmentPipeline"]
