"""BIQ2021: 12,000 photographs of 512x512 pixels with an official train / test split.

Its groups: `ss01` the authors' own camera photos, `ss02` provoked distortions, `ss03` Unsplash. The split is not
clean: near-identical scenes stand on both sides (see [`dpiqa.data.scenes`]).
"""

from __future__ import annotations

from pathlib import Path

from .schema import LabelledPhoto, Release, files_by_lower_name, find_file, read_label_csv

_LABELS = {"train": "Train (Images and MOS).csv", "test": "Test (Images and MOS).csv"}


def read(root: Path) -> list[LabelledPhoto]:
    """Reads both CSV files beside `Images/`; MOS in [0, 1]."""
    images = root / "Images"
    files = files_by_lower_name(images)
    photos = []
    for split, labels in _LABELS.items():
        for row in read_label_csv(root / labels, ["Image Name"], ["MOS"]):
            name = row["Image Name"]
            path = find_file(files, images, name)
            photos.append(LabelledPhoto(name, path, row["MOS"], split=split, group=name[:4].lower()))
    return photos


RELEASE = Release(
    title="BIQ2021",
    read=read,
    mos_range=(0.0, 1.0),
    licence="offered for use and benchmarking; ss03 comes from Unsplash",
    citation="N. Ahmed and S. Asif, BIQ2021: a large-scale blind image quality assessment database, "
    "Journal of Electronic Imaging 31(5), 2022",
    url="https://github.com/nisarahmedrana/BIQ2021",
)
