"""LIVEFB (also FLIVE, PaQ-2-PiQ): 39,810 photographs from four collections."""

from __future__ import annotations

from pathlib import Path

from .schema import LabelledPhoto, Release, read_label_csv

_LABELS = "labels_image.csv"


def read(root: Path) -> list[LabelledPhoto]:
    """Reads `labels_image.csv`, whose names hold folders below the root; MOS 0 to 100. Groups are those folders."""
    return [
        LabelledPhoto(row["name"], root / row["name"], row["mos"], group=row["name"].split("/")[0])
        for row in read_label_csv(root / _LABELS, ["name"], ["mos"])
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
