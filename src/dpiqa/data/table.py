"""Your own photos: any CSV, JSON Lines or Parquet file with a column of paths and one of opinion scores."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .schema import SPLITS, Rating

FORMATS = {".csv": "csv", ".jsonl": "json", ".parquet": "parquet"}
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_PATH_COLUMNS = ("path", "file_name", "image", "name", "image_name")
_SCORE_COLUMNS = ("mos", "score", "quality", "MOS")
_SPLIT_NAMES = {"training": "train", "val": "validation", "valid": "validation"}


def read_table(source: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> list[Rating]:
    """Reads labels from a file, or from the metadata file of an ImageFolder.

    Args:
        source: A .csv, .jsonl or .parquet file with columns `path` (or `file_name`) and `mos` (or `score`), and
            optionally `std`, `reference`, `split` ("train", "validation", "test") and `subset`; or a folder with a
            `metadata.csv`, `metadata.jsonl` or `metadata.parquet` of that kind.
        root: Folder that relative paths start from; the file's own folder when not given.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When a column is missing, or a row has no score, a score that is no number, or an unknown split.
    """
    path = Path(source)
    if path.is_dir():
        found = [path / name for name in _METADATA if (path / name).exists()]
        if not found:
            raise FileNotFoundError(f"{path} holds none of {', '.join(_METADATA)}.")
        path = found[0]
    if path.suffix not in FORMATS:
        raise ValueError(f"{path}: expected a file that ends in {', '.join(FORMATS)}.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    rows = _rows(path)
    if not rows:
        raise ValueError(f"{path} has no rows.")
    path_column = pick_column(rows[0], _PATH_COLUMNS, path)
    score_column = pick_column(rows[0], _SCORE_COLUMNS, path)
    base = Path(root) if root is not None else path.parent
    return [_rating(row, path_column, score_column, base, f"{path}, row {n}") for n, row in enumerate(rows, start=1)]


def pick_column(row: dict[str, Any], names: tuple[str, ...], source: object) -> str:
    """The first of these columns that a row has.

    Raises:
        ValueError: When it has none of them.
    """
    for name in names:
        if name in row:
            return name
    raise ValueError(f"{source}: expected a column {' or '.join(names)}, found {', '.join(row)}.")


def _rows(path: Path) -> list[dict[str, Any]]:
    from datasets import Dataset
    from datasets.exceptions import DatasetGenerationError

    # In memory: a table of labels is small, and datasets' cache would outlive a changed file.
    read = {".csv": Dataset.from_csv, ".jsonl": Dataset.from_json, ".parquet": Dataset.from_parquet}[path.suffix]
    try:
        return read(str(path), keep_in_memory=True).to_list()
    except (ValueError, DatasetGenerationError) as error:
        raise ValueError(f"{path} has no rows or is no table ({error}).") from None


def _rating(row: dict[str, Any], path_column: str, score_column: str, base: Path, where: str) -> Rating:
    name = row[path_column]
    try:
        mos = float(row[score_column])
    except (TypeError, ValueError):
        raise ValueError(f"{where}: {score_column} is {row[score_column]!r}, expected a number.") from None
    if not isinstance(name, str) or mos != mos:
        raise ValueError(f"{where}: expected a path and a score, found {name!r} and {mos}.")
    split = row.get("split")
    split = _SPLIT_NAMES.get(split, split) if split else None
    if split not in (None, *SPLITS):
        raise ValueError(f"{where}: unknown split {split!r}, expected {', '.join(SPLITS)}.")
    std, reference, subset = row.get("std"), row.get("reference"), row.get("subset")
    return Rating(
        name,
        base / name,
        mos,
        std=None if std is None else float(std),
        reference=None if reference is None else str(reference),
        split=split,
        subset=None if subset is None else str(subset),
    )
