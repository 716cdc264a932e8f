"""What every data set becomes: photos with opinion scores on one scale."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset, Features

SPLITS = ("train", "validation", "test")
# How releases and the Hub call them.
SPLIT_NAMES = {name: name for name in SPLITS} | {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo and what people think of it: one row of a label file.

    Attributes:
        name: The photo's name in the labels.
        path: Its file.
        mos: Mean opinion score on the data set's own scale, higher is better.
        std: Standard deviation of the opinions, in units of the data set's rating scale.
        reference: Name of the pristine photo that this one was made from, in synthetic sets.
        split: The official split, where there is one.
        group: Source of the photo, where its data set has several: photos of one group were rated on one scale.
    """

    name: str
    path: Path
    mos: float
    std: float | None = None
    reference: str | None = None
    split: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Release:
    """How a data set is released.

    Attributes:
        title: Its name as its authors write it.
        read: Reads the labels in a root folder; does not look at the images.
        mos_range: The MOS that become 0 and 1.
        std_range: Width of the scale that `LabelledPhoto.std` is on; None when deviations are not released.
        licence: Terms of use, in short.
        citation: Authors, title, year.
        url: Where to get it.
    """

    title: str
    read: Callable[[Path], Sequence[LabelledPhoto]]
    mos_range: tuple[float, float]
    licence: str
    citation: str
    url: str
    std_range: float | None = None


def features() -> Features:
    """The columns of every loaded data set; see [`dpiqa.data.IQASplits`]."""
    from datasets import Features, Image, Value

    numbers = {name: Value("float64") for name in ("mos", "mos_raw", "mos_std")}
    words = {name: Value("string") for name in ("reference", "group", "scene", "split")}
    return Features({"image": Image(decode=False), "name": Value("string"), **numbers, **words})


def with_column(photos: Dataset, name: str, values: Sequence[str | None]) -> Dataset:
    """The photos with other values in one column; the order of the columns stays."""
    changed = photos.remove_columns(name).add_column(name, list(values), feature=photos.features[name])
    return changed.select_columns(photos.column_names)


def read_label_csv(path: Path, texts: Sequence[str], numbers: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a CSV file of labels.

    Args:
        path: The file.
        texts: Columns that it must have, none of them empty.
        numbers: Columns that it must have, which become floats.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it is no such file; the message names line and column.
    """
    expected = [*texts, *numbers]
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            found = reader.fieldnames or ()
            rows = [(reader.line_num, row) for row in reader] if set(expected) <= set(found) else None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: expected a CSV file in UTF-8 ({error}).") from None
    if rows is None:
        columns = ", ".join(map(str, found)) or "none"
        raise ValueError(f"{path}: expected the columns {', '.join(expected)}, found {columns}.")
    for line, row in rows:
        for column in expected:
            value = row[column]
            if not value or (column in numbers and as_number(value) is None):
                kind = "a number" if column in numbers else "a text"
                raise ValueError(f"{path}, line {line}: expected {kind} in the column {column}, found {value!r}.")
    return [row | {column: as_number(row[column]) for column in numbers} for _, row in rows]


def as_number(value: object) -> float | None:
    """A finite float, or None for anything else."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def split_name(value: str, where: object) -> str:
    """Our name of a split that a label file names.

    Raises:
        ValueError: When it is none that we know.
    """
    if value.lower() not in SPLIT_NAMES:
        raise ValueError(f"{where}: unknown split {value!r}, expected one of {', '.join(SPLITS)}.")
    return SPLIT_NAMES[value.lower()]


def files_by_lower_name(folder: Path) -> dict[str, Path]:
    """The files of a folder by name in lower case: labels and files often disagree about ".jpg" and ".JPG".

    Raises:
        FileNotFoundError: When there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}: expected the data set as its authors release it.")
    return {path.name.lower(): path for path in folder.iterdir()}


def find_file(files: dict[str, Path], folder: Path, name: str) -> Path:
    """The file of this name whatever its case, or where it should be."""
    return files.get(name.lower(), folder / name)
