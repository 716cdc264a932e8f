"""SPAQ: 11,125 photographs from 66 smartphones."""

from __future__ import annotations

from pathlib import Path

from .schema import Rating, Release, files_by_lower_name, find_file

_LABELS = "MOS and Image attribute scores.xlsx"


def read(root: Path) -> list[Rating]:
    """Reads the spreadsheet (in the root or in `Annotations/`) beside `TestImage/`; MOS 0 to 100."""
    from openpyxl import load_workbook

    images = root / "TestImage"
    files = files_by_lower_name(images)
    labels = root / _LABELS if (root / _LABELS).exists() else root / "Annotations" / _LABELS
    workbook = load_workbook(labels, read_only=True, data_only=True)
    try:
        header, *rows = workbook.worksheets[0].iter_rows(values_only=True)
    finally:
        workbook.close()
    name, mos = header.index("Image name"), header.index("MOS")
    return [
        Rating(str(row[name]), find_file(files, images, str(row[name])), float(row[mos]))
        for row in rows
        if row[name] is not None
    ]


RELEASE = Release(
    title="SPAQ",
    read=read,
    mos_range=(0.0, 100.0),
    licence="for research",
    citation="Y. Fang, H. Zhu, Y. Zeng, K. Ma, Z. Wang, Perceptual quality assessment of smartphone photography, "
    "CVPR 2020",
    url="https://github.com/h4nwei/SPAQ",
)
