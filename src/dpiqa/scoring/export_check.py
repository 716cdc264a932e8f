"""Whether an exported network gives the scores of PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter
from scipy.stats import spearmanr

from ..counting import counted
from .backends.backend import Backend

# Largest difference of a score from PyTorch's in float32; and the rank correlation of the types that round.
FLOAT32_TOLERANCE = 1e-4
BFLOAT16_TOLERANCE = 0.02
MIN_SRCC = {"bfloat16": 0.999, "int8": 0.995}
# Photos below which a rank correlation says nothing.
_MIN_PHOTOS = 50


class ExportError(ValueError):
    """A checkpoint that cannot be exported, or an export that does not do what it should."""


class ExportShapeError(ExportError):
    """The outputs have other shapes than PyTorch's."""


class ExportToleranceError(ExportError):
    """The scores are too far from PyTorch's."""


@dataclass(frozen=True)
class Agreement:
    """Scores of a backend against PyTorch's in float32.

    Attributes:
        backend: "onnx" or "openvino".
        dtype: What it computed in: "float32", "bfloat16" or "int8".
        photos: How many were compared.
        largest: Largest difference, in units of the score.
        mean: Mean of the differences without their signs.
        srcc: Rank correlation (SRCC), or None for fewer than 50 photos.
    """

    backend: str
    dtype: str
    photos: int
    largest: float
    mean: float
    srcc: float | None

    def __str__(self) -> str:
        srcc = "" if self.srcc is None else f", SRCC {self.srcc:.4f}"
        return (
            f"{self.backend}, {self.dtype}: differs from PyTorch in float32 by {self.largest:.1e} at most and "
            f"{self.mean:.1e} on average over {counted(self.photos, 'picture')}{srcc}"
        )


def pictures(height: int, width: int) -> list[np.ndarray]:
    """Eight pictures, (height, width, 3) uint8, always the same: from soft to sharp, clean to noisy, dark to light."""
    random = np.random.default_rng(0)
    made: list[np.ndarray] = []
    for detail in (4, 16, 64, 160):
        for noise in (0, 20):
            coarse = Image.fromarray(random.integers(0, 256, (detail, detail, 3), dtype=np.uint8))
            soft = coarse.resize((width, height), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))
            grain = random.normal(0, noise, (height, width, 3))
            exposure = 0.4 + 0.15 * len(made)
            made.append((np.asarray(soft) * exposure + grain).clip(0, 255).astype(np.uint8))
    return made


def check_shapes(reference: Backend, exported: Backend) -> None:
    """Compares the outputs for batches and, where it takes them, photos of several sizes.

    Raises:
        ExportShapeError: When their shapes differ.
    """
    sizes = [size_of(reference)]
    if takes_any_size(reference):
        sizes.append((96, 160))
    for size in sizes:
        for count in (1, 3):
            batch = np.stack(pictures(*size)[:count])
            expected, found = (_shapes(backend(batch)) for backend in (reference, exported))
            if expected != found:
                raise ExportShapeError(
                    f"{exported.name} gives outputs of the shapes {found} for {batch.shape}: expected {expected}."
                )


def check_agreement(
    reference: Backend, exported: Backend, photos: list[np.ndarray], *, quantized: str | None = None
) -> Agreement:
    """Compares scores, one photo at a time.

    Args:
        reference: PyTorch in float32.
        exported: What to check.
        photos: (height, width, 3) uint8, of the reader's size. Without any, the built-in pictures are taken.
        quantized: "int8" when the network is.

    Raises:
        ExportToleranceError: When they differ by more than the type allows.
    """
    photos = photos or pictures(*size_of(reference))
    expected, found = ([float(b(photo[None])[0][0]) for photo in photos] for b in (reference, exported))
    differences = np.abs(np.subtract(expected, found))
    enough = len(photos) >= _MIN_PHOTOS
    dtype = quantized or exported.dtype
    srcc = float(spearmanr(expected, found).statistic) if enough else None
    agreement = Agreement(exported.name, dtype, len(photos), float(differences.max()), float(differences.mean()), srcc)
    if dtype == "float32":
        agrees = agreement.largest <= FLOAT32_TOLERANCE
        limit = f"a largest difference of at most {FLOAT32_TOLERANCE}"
    elif srcc is not None:
        agrees = srcc >= MIN_SRCC[dtype]
        limit = f"an SRCC of at least {MIN_SRCC[dtype]}"
    else:
        agrees = agreement.largest <= BFLOAT16_TOLERANCE
        limit = f"a largest difference of at most {BFLOAT16_TOLERANCE}"
    if not agrees:  # also when a score is no number
        raise ExportToleranceError(f"{agreement}: {limit} is required.")
    return agreement


def _shapes(outputs: tuple[np.ndarray, np.ndarray | None]) -> list[tuple[int, ...]]:
    return [output.shape for output in outputs if output is not None]


def takes_any_size(backend: Backend) -> bool:
    """Whether photos of several sizes come to the network."""
    return not backend.reader.do_resize and backend.config.head == "pooled"


def size_of(backend: Backend) -> tuple[int, int]:
    """(height, width) of the photos that come to the network, or of some of them."""
    if backend.reader.do_resize:
        return backend.reader.size["height"], backend.reader.size["width"]
    return (224, 320) if takes_any_size(backend) else (backend.config.image_size, backend.config.image_size)


__all__ = [
    "Agreement",
    "ExportError",
    "ExportShapeError",
    "ExportToleranceError",
    "check_agreement",
    "check_shapes",
    "pictures",
    "size_of",
    "takes_any_size",
]
