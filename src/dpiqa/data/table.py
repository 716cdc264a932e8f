"""Your own photos: any CSV, JSON Lines or Parquet file with a column of paths and one of opinion scores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .schema import LabelledPhoto, as_number, split_name

FORMATS = {".csv": "csv", ".jsonl": "json", ".parquet": "parquet"}
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_PATH_COLUMNS = ("path", "file_name", "image", "name", "image_name")
_SCORE_COLUMNS = ("mos", "score", "quality", "MOS")


def read_table(source: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> list[LabelledPhoto]:
    """Reads labels from a file, or from the metadata file of an ImageFolder.

    Args:
        source: A .csv, .jsonl or .parquet file with columns `path` (or `file_name`) and `mos` (or `score`), and
            optionally `std`, `reference`, `split` ("train", "validation", "test") and `group`; or a folder with a
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
    return [_labelled(row, path_column, score_column, base, f"{path}, row {n}") for n, row in enumerate(rows, start=1)]


def is_table(name: str | os.PathLike[str]) -> bool:
    """Whether this names a label file, or a folder with one, and not a data set that holds its photos."""
    path = Path(name)
    if path.suffix == ".parquet" and path.is_file():
        import pyarrow.parquet

        # A Parquet file either names image files or holds the images themselves.
        fields = pyarrow.parquet.read_schema(path)
        return not any(str(fields.field(column).type).startswith("struct") for column in fields.names)
    return path.suffix in FORMATS or any((path / metadata).exists() for metadata in _METADATA)


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

    # A table of labels is small. In datasets' cache, below the user's home, its copy would outlive a changed file.
    read = {".csv": Dataset.from_csv, ".jsonl": Dataset.from_json, ".parquet": Dataset.from_parquet}[path.suffix]
    try:
        with TemporaryDirectory() as cache, _without_progress_bars():
            return read(str(path), cache_dir=cache, keep_in_memory=True).to_list()
    except (ValueError, DatasetGenerationError) as error:
        raise ValueError(f"{path} has no rows or is no table ({error}).") from None


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """A table is read in a moment; the bar of `datasets` would stay on the terminal."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _labelled(row: dict[str, Any], path_column: str, score_column: str, base: Path, where: str) -> LabelledPhoto:
    name, mos = row[path_column], as_number(row[score_column])
    if not isinstance(name, str):
        raise ValueError(f"{where}: {path_column} is {name!r}, expected the path of a photo.")
    if mos is None:
        raise ValueError(f"{where}: {score_column} is {row[score_column]!r}, expected a finite number.")
    std, reference, group = row.get("std"), row.get("reference"), row.get("group")
    if std is not None and as_number(std) is None:
        raise ValueError(f"{where}: std is {std!r}, expected a finite number or nothing.")
    return LabelledPhoto(
        name,
        base / name,
        mos,
        std=as_number(std),
        reference=None if reference is None else str(reference),
        split=split_name(row["split"], where) if row.get("split") else None,
        group=None if group is None else str(group),
    )
