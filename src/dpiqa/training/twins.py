"""Photos with distorted versions of them, of which it is known without any rating which one is worse."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset as Table
from datasets.fingerprint import Hasher
from PIL import Image
from torch.utils.data import Dataset, default_collate

from ..data.distortions import CAMERA_DISTORTIONS, DISTORTIONS, LEVELS, distort_to_level
from ..data.images import content_digest
from ..models.image_processing_dpiqa import DPIQAImageProcessor
from ..models.images import PIXELS_VERSION, open_image
from .non_photos import random_non_photo
from .photo_dataset import group_numbers

_STRENGTHS = {kind: strengths for kind, (_, strengths) in (DISTORTIONS | CAMERA_DISTORTIONS).items()}
KINDS = tuple(_STRENGTHS)
# What people meet is drawn twice as often as the rest.
_COMMON = {
    *("gaussian blur", "lens blur", "motion blur", "downscale", "jpeg", "double jpeg", "jpeg2000"),
    *("white noise", "white noise in color", "impulse noise", "multiplicative noise", "camera noise"),
    *("high sharpen", "halo", "color cast"),
}
_CHANCES = np.array([1.0 + (kind in _COMMON) for kind in KINDS])
# Photos are distorted at about the size at which people look at them.
_LONGEST_SIDE = 640
# One in so many photos with versions brings a picture that is no photo.
_NON_PHOTO_EVERY = 8
# Kinds that move pixels by less than a cell of the quality map: nobody could point at where they are.
_NOT_LOCAL = {"color shift", "jitter"}


class TwinPhotos(Dataset):
    """Photos with opinion scores; in every epoch some of them come with three distorted versions.

    Two versions are the photo under one distortion at two levels, the weaker of which may be none. The third is the
    photo with the stronger distortion inside a rectangle. [`dpiqa.training.twin_trainer.DPIQATwinTrainer`] learns from
    their order. One in eight photos with versions also brings a picture that is no photo.

    All versions are made once and kept as bytes in an Arrow file, in the model's size: neither the next epoch nor a
    later run decodes a photo. Random draws follow from seed, photo and epoch, so that a resumed run sees what an
    uninterrupted one would have seen.

    Args:
        rows: A `datasets.Dataset` of [`dpiqa.data.load_iqa_dataset`] with a column `group`.
        processor: The processor of the student that is trained.
        folder: Where the Arrow file is kept; it has 0.9 MB a photo at 320x320 pixels.
        every: One photo in so many comes with its versions, another one in each epoch.
        seed: The seed of all random draws.
        num_workers: Processes that make the versions.

    Raises:
        ImageError: When a photo cannot be opened.
        ValueError: When `every` is under 1.
    """

    def __init__(
        self,
        rows: Any,
        processor: DPIQAImageProcessor,
        folder: str | os.PathLike[str],
        *,
        every: int = 4,
        seed: int = 0,
        num_workers: int = 1,
    ):
        if every < 1:
            raise ValueError(f"Expected every to be at least 1, where all photos have versions; got {every}.")
        self.processor = processor
        self.every = every
        self.seed = seed
        self.mos: Sequence[float] = rows["mos"][:]
        self.groups = group_numbers(rows)
        self.shape = (processor.size["height"], processor.size["width"], 3)
        digests = [content_digest(image) for image in rows["image"]]
        # As JSON, a processor that was just made has the settings of one that was loaded.
        settings = json.dumps(processor.settings())
        key = Hasher.hash([PIXELS_VERSION, _STRENGTHS, _LONGEST_SIDE, settings, seed, digests])
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.versions: Table = rows.select_columns("image").map(
            _make_versions,
            with_indices=True,
            fn_kwargs={"processor": processor, "seed": seed},
            remove_columns="image",
            num_proc=num_workers,
            cache_file_name=str(Path(folder) / f"twins-{key}.arrow"),
            writer_batch_size=64,
            desc="Distorted versions",
        )
        # In shared memory, as workers may outlive an epoch.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Moves on to other mirrorings, regions, and photos with versions."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.mos)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        epoch = int(self._epoch)
        generator = np.random.default_rng([self.seed, index, epoch])
        row = self.versions[index]
        step = -1 if generator.random() < 0.5 else 1  # mirrored or not
        photo, weak, strong = (
            np.frombuffer(row[name], np.uint8).reshape(self.shape)[:, ::step] for name in ("photo", "weak", "strong")
        )
        item = {
            "pixel_values": self._pixel_values(photo),
            "labels": torch.tensor(self.mos[index], dtype=torch.float32),
            "group": torch.tensor(self.groups[index]),
        }
        if (index + epoch) % self.every == 0:
            region = random_region(self.shape[:2], generator)
            damaged = np.where(region[..., None], strong, photo)
            item["versions"] = torch.stack([self._pixel_values(pixels) for pixels in (weak, strong, damaged)])
            item["levels"] = torch.tensor([row["weak_level"], row["strong_level"]], dtype=torch.float32)
            item["region"] = torch.from_numpy(region)
            item["is_local"] = torch.tensor(row["kind"] not in _NOT_LOCAL)
            if generator.random() < 1 / _NON_PHOTO_EVERY:
                item["non_photo"] = self._pixel_values(random_non_photo(self.shape[:2], generator))
        return item

    def _pixel_values(self, pixels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.processor.normalise(pixels))


def collate_twins(items: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Batches items of [`TwinPhotos`]: those with versions come first, and `versions` has as many rows as there are.

    Returns:
        `pixel_values`, `labels`, `group` of all photos, and of the first of them `versions`, `levels`, `region`,
        `is_local`; the latter are missing where no photo has versions. `non_photos` are those that came along, if any.
    """
    items = sorted(items, key=lambda item: "versions" not in item)
    batch = default_collate([{name: item[name] for name in ("pixel_values", "labels", "group")} for item in items])
    with_versions = [item for item in items if "versions" in item]
    if with_versions:
        names = ("versions", "levels", "region", "is_local")
        batch |= default_collate([{name: item[name] for name in names} for item in with_versions])
    non_photos = [item["non_photo"] for item in items if "non_photo" in item]
    return batch | ({"non_photos": torch.stack(non_photos)} if non_photos else {})


