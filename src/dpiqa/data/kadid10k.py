"""KADID-10k: 81 pristine photographs, 25 kinds of distortion at five levels each."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from .schema import Rating, Release, files_by_lower_name, find_file


def read(root: Path) -> list[Rating]:
    """Reads `dmos.csv` beside `images/`. Its `dmos` runs from 1 to 5 and, despite the name, higher is better."""
    images = root / "images"
    files = files_by_lower_name(images)
    with (root / "dmos.csv").open(newline="", encoding="utf-8-sig") as file:
        return [
            Rating(
                row["dist_img"],
                find_file(files, images, row["dist_img"]),
                float(row["dmos"]),
                std=math.sqrt(float(row["var"])),
                reference=row["ref_img"],
                subset=row["dist_img"].split("_")[1],  # the kind of distortion, 01 to 25
            )
            for row in csv.DictReader(file)
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
