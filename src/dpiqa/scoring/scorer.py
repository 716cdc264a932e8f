"""Photos in, scores out: the [`Scorer`] behind every entry point."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from itertools import islice
from numbers import Integral
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..checkpoints import bundled_checkpoint
from ..models.calibration import calibrate
from ..models.images import DEFAULT_MAX_PIXELS, OPENING_ERRORS, ImageSource, describe, is_one_image, path_of, reason_of
from ..models.photo_reader import PhotoPixels
from .backends.backend import Backend
from .cores import available_cores
from .score import Score

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from ..models.image_processing_dpiqa import DPIQAImageProcessor
    from ..models.modeling_dpiqa import DPIQAModel
    from ..models.modeling_dpiqa_student import DPIQAStudent

# Photos that a worker has waiting for it, so that none stands still while the caller is busy.
_AHEAD = 3


class Scorer:
    """Scores photos with a student or a teacher.

    On a CPU every worker opens a photo and computes its score, on a core of its own. On another device, and for a
    teacher, the workers open photos while one of them computes.

    Args:
        model: A student or a teacher, of which a copy is made that only scores (see
            [`dpiqa.scoring.folded_student.fold_student`], [`dpiqa.freeze_for_inference`]); or a backend.
        processor: The checkpoint's image processor; a backend brings its own.
        device: Where the model runs; "auto" takes cuda, then mps, then cpu.
        dtype: "float32", "bfloat16" or "float16"; "auto" takes float32, the reference, for a student, and what is
            fast without changing the ranking for a teacher (see [`dpiqa.scoring.frozen_teacher.inference_dtype`]).
        batch_size: Photos per forward pass; does not change the scores. None takes 1 on a CPU; elsewhere 16 for a
            student and 4 for a teacher.
        workers: Threads; None takes one per core that this process may use.
        max_pixels: Photos with more pixels are refused from the header.
        formats: Formats of files to read, by Pillow's names ("JPEG", "PNG", ...); None reads all that
            [`dpiqa.open_image`] does.

    Attributes:
        backend: What computes; see [`dpiqa.scoring.backends.backend.Backend`].

    Example:
        >>> scorer = Scorer.from_pretrained()
        >>> scorer("photo.jpg").score
        0.71
    """

    def __init__(
        self,
        model: DPIQAStudent | DPIQAModel | Backend,
        processor: DPIQAImageProcessor | None = None,
        *,
        device: str | torch.device = "auto",
        dtype: str = "auto",
        batch_size: int | None = None,
        workers: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        formats: Sequence[str] | None = None,
    ):
        _check_counts(batch_size=batch_size, workers=workers)
        if isinstance(model, Backend):
            self.backend = model
        elif processor is None:
            raise TypeError("Expected the checkpoint's processor beside the model.")
        else:
            from .backends.torch_backend import TorchBackend

            self.backend = TorchBackend(model, processor, device=device, dtype=dtype)
        self.batch_size = batch_size or self.backend.batch_size
        self.workers = workers or available_cores()
        self.max_pixels = max_pixels
        self.formats = formats
        self._one_at_a_time = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_one_at_a_time"}  # no lock is pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _one_at_a_time=threading.Lock())

    def __repr__(self) -> str:
        backend, reader = self.backend, self.backend.reader
        pixels = f"{reader.size['width']}x{reader.size['height']} pixels" if reader.do_resize else "pixels as they are"
        return (
            f"Scorer({backend.source}, {pixels}, backend={backend.name!r}, device={backend.device!r}, "
            f"dtype={backend.dtype!r}, batch_size={self.batch_size}, workers={self.workers})"
        )

    @property
    def config(self) -> Any:
        """The checkpoint's configuration, with its calibration."""
        return self.backend.config

    @property
    def model(self) -> DPIQAStudent | DPIQAModel:
        """The model that PyTorch computes with.

        Raises:
            AttributeError: For other backends.
        """
        from .backends.torch_backend import TorchBackend

        if not isinstance(self.backend, TorchBackend):
            raise AttributeError(f"The backend {self.backend.name} has no model of PyTorch.")
        return self.backend.model

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits over all that scores depend on: weights, configuration, processor, type and code.

        The calibration does not count, because it changes percentiles and intervals but no score. The first call takes
        about a second per gigabyte of weights.
        """
        return self.backend.fingerprint

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] | None = None,
        *,
        backend: str | None = None,
        device: str | torch.device = "auto",
        dtype: str = "auto",
        workers: int | None = None,
        revision: str = "main",
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        **kwargs: Any,
    ) -> Scorer:
        """Loads a checkpoint.

        Args:
            model: Folder or Hub id of a student, a teacher, or what `dpiqa export` wrote; None takes the student
                inside the package.
            backend: "torch", "onnx" or "openvino"; "auto" takes the fastest that is installed and agrees with
                PyTorch. None takes what the checkpoint was exported for, and torch, the reference, for others.
            device: Where it computes.
            dtype: See above; openvino computes in float32 or bfloat16, onnx in float32.
            workers: See above.
            revision: Branch, tag or commit on the Hub.
            cache_dir: Where Hub files are kept.
            local_files_only: Whether to look in the cache only.
            **kwargs: Further arguments of the `Scorer`.

        Raises:
            OSError: When there is no such checkpoint, or its files are damaged.
            ValueError: When it is a checkpoint of another kind of model, there is no such device, or `batch_size` or
                `workers` is under 1.
            ImportError: When the backend is not installed.
        """
        from .backends.load import load_backend

        _check_counts(workers=workers)
        loaded = load_backend(
            bundled_checkpoint() if model is None else model,
            backend,
            device=device,
            dtype=dtype,
            threads=workers or available_cores(),
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
        )
        return cls(loaded, workers=workers, **kwargs)

    @overload
    def __call__(
        self, images: str | os.PathLike[str] | bytes | Image.Image | Mapping[str, Any], *, return_map: bool = ...
    ) -> Score: ...

    @overload
    def __call__(self, images: list[Any] | tuple[Any, ...], *, return_map: bool = ...) -> list[Score]: ...

    @overload
    def __call__(self, images: Any, *, return_map: bool = ...) -> Any: ...

    def __call__(self, images: Any, *, return_map: bool = False) -> Score | list[Score]:
        """Scores one image, or several. Each can be anything that [`dpiqa.open_image`] takes.

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

    def stream(self, images: Iterable[ImageSource], *, return_map: bool = False) -> Generator[Score]:
        """Scores any number of images in order, in constant memory.

        Args:
            images: Anything iterable. At most three batches for each worker are read ahead.
            return_map: Whether to fill in `quality_map`.

        Yields:
            One [`Score`] per image, with `error` set where it cannot be scored.

        Raises:
            TypeError: When it is one image.
        """
        if is_one_image(images):
            raise TypeError(f"Expected several images, got {describe(images)}: call the Scorer with one image.")
        source = iter(images)
        pending: deque[Future[list[Score]]] = deque()
        with ExitStack() as ends:
            prepare = self.backend.prepare_worker if self.backend.parallel else None
            pool = ThreadPoolExecutor(self.workers, "dpiqa-score", initializer=prepare)
            ends.callback(pool.shutdown, cancel_futures=True)
            while True:
                while len(pending) < _AHEAD * self.workers and (batch := list(islice(source, self.batch_size))):
                    pending.append(pool.submit(self._read_and_score, batch, return_map))
                if not pending:
                    return
                yield from pending.popleft().result()

    def _read_and_score(self, images: list[ImageSource], return_map: bool) -> list[Score]:
        """What a worker does with a batch, in the order of the images."""
        photos = [self._read_or_error(image) for image in images]
        readable = [photo for photo in photos if isinstance(photo, PhotoPixels)]
        with nullcontext() if self.backend.parallel else self._one_at_a_time:
            scores = iter(self._score_or_error(readable, return_map))
        results = [photo if isinstance(photo, Score) else next(scores) for photo in photos]
        return [replace(result, path=path_of(image)) for result, image in zip(results, images, strict=True)]

    def _read(self, image: ImageSource) -> PhotoPixels:
        return self.backend.reader.read_photo(image, max_pixels=self.max_pixels, formats=self.formats)

    def _read_or_error(self, image: ImageSource) -> PhotoPixels | Score:
        try:
            return self._read(image)
        except OPENING_ERRORS as error:
            return Score(math.nan, error=reason_of(error, describe(image)))

    def _score_or_error(self, batch: list[PhotoPixels], return_map: bool) -> list[Score]:
        try:
            return self._score_batch(batch, return_map)
        except ValueError as error:  # pixels of a size that the network does not take
            return [Score(math.nan, error=str(error), width=photo.width, height=photo.height) for photo in batch]

    def _score_batch(self, batch: list[PhotoPixels], return_map: bool) -> list[Score]:
        if not batch:
            return []
        if len({photo.pixels.shape for photo in batch}) > 1:  # a processor that does not resize
            return [score for photo in batch for score in self._score_batch([photo], return_map)]
        values, quality_maps = self.backend(np.stack([photo.pixels for photo in batch]))
        maps: Sequence[np.ndarray | None] = [None] * len(batch)
        if return_map and quality_maps is not None:
            maps = list(quality_maps)
        scores = []
        for value, quality_map, photo in zip(values.tolist(), maps, batch, strict=True):
            if math.isfinite(value):
                score = replace(self.calibrated(value), quality_map=quality_map)
            else:
                score = Score(
                    math.nan,
                    error=f"the model gave {value}: its weights are damaged, or do not suit {self.backend.dtype}.",
                )
            scores.append(replace(score, width=photo.width, height=photo.height))
        return scores

    def calibrated(self, score: float) -> Score:
        """Adds the percentile and the interval from the checkpoint's calibration to a bare score."""
        calibration = calibrate(score, self.config)
        return Score(score, calibration.percentile, calibration.interval)


def _check_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and not (isinstance(count, Integral) and count >= 1):
            raise ValueError(f"{name} must be a whole number of at least 1, or None for the default, got {count!r}.")


__all__ = ["Score", "Scorer"]
