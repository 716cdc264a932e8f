"""Photos with opinion scores as the trainers take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import load_file
from torch.utils.data import Dataset

from ..models.image_processing_dpiqa import DPIQAImageProcessor
from .augmentations import augmented_pixels
from .photo_cache import PhotoCache


class PhotoDataset(Dataset):
    """Rows of [`dpiqa.data.load_iqa_dataset`] as `pixel_values`, `labels`, `group`, and the tensors of a cache.

    With several augmentations a photo shows one of them in each epoch, in turn. No random numbers are drawn, so that a
    resumed run sees what an uninterrupted one would have seen.

    Args:
        rows: A `datasets.Dataset`. Where it has a column `group` (photos of one source, rated on one scale), items
            have the number of their group.
        processor: The processor of the model that is trained.
        augmentations: Names of [`dpiqa.training.augmentations.AUGMENTATIONS`].
        cache: Its tensors join every item, such as `teacher_feature_map` or `latents`; what is missing is computed
            here, so that no worker needs the network.
        num_workers: Processes that decode photos for the cache.

    Raises:
        ImageError: When a photo cannot be opened: here with a cache, else when it is its turn.
        ValueError: When there is no augmentation.
    """

    def __init__(
        self,
        rows: Any,
        processor: DPIQAImageProcessor,
        *,
        augmentations: Sequence[str] = ("original",),
        cache: PhotoCache | None = None,
        num_workers: int = 0,
    ):
        if not augmentations:
            raise ValueError("Expected at least one augmentation of every photo.")
        self.rows = rows
        self.processor = processor
        self.augmentations = augmentations
        self.groups = group_numbers(rows)
        self.cached = None if cache is None else cache.fill(rows, augmentations, num_workers=num_workers)
        # In shared memory, as workers may outlive an epoch.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Moves every photo on to its augmentation of this epoch."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = self.rows[index]
        turn = (index + int(self._epoch)) % len(self.augmentations)
        item = {
            "pixel_values": augmented_pixels(row["image"], self.processor, self.augmentations[turn]),
            "labels": torch.tensor(row["mos"], dtype=torch.float32),
        }
        if self.groups:
            item["group"] = torch.tensor(self.groups[index])
        return item if self.cached is None else item | load_file(self.cached[index][turn])


def group_numbers(rows: Any) -> list[int]:
    """The number of each row's group, counted in the order of the rows; nothing where there is no column `group`."""
    groups = rows["group"][:] if "group" in rows.column_names else []
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    return [numbers[group] for group in groups]


__all__ = ["PhotoDataset", "group_numbers"]
