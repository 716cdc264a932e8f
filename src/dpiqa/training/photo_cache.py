"""What networks that are not trained say about photos, computed once and kept on disk."""

from __future__ import annotations

import os
import uuid
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import torch
from accelerate import PartialState
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Dataset
from transformers.utils.logging import tqdm

from ..data.images import content_digest
from ..models.image_processing_dpiqa import DPIQAImageProcessor
from .augmentations import augmented_pixels

_CHECKSUM = "crc32"


class PhotoCache(ABC):
    """What a network that is not trained says about photos: a safetensors file per photo and augmentation.

    A file is named by the photo's content and the augmentation, its folder by everything else that its values follow
    from, so that nothing stale is ever read. Files appear complete or not at all: a killed process loses at
    most a batch, and several processes may fill one folder. A checksum in every file tells when a disk has changed it.

    Args:
        folder: Where to keep the files of all networks.
        key: Names the network; see [`dpiqa.scoring.fingerprint.fingerprint`].
        processor: The network's own processor; a model that is trained may see other pixels of the same photo.

    Attributes:
        names: The tensors of a file, which become columns of a training batch.
        computed: Augmented photos that this object ran the network on.
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
        self, rows: Any, augmentations: Sequence[str] = ("original",), *, batch_size: int = 8, num_workers: int = 0
    ) -> list[list[Path]]:
        """Computes what is missing for a data set; the processes of a distributed run share the work and then wait.

        Args:
            rows: A `datasets.Dataset` of [`dpiqa.data.load_iqa_dataset`].
            augmentations: Names of [`dpiqa.training.augmentations.AUGMENTATIONS`].
            batch_size: Photos per pass of the network.
            num_workers: Processes that decode photos meanwhile.

        Returns:
            For every row, the file of each augmentation.

        Raises:
            ImageError: When a photo cannot be opened.
            ValueError: When the network's output is not finite.
        """
        files = [self._files(image, augmentations) for image in rows["image"]]
        numbers = range(len(files))
        run = PartialState()
        if run.num_processes > 1:
            self._compute(
                rows, files, augmentations, numbers[run.process_index :: run.num_processes], batch_size, num_workers
            )
            run.wait_for_everyone()
        # Alone, or on a disk that not all processes share.
        self._compute(rows, files, augmentations, numbers, batch_size, num_workers)
        return files

    def _compute(
        self,
        rows: Any,
        files: Sequence[Sequence[Path]],
        augmentations: Sequence[str],
        numbers: Sequence[int],
        batch_size: int,
        num_workers: int,
    ) -> None:
        """Computes what is missing for the rows of these numbers."""
        todo: dict[Path, tuple[int, str]] = {}
        for row in numbers:
            for augmentation, path in zip(augmentations, files[row], strict=True):
                if path not in todo and not self._is_complete(path):
                    todo[path] = (row, augmentation)
        pixels = _Pixels(rows, self.processor, list(todo.values()))
        paths = iter(todo)
        what = " and ".join(self.names).replace("_", " ")
        with tqdm(total=len(todo), desc=what, unit="photo", disable=not todo) as progress:
            for batch in DataLoader(pixels, batch_size, num_workers=num_workers):
                with torch.no_grad():
                    tensors = self.compute(batch)
                for name in self.names:
                    if not tensors[name].isfinite().all():
                        kind = str(tensors[name].dtype).removeprefix("torch.")
                        raise ValueError(
                            f"The {name.replace('_', ' ')} of a photo are not finite numbers in {kind}: this network "
                            "cannot be learnt from."
                        )
                for number, path in enumerate(islice(paths, len(batch))):
                    one = {name: tensors[name][number].cpu().contiguous() for name in self.names}
                    _save_atomically(one, path)
                self.computed += len(batch)
                progress.update(len(batch))

    def _files(self, image: Mapping[str, Any], augmentations: Sequence[str]) -> list[Path]:
        digest = content_digest(image)
        return [self.folder / digest[:2] / f"{digest}-{augmentation}.safetensors" for augmentation in augmentations]

    def _is_complete(self, path: Path) -> bool:
        """Whether a file holds what was written; what a full or failing disk has left is computed again."""
        if not path.exists():
            return False
        try:
            with safe_open(path, "pt") as file:
                if set(file.keys()) != set(self.names):
                    return False
                tensors = {name: file.get_tensor(name) for name in self.names}
                return (file.metadata() or {}).get(_CHECKSUM) == _checksum(tensors)
        except SafetensorError:
            return False


class _Pixels(Dataset):
    def __init__(self, rows: Any, processor: DPIQAImageProcessor, augmentations: Sequence[tuple[int, str]]):
        self.rows = rows
        self.processor = processor
        self.augmentations = augmentations

    def __len__(self) -> int:
        return len(self.augmentations)

    def __getitem__(self, index: int) -> torch.Tensor:
        row, augmentation = self.augmentations[index]
        return augmented_pixels(self.rows[row]["image"], self.processor, augmentation)


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(tensors[name].contiguous().flatten().view(torch.uint8).numpy(), value)
    return f"{value:08x}"


def _save_atomically(tensors: dict[str, torch.Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        save_file(tensors, temporary, metadata={_CHECKSUM: _checksum(tensors)})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


__all__ = ["PhotoCache"]
