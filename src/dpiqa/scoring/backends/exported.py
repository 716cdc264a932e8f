"""What backends that read an exported checkpoint have in common; nothing here needs PyTorch or transformers."""

from __future__ import annotations

import hashlib
import json
import os
from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np

from ...models.images import PIXELS_VERSION
from ...models.photo_reader import PhotoReader
from ..checkpoint_source import read_json
from .backend import Backend

EXPORT_JSON = "export.json"


class ExportedBackend(Backend):
    """Computes a network that [`dpiqa.scoring.export.export_student`] wrote, on the CPU.

    Args:
        folder: What was exported.
        dtype: "auto" takes float32.
        threads: How many of its calls will be made at the same time.

    Raises:
        ValueError: When the network cannot be computed in this type.
        OSError: When a file is missing or damaged.
    """

    file: ClassVar[str]
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)
    device = "cpu"
    batch_size = 1
    parallel = True

    def __init__(self, folder: str | os.PathLike[str], *, dtype: str = "auto", threads: int = 1):
        self.folder = Path(folder)
        self.export = read_json(self.folder / EXPORT_JSON)
        self.dtype = "float32" if dtype == "auto" else dtype
        if self.dtype not in self.dtypes_here():
            raise ValueError(f"{self.name} computes in {' or '.join(self.dtypes_here())} here, not in {dtype!r}.")
        self.config = SimpleNamespace(**read_json(self.folder / "config.json"))
        self.reader = PhotoReader.from_settings(read_json(self.folder / "preprocessor_config.json"))
        self.source = self.export["source"]
        self._load(threads)

    @classmethod
    def dtypes_here(cls) -> tuple[str, ...]:
        """Those of `dtypes` that this machine computes in."""
        return cls.dtypes

    @abstractmethod
    def _load(self, threads: int) -> None:
        """Reads the network."""

    @abstractmethod
    def _run(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """The network's outputs for a batch: the scores and, when it has them, the maps."""

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        scores, *maps = self._run(pixels)
        return scores.astype(np.float64), maps[0] if maps else None

    @cached_property
    def fingerprint(self) -> str:
        """See [`Backend.fingerprint`]: over the exported files, the reader, the type and the kind of backend."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.glob(f"{Path(self.file).stem}.*")):
            digest.update(path.read_bytes())
        settings = [PIXELS_VERSION, self.name, self.dtype, self.reader.settings()]
        digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
        return digest.hexdigest()[:32]


__all__ = ["EXPORT_JSON", "ExportedBackend"]
