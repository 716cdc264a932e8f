"""Photos in, scores out: the [`Scorer`] behind every entry point."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModel, PreTrainedConfig

from ..checkpoints import bundled_checkpoint
from ..models.calibration import calibrate
from ..models.image_processing_dpiqa import DPIQAImageProcessor, PhotoPixels
from ..models.images import DEFAULT_MAX_PIXELS, OPENING_ERRORS, ImageSource, describe, reason_of
from ..models.modeling_dpiqa_student import DPIQAStudent
from .checkpoint_source import only_local
from .fingerprint import fingerprint

if TYPE_CHECKING:
    from ..models.modeling_dpiqa import DPIQAModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_STUDENT_BATCH, _TEACHER_BATCH = 16, 4


@dataclass(frozen=True)
class Score:
    """The quality of one photo.

    Attributes:
        score: Quality in units of MOS normalised to [0, 1], higher is better; NaN when there is an error.
        percentile: Share in percent of the checkpoint's training photos with a lower score, or None when the
            checkpoint is not calibrated.
        interval: (low, high) that covers the MOS of 90 % of photos like the checkpoint's validation photos, or None
            when the checkpoint is not calibrated.
        quality_map: (height / 32, width / 32) float32 local qualities of the model's input, in units of the score,
            when asked for and the model has one.
        error: Why the photo has no score.
        width: Width of the original in pixels, upright; None when it could not be opened.
        height: Height likewise.
    """

    score: float
    percentile: float | None = None
    interval: tuple[float, float] | None = None
    quality_map: np.ndarray | None = None
    error: str | None = None
    width: int | None = None
    height: int | None = None


class Scorer:
    """Scores photos with a student or a teacher, overlapping decoding and inference.

    Args:
        model: A student, which is put into eval mode and moved, or a teacher, of which a copy is frozen for inference
            (see [`dpiqa.freeze_for_inference`]).
        processor: The checkpoint's image processor.
        device: Where the model runs; "auto" takes cuda, then mps, then cpu.
        dtype: "float32", "bfloat16" or "float16"; "auto" takes float32, the reference, for a student, and what is
            fast without changing the ranking for a teacher (see [`dpiqa.scoring.frozen_teacher.inference_dtype`]).
        batch_size: Photos per forward pass; does not change the scores. None takes 16 for a student; for a teacher 4,
            or 1 on a CPU.
        workers: Threads that decode; None takes one per core.
        max_pixels: Photos with more pixels are refused from the header.
        formats: Formats of files to read, by Pillow's names ("JPEG", "PNG", ...); None reads all that
            [`dpiqa.open_image`] does.

    Example:
        >>> scorer = Scorer.from_pretrained()
        >>> scorer("photo.jpg").score
        0.71
    """

    def __init__(
        self,
        model: DPIQAStudent | DPIQAModel,
        processor: DPIQAImageProcessor,
        *,
        device: str | torch.device = "auto",
        dtype: str = "auto",
        batch_size: int | None = None,
        workers: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        formats: Sequence[str] | None = None,
    ):
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        self.device = pick_device(device)
        self.dtype = _pick_dtype(dtype, model.config.model_type, self.device)
        if model.config.model_type == "dpiqa":
            from .frozen_teacher import freeze_for_inference

            self.model = freeze_for_inference(model, device=self.device, dtype=self.dtype)
            self.batch_size = batch_size or (1 if self.device.type == "cpu" else _TEACHER_BATCH)
        else:
            self.model = model.to(device=self.device, dtype=self.dtype, memory_format=torch.channels_last).eval()
            self.batch_size = batch_size or _STUDENT_BATCH
        self.processor = processor
        self.workers = workers or os.cpu_count() or 1
        self.max_pixels = max_pixels
        self.formats = formats

    @cached_property
    def fingerprint(self) -> str:
        """Names what scores follow from: weights, configuration, processor, type and code, as 32 hex digits."""
        return fingerprint(self.model, self.model.config.to_dict(), self.processor.to_dict(), str(self.dtype))

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] | None = None,
        *,
        revision: str = "main",
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        **kwargs: Any,
    ) -> Scorer:
        """Loads a checkpoint.

        Args:
            model: Folder or Hub id of a student or a teacher; None takes the student inside the package.
            revision: Branch, tag or commit on the Hub.
            cache_dir: Where Hub files are kept.
            local_files_only: Whether to look in the cache only.
            **kwargs: Arguments of the `Scorer`.

        Raises:
            OSError: When there is no such checkpoint, or its files are damaged.
            ValueError: When it is a checkpoint of another kind of model, or there is no such device.
        """
        source = bundled_checkpoint() if model is None else model
        device = pick_device(kwargs.get("device", "auto"))
        hub: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir}
        hub["local_files_only"] = only_local(source, **hub, local_files_only=local_files_only)
        kind = PreTrainedConfig.get_config_dict(source, **hub)[0].get("model_type")
        if kind not in ("dpiqa", "dpiqa-student"):
            found = f"model_type {kind!r}" if kind else "no config.json with a model_type"
            raise ValueError(f"{source} is no checkpoint of dpiqa: expected dpiqa or dpiqa-student, found {found}.")
        dtype = _pick_dtype(kwargs.get("dtype", "auto"), kind, device)
        # In the final type and layout from the start: a teacher's weights then exist only once.
        try:
            loaded = AutoModel.from_pretrained(source, dtype=dtype, **hub)
        except SafetensorError as error:
            raise OSError(f"{source}: the weights are damaged or cut short ({error}).") from error
        loaded = loaded.to(memory_format=torch.channels_last)
        return cls(loaded, DPIQAImageProcessor.from_pretrained(source, **hub), **kwargs)

    @overload
    def __call__(self, images: list[Any] | tuple[Any, ...], *, return_map: bool = ...) -> list[Score]: ...

    @overload
    def __call__(self, images: ImageSource, *, return_map: bool = ...) -> Score: ...

    def __call__(self, images: Any, *, return_map: bool = False) -> Score | list[Score]:
        """Scores one image or a list of any mix of what [`dpiqa.open_image`] takes.

        Args:
            images: Path, bytes, file, PIL image, NumPy array or tensor; or a list or tuple of them.
            return_map: Whether to fill in `quality_map`.

        Returns:
            A [`Score`], or a list of them in the order of the images. In a list, an image that cannot be scored has
            a `Score` with `error` set, and the others are scored all the same.

        Raises:
            ImageError: When the only image cannot be scored (also OSError, ValueError: see `open_image`).
        """
        if isinstance(images, list | tuple):
            return list(self.stream(images, return_map=return_map))
        return self._score_batch([self._read(images)], return_map)[0]

    def stream(self, images: Iterable[ImageSource], *, return_map: bool = False) -> Iterator[Score]:
        """Scores any number of images in order, in constant memory.

        Args:
            images: Anything iterable; at most three batches are taken from it ahead of their scores.
            return_map: Whether to fill in `quality_map`.

        Yields:
            One [`Score`] per image, with `error` set where it cannot be scored.
        """
        source = iter(images)
        pending: deque[Future[PhotoPixels | Score]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="dpiqa-decode")
        try:
            while True:
                for image in islice(source, 3 * self.batch_size - len(pending)):
                    pending.append(pool.submit(self._read_or_error, image))
                if not pending:
                    return
                batch = [pending.popleft().result() for _ in range(min(self.batch_size, len(pending)))]
                scores = iter(self._score_batch([item for item in batch if isinstance(item, PhotoPixels)], return_map))
                for item in batch:
                    yield item if isinstance(item, Score) else next(scores)
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, image: ImageSource) -> PhotoPixels:
        return self.processor.read_photo(image, max_pixels=self.max_pixels, formats=self.formats)

    def _read_or_error(self, image: ImageSource) -> PhotoPixels | Score:
        try:
            return self._read(image)
        except OPENING_ERRORS as error:
            return Score(float("nan"), error=reason_of(error, describe(image)))

    @torch.inference_mode()
    def _score_batch(self, batch: list[PhotoPixels], return_map: bool) -> list[Score]:
        if not batch:
            return []
        if len({photo.pixels.shape for photo in batch}) > 1:  # a processor that does not resize
            return [score for photo in batch for score in self._score_batch([photo], return_map)]
        pixels = torch.from_numpy(self.processor.normalise(np.stack([photo.pixels for photo in batch])))
        output = self.model(pixels.to(self.device, self.dtype, memory_format=torch.channels_last))
        values = output.score.double().cpu().numpy()
        maps: Sequence[np.ndarray | None] = [None] * len(batch)
        if return_map and output.quality_map is not None:
            maps = list(output.quality_map.float().cpu().numpy())
        return [
            replace(self.calibrated(float(value)), quality_map=quality_map, width=photo.width, height=photo.height)
            for value, quality_map, photo in zip(values, maps, batch, strict=True)
        ]

    def calibrated(self, score: float) -> Score:
        """Adds the percentile and the interval from the checkpoint's calibration to a bare score."""
        calibration = calibrate(score, self.model.config)
        return Score(score, calibration.percentile, calibration.interval)


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The device of this name; for "auto" the best at hand: cuda, then mps, then cpu.

    Raises:
        ValueError: When PyTorch cannot compute on it here.
    """
    if device != "auto":
        try:
            return torch.empty(0, device=device).device
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise ValueError(f"cannot compute on {str(device)!r} here ({reason}): try auto or cpu.") from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _pick_dtype(dtype: str, model_type: str, device: torch.device) -> torch.dtype:
    if dtype != "auto":
        if dtype not in DTYPES:
            raise ValueError(f"Unknown dtype {dtype!r}: expected auto, {', '.join(DTYPES)}.")
        return DTYPES[dtype]
    if model_type != "dpiqa":
        return torch.float32
    from .frozen_teacher import inference_dtype

    return inference_dtype(device)
