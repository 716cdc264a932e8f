"""LIVEFB (also FLIVE, PaQ-2-PiQ): 39,810 photographs from four collections."""

from __future__ import annotations

import csv
from pathlib import Path

from .schema import Rating, Release

_LABELS = "labels_image.csv"


def read(root: Path) -> list[Rating]:
    """Reads `labels_image.csv`, whose names hold folders below the root; MOS 0 to 100. Subsets are those folders."""
    with (root / _LABELS).open(newline="", encoding="utf-8-sig") as file:
        return [
            Rating(row["name"], root / row["name"], float(row["mos"]), subset=row["name"].split("/")[0])
            for row in csv.DictReader(file)
        ]


RELEASE = Release(
    title="LIVEFB",
    read=read,
    mos_range=(0.0, 100.0),
    licence="scores free for research; images under the terms of their collections",
    citation="Z. Ying, H. Niu, P. Gupta, D. Mahajan, D. Ghadiyaram, A. Bovik, From patches to pictures (PaQ-2-PiQ): "
    "mapping the perceptual space of picture quality, CVPR 2020",
    url="https://github.com/baidut/PaQ-2-PiQ",
)
