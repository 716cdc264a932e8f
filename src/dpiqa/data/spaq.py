"""SPAQ: 11,125 photographs from 66 smartphones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .schema import LabelledPhoto, Release, as_number, files_by_lower_name, find_file

_LABELS = "MOS and Image attribute scores.xlsx"
_NAME, _MOS = "Image name", "MOS"


def read(root: Path) -> list[LabelledPhoto]:
    """Reads the spreadsheet (in the root or in `Annotations/`) beside `TestImage/`; MOS 0 to 100."""
    images = root / "TestImage"
    files = files_by_lower_name(images)
    labels = root / _LABELS if (root / _LABELS).exists() else root / "Annotations" / _LABELS
    header, *rows = _sheet(labels) or [()]
    if not {_NAME, _MOS} <= set(header):
        found = ", ".join(str(cell) for cell in header if cell is not None) or "none"
        raise ValueError(f"{labels}: expected the columns {_NAME} and {_MOS}, found {found}.")
    photos = []
    for number, row in enumerate(rows, start=2):
        name, mos = row[header.index(_NAME)], row[header.index(_MOS)]
        if name is None:
            continue
        score = as_number(mos)
        if score is None:
            raise ValueError(f"{labels}, row {number}: expected a number in the column {_MOS}, found {mos!r}.")
        photos.append(LabelledPhoto(str(name), find_file(files, images, str(name)), score))
    return photos


def _sheet(path: Path) -> list[tuple[Any, ...]]:
    """The rows of the first sheet."""
    from openpyxl import load_workbook

    try:
        workbook = load_workbook(path, read_only=True, data_only=True)
        try:
            return list(workbook.worksheets[0].iter_rows(values_only=True))
        finally:
            workbook.close()
    except OSError:
        raise
    except Exception as error:  # a damaged file can fail anywhere in zipfile, the XML parser and openpyxl
        raise ValueError(f"{path}: expected an Excel file (.xlsx), and it cannot be read ({error}).") from error


RELEASE = Release(
    title="SPAQ",
    read=read,
    mos_range=(0.0, 100.0),
    licence="for research",
    citation="Y. Fang, H. Zhu, Y. Zeng, K. Ma, Z. Wang, Perceptual quality assessment of smartphone photography, "
    "CVPR 2020",
    url="https://github.com/h4nwei/SPAQ",
)
