"""What backends that read an exported checkpoint have in common; nothing here needs PyTorch or transformers."""

from __future__ import annotations

import hashlib
import json
import os
from abc import abstractmethod
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from ...models.images import PIXELS_VERSION
from ...models.photo_reader import PhotoReader
from ..checkpoint_source import read_json
from .backend import Backend

EXPORT_JSON = "export.json"
# What a configuration of before a calibration, or of another head, may lack.
_UNCALIBRATED = {"head": None, "score_quantiles": None, "interval_half_width": None, "interval_coverage": 0.9}


class ExportedBackend(Backend):
    """Computes a network that [`dpiqa.scoring.export.export_student`] wrote, on the CPU.

    Args:
        folder: What was exported.
        dtype: "auto" takes float32.
        threads: How many of its calls will be made at the same time.
        source: The checkpoint as it was named; None takes the one that the export names.

    Raises:
        ValueError: When the network cannot be computed in this type, or was not compared in it.
        OSError: When a file is missing or damaged.
    """

    file: ClassVar[str]
    weights: ClassVar[str]
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)
    device = "cpu"
    batch_size = 1
    parallel = True

    def __init__(
        self, folder: str | os.PathLike[str], *, dtype: str = "auto", threads: int = 1, source: str | None = None
    ):
        self.folder = Path(os.path.abspath(folder))  # also after the process has gone to another folder
        self.export = read_export(self.folder)
        self.dtype = "float32" if dtype == "auto" else dtype
        if self.dtype not in self.dtypes_here():
            raise ValueError(f"{self.name} computes in {' or '.join(self.dtypes_here())} here, not in {dtype!r}.")
        compared = {agreement["dtype"] for agreement in self.export.get("agreement", ())} | {"float32"}
        if "agreement" in self.export and self.dtype not in compared:
            raise ValueError(f"{folder} did not agree with PyTorch in {dtype} when it was exported: take float32.")
        self.config = SimpleNamespace(**(_UNCALIBRATED | read_json(self.folder / "config.json")))
        settings = self.folder / "preprocessor_config.json"
        try:
            self.reader = PhotoReader.from_settings(read_json(settings))
            self.reader.table()
        except (TypeError, ValueError) as error:
            raise OSError(f"{settings} is that of no processor: {error}.") from None
        self.source = source or self.export["source"]
        self._threads = threads
        self._load(threads)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as where it is, and read there again: what the runtimes hold in memory cannot be pickled."""
        return partial(type(self), dtype=self.dtype, threads=self._threads, source=self.source), (str(self.folder),)

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
        """See [`Backend.fingerprint`]: over the exported weights, what they were exported from, reader and type."""
        digest = hashlib.sha256((self.folder / self.weights).read_bytes())
        digest.update(self.export["fingerprint"].encode())
        settings = [PIXELS_VERSION, self.name, self.dtype, self.reader.settings()]
        digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
        return digest.hexdigest()[:32]


def read_export(folder: Path) -> dict[str, Any]:
    """What was noted when a folder was exported.

    Raises:
        OSError: When the note is damaged.
    """
    path = folder / EXPORT_JSON
    export = read_json(path)
    for name in ("backend", "source", "fingerprint"):
        if not isinstance(export.get(name), str):
            raise OSError(f"{path} is damaged: expected a text as {name}, found {export.get(name)!r}.")
    return export


__all__ = ["EXPORT_JSON", "ExportedBackend", "read_export"]
