"""BIQ2021: 12,000 photographs of 512x512 pixels with MOS in [0, 1] and an official train / test split.

Ahmed and Asif, "BIQ2021: a large-scale blind image quality assessment database", Journal of Electronic Imaging 31(5),
2022. Its subsets: `ss01` the authors' own camera photos, `ss02` provoked distortions, `ss03` Unsplash.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

_LABELS = {"train": "Train (Images and MOS).csv", "test": "Test (Images and MOS).csv"}


class LabelledPhoto(NamedTuple):
    """A photo with its opinion score.

    Attributes:
        path: The image file.
        mos: Mean opinion score, normalised to [0, 1].
        subset: "ss01", "ss02" or "ss03".
    """

    path: Path
    mos: float
    subset: str


def read_biq2021(root: str | Path, split: str) -> list[LabelledPhoto]:
    """Reads a split of the official release.

    Args:
        root: Folder with `Images/` and the two CSV files.
        split: "train" (10,000 photos) or "test" (2,000).

    Returns:
        The photos in the order of the CSV file.

    Raises:
        ValueError: When there is no such split.
        FileNotFoundError: When the labels, the folder of images, or an image is missing.
    """
    if split not in _LABELS:
        raise ValueError(f"Unknown split {split!r}: expected one of {', '.join(_LABELS)}.")
    root = Path(root)
    # The labels write .jpg where some files are called .JPG.
    files = {path.name.lower(): path for path in (root / "Images").iterdir()}
    with (root / _LABELS[split]).open(newline="", encoding="utf-8-sig") as file:
        rows = [(row["Image Name"], float(row["MOS"])) for row in csv.DictReader(file)]
    missing = [name for name, _ in rows if name.lower() not in files]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} images of {_LABELS[split]} are not in {root / 'Images'}: {missing[:5]}"
        )
    return [LabelledPhoto(files[name.lower()], mos, name[:4].lower()) for name, mos in rows]
