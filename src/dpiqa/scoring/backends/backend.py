"""What every backend has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from ...models.photo_reader import PhotoReader

DTYPES = ("float32", "bfloat16", "float16")


class Backend(ABC):
    """A checkpoint, ready to score.

    Attributes:
        name: "torch", "onnx" or "openvino".
        source: Folder or Hub id of the checkpoint, or "memory".
        config: The checkpoint's configuration: what its scores mean is read there.
        reader: Makes the pixels.
        device: Where it computes: "cpu", "cuda:0", ...
        dtype: "float32", "bfloat16" or "float16".
        batch_size: Photos per call that are fastest.
        parallel: Whether threads may call it at the same time, each computing on a core of its own.
    """

    name: ClassVar[str]
    source: str
    config: Any
    reader: PhotoReader
    device: str
    dtype: str
    batch_size: int
    parallel: bool

    @abstractmethod
    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(batch, height, width, 3) uint8 -> scores (batch,) and quality maps (batch, rows, columns) or None."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """32 hexadecimal digits over all that scores depend on, the reader included."""

    def prepare_worker(self) -> None:  # noqa: B027, most have nothing to do
        """Called once in a thread that will call the backend beside others: what it computes stays on one core."""


__all__ = ["DTYPES", "Backend"]