def random_region(size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """A random half of a photo, or a rectangle of a twentieth to a half of its area.

    Args:
        size: Height and width.
        generator: Draws it.

    Returns:
        (height, width) booleans, true inside.
    """
    height, width = size
    if generator.random() < 0.3:
        rows, columns = [(height // 2, width), (height, width // 2)][generator.integers(2)]
        top, left = (generator.integers(2) * (side - length) for side, length in ((height, rows), (width, columns)))
    else:
        area = np.exp(generator.uniform(np.log(1 / 20), np.log(1 / 2)))
        aspect = np.exp(generator.uniform(-0.6, 0.6))
        rows = max(1, round(height * min(1, (area * aspect) ** 0.5)))
        columns = max(1, round(width * min(1, (area / aspect) ** 0.5)))
        top, left = generator.integers(height - rows + 1), generator.integers(width - columns + 1)
    inside = np.zeros(size, bool)
    inside[top : top + rows, left : left + columns] = True
    return inside


def _make_versions(row: Mapping[str, Any], index: int, processor: DPIQAImageProcessor, seed: int) -> dict[str, Any]:
    """The photo, and it under one random distortion at two random levels, as bytes in the model's size."""
    photo = open_image(row["image"])
    photo.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.BICUBIC)
    generator = np.random.default_rng([seed, index])
    kind = str(generator.choice(KINDS, p=_CHANCES / _CHANCES.sum()))
    weak, strong = (
        level + generator.uniform() if 0 < level < LEVELS else level
        for level in sorted(generator.choice(LEVELS + 1, size=2, replace=False))
    )
    draw = int(generator.integers(2**31))

    def version(level: float) -> bytes:
        return processor.read_photo(distort_to_level(photo, kind, level, draw) if level else photo).pixels.tobytes()

    return {
        "photo": processor.read_photo(row["image"]).pixels.tobytes(),
        "weak": version(weak),
        "strong": version(strong),
        "kind": kind,
        "weak_level": float(weak),
        "strong_level": float(strong),
    }


__all__ = ["KINDS", "TwinPhotos", "collate_twins", "random_region"]
