"""Rows of scores, and the files they are written to."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from types import TracebackType

    from .score import Score

COLUMNS = ("path", "score", "percentile", "low", "high", "width", "height", "error")
_PARQUET_ROW_GROUP = 1_000


def to_row(path: str, score: Score) -> dict[str, Any]:
    """One photo as a row with `COLUMNS`; what is unknown is None."""
    low, high = score.interval or (None, None)
    return {
        "path": as_text(path),
        "score": None if math.isnan(score.score) else score.score,
        "percentile": score.percentile,
        "low": low,
        "high": high,
        "width": score.width,
        "height": score.height,
        "error": None if score.error is None else as_text(score.error),
    }


def as_text(name: str) -> str:
    r"""A file name as text that every format can hold: each byte that is not UTF-8 becomes `\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


class RowWriter(Protocol):
    """Takes rows one by one, in constant memory; a context manager."""

    def write(self, row: dict[str, Any]) -> None: ...
    def __enter__(self) -> RowWriter: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def part_of(path: Path) -> Path:
    """Where a file is written before it is whole."""
    return path.with_name(f"{path.name}.part")


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Looks whether [`open_writer`] would take a path, without writing anything.

    Raises:
        ValueError: When the suffix is none of .csv, .jsonl, .parquet.
        FileExistsError: When the file exists, or the beginning of one from a run that is still going on or was cut
            off, and it must not be overwritten; or when it is a folder.
        FileNotFoundError: When the folder that it belongs to does not exist.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise ValueError(f"cannot write {suffix or 'a file without suffix'}: expected {', '.join(_WRITERS)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder")
    if overwrite:
        return
    if path.exists():
        raise FileExistsError(f"{path} exists already: name another file, or allow it with --overwrite")
    if part_of(path).exists():
        raise FileExistsError(
            f"{part_of(path)} exists already, from a run that was cut off or is still going on: move it away, or "
            "allow it to be replaced with --overwrite"
        )


@contextmanager
def open_writer(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[RowWriter]:
    """Writes rows to a file that appears under its name once it is whole.

    Until then, and for good when an exception ends it, the rows are in a file beside it whose name ends in `.part`.
    CSV and JSON Lines are valid after every row, even when the process is killed; a Parquet file is readable once the
    writer is closed, which an exception does too.

    Args:
        path: Where to write; .csv, .jsonl or .parquet.
        overwrite: Whether an existing file may be replaced.

    Raises:
        ValueError: When the suffix is none of these.
        OSError: When it must not be overwritten (FileExistsError), or cannot be written.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite)
    part = part_of(path)
    if overwrite:
        part.unlink(missing_ok=True)
    kind = _WRITERS[path.suffix.lower()]
    with _new_file(part, binary=kind is ParquetWriter) as file, kind(file) as writer:
        yield writer
    os.replace(part, path)


class CsvWriter:
    """Comma-separated rows with a header, to an open text file."""

    def __init__(self, file: IO[str]):
        self._writer = csv.DictWriter(UnixLines(file), COLUMNS, lineterminator="\r\n")
        self._writer.writeheader()

    def write(self, row: dict[str, Any]) -> None:
        """Writes a row, floats to six decimals."""
        self._writer.writerow({k: f"{v:.6f}" if isinstance(v, float) else v for k, v in row.items()})

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(self, *exc: object) -> None: ...


class UnixLines:
    r"""For `csv.writer`, between it and a file: its `\r\n` becomes `\n`.

    With "\n" as its own line end the module would not quote names that hold a bare `\r`, and these would be two rows.
    """

    def __init__(self, file: IO[str]):
        self._file = file

    def write(self, line: str) -> int:
        """Writes a line."""
        return self._file.write(line.removesuffix("\r\n") + "\n")


class JsonLinesWriter:
    """One JSON object a line, to an open text file."""

    def __init__(self, file: IO[str]):
        self._file = file

    def write(self, row: dict[str, Any]) -> None:
        """Writes a row."""
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def __enter__(self) -> JsonLinesWriter:
        return self

    def __exit__(self, *exc: object) -> None: ...


class ParquetWriter:
    """Parquet to an open binary file, a row group at a time."""

    def __init__(self, file: IO[bytes]):
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"path": pa.string(), "width": pa.int32(), "height": pa.int32(), "error": pa.string()}
        self._schema = pa.schema([(column, types.get(column, pa.float64())) for column in COLUMNS])
        self._to_table = pa.Table.from_pylist
        self._writer = pq.ParquetWriter(file, self._schema)
        self._rows: list[dict[str, Any]] = []

    def write(self, row: dict[str, Any]) -> None:
        """Writes a row."""
        self._rows.append(row)
        if len(self._rows) == _PARQUET_ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        self._writer.write_table(self._to_table(rows, schema=self._schema))

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        with self._writer:
            if self._rows:
                self._flush()


def _new_file(path: Path, *, binary: bool) -> IO[Any]:
    if binary:
        return path.open("xb")
    # Every row goes to disk as a whole, so that what a killed run leaves can be read.
    return path.open("x", newline="", encoding="utf-8", buffering=1)


_WRITERS: dict[str, Callable[[IO[Any]], RowWriter]] = {
    ".csv": CsvWriter,
    ".jsonl": JsonLinesWriter,
    ".parquet": ParquetWriter,
}
