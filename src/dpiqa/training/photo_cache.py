"""What frozen networks say about photos, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers.utils.logging import tqdm

from ..models.image_processing_dpiqa import DPIQAImageProcessor
from .augmentations import view_pixels


class PhotoCache(ABC):
    """What a frozen network says about photos: one safetensors file per photo and view.

    A file is named by the photo's content and the view, below a folder named by everything else that its values
    follow from, so that nothing stale is ever read. Files appear complete or not at all: a killed process loses at
    most a batch, and several processes may fill one folder.

    Args:
        folder: Where to keep the files of all networks.
        key: Names the network; see [`network_key`].
        processor: The network's own processor; a model that is trained may see other pixels of the same photo.

    Attributes:
        names: The tensors of a file, which become columns of a training batch.
        computed: Views that this object ran the network on.
    """

    names: ClassVar[tuple[str, ...]]

    def __init__(self, folder: str | os.PathLike[str], key: str, processor: DPIQAImageProcessor):
        self.folder = Path(folder) / key
        self.processor = processor
        self.computed = 0

    @abstractmethod
    def compute(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        """The tensors `names` for (batch, 3, height, width) pixels, each with the batch first."""

    def fill(
        self, rows: Any, views: Sequence[str] = ("original",), *, batch_size: int = 8, num_workers: int = 0
    ) -> list[list[Path]]:
        """Computes what is missing for a data set.

        Args:
            rows: A `datasets.Dataset` of [`dpiqa.data.load_iqa_dataset`].
            views: Names of [`dpiqa.training.augmentations.VIEWS`].
            batch_size: Views per pass of the network.
            num_workers: Processes that decode photos meanwhile.

        Returns:
            For every row, the file of each view.

        Raises:
            ImageError: When a photo cannot be opened.
        """
        files = [self._files(image, views) for image in rows["image"]]
        todo: dict[Path, tuple[int, str]] = {}
        for row, of_row in enumerate(files):
            for view, path in zip(views, of_row, strict=True):
                if path not in todo and not self._is_complete(path):
                    todo[path] = (row, view)
        pixels = _Pixels(rows, self.processor, list(todo.values()))
        paths = iter(todo)
        with tqdm(total=len(todo), desc=type(self).__name__, unit="photo", disable=not todo) as progress:
            for batch in DataLoader(pixels, batch_size, num_workers=num_workers):
                with torch.no_grad():
                    tensors = self.compute(batch)
                for number, path in enumerate(islice(paths, len(batch))):
                    one = {name: tensors[name][number].cpu().contiguous() for name in self.names}
                    _save_atomically(one, path)
                self.computed += len(batch)
                progress.update(len(batch))
        return files

    def _files(self, image: Mapping[str, Any], views: Sequence[str]) -> list[Path]:
        content = image["bytes"] or Path(image["path"]).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return [self.folder / digest[:2] / f"{digest}-{view}.safetensors" for view in views]

    def _is_complete(self, path: Path) -> bool:
        if not path.exists():
            return False
        try:
            with safe_open(path, "pt") as file:
                return set(self.names) <= set(file.keys())
        except SafetensorError:
            return False  # a disk that was full, say: computed again


class _Pixels(Dataset):
    def __init__(self, rows: Any, processor: DPIQAImageProcessor, views: Sequence[tuple[int, str]]):
        self.rows = rows
        self.processor = processor
        self.views = views

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> torch.Tensor:
        row, view = self.views[index]
        return view_pixels(self.rows[row]["image"], self.processor, view)


def network_key(network: nn.Module, *settings: Any) -> str:
    """Names a network by its content: 32 hexadecimal digits of SHA-256 over weights and settings.

    Args:
        network: Its parameters and buffers count, with their names.
        *settings: Whatever else its output follows from, as JSON.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:32]


def _save_atomically(tensors: dict[str, torch.Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        save_file(tensors, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


__all__ = ["PhotoCache", "network_key"]
