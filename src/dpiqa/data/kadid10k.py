"""KADID-10k: 81 pristine photographs, 25 kinds of distortion at five levels each."""

from __future__ import annotations

import math
from pathlib import Path

from .schema import LabelledPhoto, Release, files_by_lower_name, find_file, read_label_csv


def read(root: Path) -> list[LabelledPhoto]:
    """Reads `dmos.csv` beside `images/`. Its `dmos` runs from 1 to 5 and, despite the name, higher is better."""
    images = root / "images"
    files = files_by_lower_name(images)
    return [
        LabelledPhoto(
            row["dist_img"],
            find_file(files, images, row["dist_img"]),
            row["dmos"],
            std=math.sqrt(max(0, row["var"])),
            reference=row["ref_img"],
            group=row["dist_img"].partition("_")[2][:2],  # the kind of distortion, 01 to 25
        )
        for row in read_label_csv(root / "dmos.csv", ["dist_img", "ref_img"], ["dmos", "var"])
    ]


RELEASE = Release(
    title="KADID-10k",
    read=read,
    mos_range=(1.0, 5.0),
    std_range=4.0,
    licence="pristine images under the Pixabay licence; scores free for research",
    citation="H. Lin, V. Hosu, D. Saupe, KADID-10k: a large-scale artificially distorted IQA database, QoMEX 2019",
    url="http://database.mmsp-kn.de/kadid-10k-database.html",
)
