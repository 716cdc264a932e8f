"""Rows of scores, and the formats that they are written in."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from .score import Score

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("path", "score", "percentile", "low", "high", "width", "height", "error")
_PARQUET_ROW_GROUP = 1_000
# More of them would differ between backends, which agree to less than 1e-6 of a score in float32.
_DECIMALS = {"score": 5, "percentile": 3, "low": 5, "high": 5}
# A byte that is not UTF-8, as [`as_text`] writes it.
_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")

Row = dict[str, Any]


def to_row(path: str, score: Score) -> Row:
    """One photo as a row with `COLUMNS`, numbers rounded; what is unknown is None."""
    low, high = score.interval or (None, None)
    row: Row = {
        "path": as_text(path),
        "score": None if math.isnan(score.score) else score.score,
        "percentile": score.percentile,
        "low": low,
        "high": high,
        "width": score.width,
        "height": score.height,
        "error": None if score.error is None else as_text(score.error),
    }
    for column, decimals in _DECIMALS.items():
        if row[column] is not None:
            row[column] = round(row[column], decimals)
    return row


def as_text(name: str) -> str:
    r"""A file name as text that every format can hold: each byte that is not UTF-8 becomes `\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def as_path(text: str) -> str:
    r"""The file that [`as_text`] named: each `\xNN` is a byte, if there is such a file and none called as the text."""
    name = os.fsdecode(_BYTE.sub(lambda match: bytes([int(match[1], 16)]), os.fsencode(text)))
    return name if name != text and os.path.lexists(name) and not os.path.lexists(text) else text


class RowFormat(Protocol):
    """A way to keep rows on disk while they are made, so that a process which is killed leaves them.

    Args:
        part: Where they are kept; rows that are there are followed by more.
    """

    def __init__(self, part: Path): ...

    def write(self, row: Row) -> None:
        """Adds a row."""

    def close(self) -> None:
        """Makes sure that all rows are on disk."""

    @staticmethod
    def create(part: Path) -> None:
        """Makes the place for them."""

    @staticmethod
    def repair(part: Path) -> None:
        """Takes away what a process that was killed has not written whole."""

    @staticmethod
    def read(place: Path) -> Iterator[Row]:
        """The rows that are kept there, or in a file that is finished."""

    @staticmethod
    def reopen(path: Path, part: Path) -> None:
        """Makes a place with the rows of a file that is finished, which stays."""

    @staticmethod
    def whole(part: Path) -> Path:
        """Makes of the rows the file that was asked for, and returns where it is; the rows stay until it is moved."""


class CsvWriter:
    """Comma-separated rows with a header, to an open text file."""

    def __init__(self, file: IO[str], *, header: bool = True):
        self._writer = csv.DictWriter(UnixLines(file), COLUMNS, lineterminator="\r\n")
        if header:
            self._writer.writeheader()

    def write(self, row: Row) -> None:
        """Writes a row."""
        self._writer.writerow({k: f"{v:.{_DECIMALS[k]}f}" if isinstance(v, float) else v for k, v in row.items()})


class UnixLines:
    r"""For `csv.writer`, between it and a file: its `\r\n` becomes `\n`.

    With "\n" as its own line end the module would not quote names that hold a bare `\r`, and these would be two rows.
    """

    def __init__(self, file: IO[str]):
        self._file = file

    def write(self, line: str) -> int:
        """Writes a line."""
        return self._file.write(line.removesuffix("\r\n") + "\n")


class _Lines(ABC):
    """A text file, to which every row goes as a whole."""

    def __init__(self, part: Path):
        self._is_new = not part.exists() or part.stat().st_size == 0
        self._part = part
        self._file = part.open("a", newline="", encoding="utf-8", buffering=1)

    def close(self) -> None:
        try:
            self._file.close()
        except OSError:  # as on a full disk, which may take half a row
            self.repair(self._part)
            raise

    @staticmethod
    @abstractmethod
    def repair(part: Path) -> None:
        """See [`RowFormat`]."""

    @staticmethod
    def create(part: Path) -> None:
        part.touch()

    @staticmethod
    def reopen(path: Path, part: Path) -> None:
        unfinished = part.with_name(f"{part.name}.new")
        shutil.copyfile(path, unfinished)
        os.replace(unfinished, part)

    @staticmethod
    def whole(part: Path) -> Path:
        return part


class CsvFormat(_Lines):
    """See [`RowFormat`]: comma-separated values."""

    def __init__(self, part: Path):
        super().__init__(part)
        self._writer = CsvWriter(self._file, header=self._is_new)

    def write(self, row: Row) -> None:
        self._writer.write(row)

    @staticmethod
    def repair(part: Path) -> None:
        whole = length = quotes = 0
        with part.open("r+b") as file:
            for line in file:
                length += len(line)
                quotes += line.count(b'"')
                if line.endswith(b"\n") and quotes % 2 == 0:  # else it is inside a name that is quoted
                    whole = length
            file.truncate(whole)

    @staticmethod
    def read(place: Path) -> Iterator[Row]:
        with place.open(newline="", encoding="utf-8-sig") as text:  # spreadsheets put a mark before the header
            yield from csv.DictReader(text)


class JsonLinesFormat(_Lines):
    """See [`RowFormat`]: one JSON object a line."""

    def write(self, row: Row) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")

    @staticmethod
    def repair(part: Path) -> None:
        with part.open("r+b") as file:
            file.truncate(sum(len(line) for line in file if line.endswith(b"\n")))

    @staticmethod
    def read(place: Path) -> Iterator[Row]:
        with place.open("rb") as file:
            yield from map(json.loads, file)


class ParquetFormat:
    """See [`RowFormat`]: a folder of Parquet files with 1,000 rows each, which become one file at the end.

    A Parquet file can only be read once it is closed; the folder can be read at any time, as a data set.
    """

    def __init__(self, part: Path):
        part.mkdir(exist_ok=True)
        self._part = part
        self._next = 1 + max((int(path.stem) for path in _chunks(part)), default=-1)
        self._rows: list[Row] = []

    def write(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) == _PARQUET_ROW_GROUP:
            self._flush()

    def close(self) -> None:
        if self._rows or not self._next:  # without any row there is still a schema
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        target = self._part / f"{self._next:09}.parquet"
        unfinished = target.with_name(f".{target.name}")
        pq.write_table(pa.Table.from_pylist(self._rows, schema=arrow_schema()), unfinished)
        os.replace(unfinished, target)
        # Only now, since a signal may end the run while it writes; what is written twice has the same name.
        self._rows, self._next = [], self._next + 1

    @staticmethod
    def create(part: Path) -> None:
        part.mkdir()

    @staticmethod
    def repair(part: Path) -> None:
        for unfinished in part.glob(".*.parquet"):
            unfinished.unlink()

    @staticmethod
    def read(place: Path) -> Iterator[Row]:
        import pyarrow.parquet as pq

        for path in _chunks(place) if place.is_dir() else [place]:
            for batch in pq.ParquetFile(path).iter_batches(_PARQUET_ROW_GROUP):
                yield from batch.to_pylist()

    @staticmethod
    def reopen(path: Path, part: Path) -> None:
        unfinished = part.with_name(f"{part.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
        unfinished.mkdir()
        shutil.copyfile(path, unfinished / f"{0:09}.parquet")
        os.replace(unfinished, part)

    @staticmethod
    def whole(part: Path) -> Path:
        import pyarrow.parquet as pq

        whole = part / ".whole.parquet"
        with pq.ParquetWriter(whole, arrow_schema()) as writer:
            for chunk in _chunks(part):
                for batch in pq.ParquetFile(chunk).iter_batches(_PARQUET_ROW_GROUP):
                    writer.write_batch(batch)
        return whole


def remove_at_once(part: Path) -> None:
    """Removes a folder of rows so that a process which is killed meanwhile leaves all of it or none under its name."""
    removed = part.with_name(f"{part.name}.new")
    shutil.rmtree(removed, ignore_errors=True)
    os.replace(part, removed)
    shutil.rmtree(removed)


def _chunks(part: Path) -> list[Path]:
    return sorted(part.glob("[0-9]*.parquet"))


def arrow_schema() -> pa.Schema:
    """The types of `COLUMNS` in Parquet."""
    import pyarrow as pa

    types = {"path": pa.string(), "width": pa.int32(), "height": pa.int32(), "error": pa.string()}
    return pa.schema([(column, types.get(column, pa.float64())) for column in COLUMNS])


FORMATS: dict[str, type[RowFormat]] = {".csv": CsvFormat, ".jsonl": JsonLinesFormat, ".parquet": ParquetFormat}

__all__ = [
    "COLUMNS",
    "FORMATS",
    "CsvWriter",
    "Row",
    "RowFormat",
    "UnixLines",
    "arrow_schema",
    "as_path",
    "as_text",
    "remove_at_once",
    "to_row",
]
