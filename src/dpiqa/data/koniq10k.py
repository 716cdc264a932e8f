"""KonIQ-10k: 10,073 photographs from the internet with an official training / validation / test split."""

from __future__ import annotations

from pathlib import Path

from .schema import LabelledPhoto, Release, files_by_lower_name, find_file, read_label_csv, split_name

_LABELS = "koniq10k_distributions_sets.csv"
_IMAGE_FOLDERS = ("1024x768", "512x384", "images")


def read(root: Path) -> list[LabelledPhoto]:
    """Reads `koniq10k_distributions_sets.csv` beside `1024x768/` (or `512x384/`, or `images/`); MOS 0 to 100."""
    images = next((root / name for name in _IMAGE_FOLDERS if (root / name).is_dir()), root / _IMAGE_FOLDERS[0])
    files = files_by_lower_name(images)
    return [
        LabelledPhoto(
            row["image_name"],
            find_file(files, images, row["image_name"]),
            row["MOS"],
            std=row["SD"],
            split=split_name(row["set"], root / _LABELS),
        )
        for row in read_label_csv(root / _LABELS, ["image_name", "set"], ["MOS", "SD"])
    ]


RELEASE = Release(
    title="KonIQ-10k",
    read=read,
    mos_range=(0.0, 100.0),
    std_range=4.0,  # SD is of the ratings from 1 to 5
    licence="images under their Flickr licences (CC), scores free for research",
    citation="V. Hosu, H. Lin, T. Sziranyi, D. Saupe, KonIQ-10k: an ecologically valid database for deep learning of "
    "blind image quality assessment, IEEE Transactions on Image Processing 29, 2020",
    url="http://database.mmsp-kn.de/koniq-10k-database.html",
)
