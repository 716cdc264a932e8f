"""The `image` column of a data set: which images are the same, without holding more than one of them."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

_BATCH = 1000


def image_paths(photos: Dataset) -> list[str | None]:
    """(photos,) the path beside each image; None where there is none."""
    return [path for path, _ in _paths_and_sizes(photos)]


def image_sizes(photos: Dataset) -> list[int]:
    """(photos,) bytes of each image's file, from the file system where the image is outside of the data set."""
    return [os.path.getsize(str(path)) if size is None else size for path, size in _paths_and_sizes(photos)]


def identical_images(photos: Dataset) -> list[list[int]]:
    """Photos that are byte for byte the same.

    Only images of equal size are read, one at a time.

    Returns:
        Row numbers, in groups of at least two.
    """
    by_size = defaultdict(list)
    for row, size in enumerate(image_sizes(photos)):
        by_size[size].append(row)
    by_content = defaultdict(list)
    for rows in by_size.values():
        if len(rows) > 1:
            for row in rows:
                by_content[content_digest(photos[row]["image"])].append(row)
    return [rows for rows in by_content.values() if len(rows) > 1]


def content_digest(image: Mapping[str, Any]) -> str:
    """SHA-256 of an image's file: what a photo is known by, whatever its name.

    Args:
        image: An entry of the column: `bytes`, or the `path` of a file.

    Raises:
        OSError: When the file cannot be read.
    """
    content = image["bytes"]
    return hashlib.sha256(Path(image["path"]).read_bytes() if content is None else content).hexdigest()


def _paths_and_sizes(photos: Dataset) -> list[tuple[str | None, int | None]]:
    """(photos,) the path of each image and the number of its bytes; None for a file outside."""
    import pyarrow.compute as pc

    found: list[tuple[str | None, int | None]] = []
    for batch in photos.select_columns(["image"]).with_format("arrow").iter(batch_size=_BATCH):
        for chunk in batch["image"].chunks:
            paths, contents = chunk.field("path"), chunk.field("bytes")
            found += zip(paths.to_pylist(), pc.binary_length(contents).to_pylist(), strict=True)
    return found
