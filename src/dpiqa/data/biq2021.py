"""BIQ2021: 12,000 photographs of 512x512 pixels with an official train / test split.

Its subsets: `ss01` the authors' own camera photos, `ss02` provoked distortions, `ss03` Unsplash. The split is not
clean: near-identical scenes stand on both sides (see [`dpiqa.data.scenes`]).
"""

from __future__ import annotations

import csv
from pathlib import Path

from .schema import Rating, Release, files_by_lower_name, find_file

_LABELS = {"train": "Train (Images and MOS).csv", "test": "Test (Images and MOS).csv"}


def read(root: Path) -> list[Rating]:
    """Reads both CSV files beside `Images/`; MOS in [0, 1]."""
    images = root / "Images"
    files = files_by_lower_name(images)
    ratings = []
    for split, labels in _LABELS.items():
        with (root / labels).open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                name = row["Image Name"]
                path = find_file(files, images, name)
                ratings.append(Rating(name, path, float(row["MOS"]), split=split, subset=name[:4].lower()))
    return ratings


RELEASE = Release(
    title="BIQ2021",
    read=read,
    mos_range=(0.0, 1.0),
    licence="offered for use and benchmarking; ss03 comes from Unsplash",
    citation="N. Ahmed and S. Asif, BIQ2021: a large-scale blind image quality assessment database, "
    "Journal of Electronic Imaging 31(5), 2022",
    url="https://github.com/nisarahmedrana/BIQ2021",
)
