"""Photos in, scores out: the [`Scorer`] behind every entry point."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from transformers import AutoModel
from transformers.utils import logging

from ..checkpoints import bundled_checkpoint
from ..models.calibration import calibrate
from ..models.image_processing_dpiqa import DPIQAImageProcessor, PhotoPixels
from ..models.images import DEFAULT_MAX_PIXELS, OPENING_ERRORS, ImageSource, describe, is_one_image, path_of, reason_of
from ..models.modeling_dpiqa_student import DPIQAStudent
from .checkpoint_source import model_type_of, only_local
from .fingerprint import fingerprint
from .forks import prepare_after_fork

if TYPE_CHECKING:
    from PIL import Image

    from ..models.modeling_dpiqa import DPIQAModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_STUDENT_BATCH, _TEACHER_BATCH = 16, 4
# What of a configuration no score depends on.
_NOT_IN_FINGERPRINT = frozenset(
    "_name_or_path architectures auto_map custom_pipelines dtype transformers_version score_range score_quantiles "
    "interval_half_width interval_coverage".split()
)


@dataclass(frozen=True)
class Score:
    """The quality of one photo.

    Attributes:
        score: Quality in units of MOS normalised to [0, 1], higher is better; NaN when there is an error.
        percentile: Share in percent of the checkpoint's training photos with a lower score, or None when the
            checkpoint is not calibrated.
        interval: (low, high) that covers the MOS of most photos like the checkpoint's validation photos, 90 % of them
            where its configuration has no other `interval_coverage`; None when there is no interval.
        quality_map: (height / 32, width / 32) float32 local qualities of the model's input, in units of the score,
            when asked for and the model has one.
        error: Why the photo has no score.
        width: Width of the original in pixels, upright; None when it could not be opened.
        height: Height likewise.
        path: Where the photo was read from; None when it was given in memory.
    """

    score: float
    percentile: float | None = None
    interval: tuple[float, float] | None = None
    quality_map: np.ndarray | None = None
    error: str | None = None
    width: int | None = None
    height: int | None = None
    path: str | None = None


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
        prepare_after_fork(self.device)
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

    def __repr__(self) -> str:
        size = self.processor.size
        pixels = f"{size['width']}x{size['height']} pixels" if self.processor.do_resize else "pixels as they are"
        return (
            f"Scorer({type(self.model).__name__} from {self.model.name_or_path or 'memory'}, {pixels}, "
            f"device={str(self.device)!r}, dtype={str(self.dtype).removeprefix('torch.')!r}, "
            f"batch_size={self.batch_size}, workers={self.workers})"
        )

    @cached_property
    def fingerprint(self) -> str:
        """Names what scores follow from: 32 hexadecimal digits over weights, configuration, processor, type and code.

        Another calibration is not in it, as it changes percentiles and intervals and no score. It is computed when it
        is first asked for, in about a second per gigabyte of weights.
        """
        config = _what_scores_follow_from(self.model.config.to_dict())
        return fingerprint(self.model, config, self.processor.settings(), str(self.dtype))

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
        kind = model_type_of(source, **hub)
        dtype = _pick_dtype(kwargs.get("dtype", "auto"), kind, device)
        prepare_after_fork(device)
        # In the final type and layout from the start: a teacher's weights then exist only once.
        with _without_weights_bar():
            loaded = AutoModel.from_pretrained(source, dtype=dtype, **hub)
        loaded = loaded.to(memory_format=torch.channels_last)
        return cls(loaded, DPIQAImageProcessor.from_pretrained(source, **hub), **kwargs)

    @overload
    def __call__(
        self, images: str | os.PathLike[str] | bytes | Image.Image | Mapping[str, Any], *, return_map: bool = ...
    ) -> Score: ...

    @overload
    def __call__(self, images: list[Any] | tuple[Any, ...], *, return_map: bool = ...) -> list[Score]: ...

    @overload
    def __call__(self, images: Any, *, return_map: bool = ...) -> Any: ...

    def __call__(self, images: Any, *, return_map: bool = False) -> Score | list[Score]:
        """Scores one image, or several of any mix of what [`dpiqa.open_image`] takes.

        Args:
            images: Path, bytes, file, PIL image, (height, width, 3) array, (3, height, width) tensor, or entry of a
                data set's `image` column; or several of them: a list, a tuple, a generator such as `Path.glob` gives,
                a column of pandas or of `datasets`, a (batch, height, width, 3) array or a (batch, 3, height, width)
                tensor.
            return_map: Whether to fill in `quality_map`.

        Returns:
            A [`Score`], or a list of them in the order of the images. Among several, an image that cannot be scored
            has a `Score` with `error` set, and the others are scored all the same.

        Raises:
            ImageError: When the only image cannot be scored (also OSError, ValueError, TypeError: see `open_image`).
            ValueError: When the model gives the only image no finite number.
        """
        if not is_one_image(images):
            return list(self.stream(images, return_map=return_map))
        score = self._score_batch([self._read(images)], return_map)[0]
        if score.error is not None:
            raise ValueError(f"{describe(images)}: {score.error}")
        return replace(score, path=path_of(images))

    def stream(self, images: Iterable[ImageSource], *, return_map: bool = False) -> Iterator[Score]:
        """Scores any number of images in order, in constant memory.

        Args:
            images: Anything iterable; at most three batches are taken from it ahead of their scores.
            return_map: Whether to fill in `quality_map`.

        Yields:
            One [`Score`] per image, with `error` set where it cannot be scored.

        Raises:
            TypeError: When it is one image.
        """
        if is_one_image(images):
            raise TypeError(f"Expected several images, got {describe(images)}: call the Scorer with one image.")
        source = iter(images)
        pending: deque[tuple[str | None, Future[PhotoPixels | Score]]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="dpiqa-decode")
        try:
            while True:
                for image in islice(source, 3 * self.batch_size - len(pending)):
                    pending.append((path_of(image), pool.submit(self._read_or_error, image)))
                if not pending:
                    return
                taken = [pending.popleft() for _ in range(min(self.batch_size, len(pending)))]
                batch = [(path, photo.result()) for path, photo in taken]
                readable = [photo for _, photo in batch if isinstance(photo, PhotoPixels)]
                scores = iter(self._score_batch(readable, return_map))
                for path, photo in batch:
                    yield replace(photo if isinstance(photo, Score) else next(scores), path=path)
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, image: ImageSource) -> PhotoPixels:
        return self.processor.read_photo(image, max_pixels=self.max_pixels, formats=self.formats)

    def _read_or_error(self, image: ImageSource) -> PhotoPixels | Score:
        try:
            return self._read(image)
        except OPENING_ERRORS as error:
            return Score(math.nan, error=reason_of(error, describe(image)))

    @torch.inference_mode()
    def _score_batch(self, batch: list[PhotoPixels], return_map: bool) -> list[Score]:
        if not batch:
            return []
        if len({photo.pixels.shape for photo in batch}) > 1:  # a processor that does not resize
            return [score for photo in batch for score in self._score_batch([photo], return_map)]
        prepare_after_fork(self.device)
        pixels = torch.from_numpy(self.processor.normalise(np.stack([photo.pixels for photo in batch])))
        output = self.model(pixels.to(self.device, self.dtype, memory_format=torch.channels_last))
        values = output.score.double().cpu().numpy()
        maps: Sequence[np.ndarray | None] = [None] * len(batch)
        if return_map and output.quality_map is not None:
            maps = list(output.quality_map.float().cpu().numpy())
        scores = []
        for value, quality_map, photo in zip(values.tolist(), maps, batch, strict=True):
            if math.isfinite(value):
                score = replace(self.calibrated(value), quality_map=quality_map)
            else:
                score = Score(
                    math.nan, error=f"the model gave {value}: its weights are damaged, or do not suit {self.dtype}."
                )
            scores.append(replace(score, width=photo.width, height=photo.height))
        return scores

    def calibrated(self, score: float) -> Score:
        """Adds the percentile and the interval from the checkpoint's calibration to a bare score."""
        calibration = calibrate(score, self.model.config)
        return Score(score, calibration.percentile, calibration.interval)


def _what_scores_follow_from(config: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _what_scores_follow_from(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in _NOT_IN_FINGERPRINT
    }


@contextmanager
def _without_weights_bar() -> Iterator[None]:
    """Keeps transformers' bar for reading weights off the terminal, not the bars of downloads."""
    hook = logging.set_tqdm_hook(lambda factory, args, kwargs: logging.EmptyTqdm(*args, **kwargs))
    try:
        yield
    finally:
        logging.set_tqdm_hook(hook)


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
