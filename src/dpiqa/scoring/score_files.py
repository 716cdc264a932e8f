"""Rows of scores, and the files they are written to."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .scorer import Score

COLUMNS = ("path", "score", "percentile", "low", "high", "width", "height", "error")
_PARQUET_ROW_GROUP = 1_000


def to_row(path: str, score: Score) -> dict[str, Any]:
    """One photo as a row with `COLUMNS`; what is unknown is None."""
    low, high = score.interval or (None, None)
    return {
        "path": path,
        "score": None if math.isnan(score.score) else score.score,
        "percentile": score.percentile,
        "low": low,
        "high": high,
        "width": score.width,
        "height": score.height,
        "error": score.error,
    }


class RowWriter(Protocol):
    """Takes rows one by one, in constant memory; a context manager."""

    def write(self, row: dict[str, Any]) -> None: ...
    def __enter__(self) -> RowWriter: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_writer(path: str | Path) -> RowWriter:
    """Opens a writer for a file by its suffix.

    Args:
        path: Where to write; .csv, .jsonl or .parquet.

    Raises:
        ValueError: When the suffix is none of these.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise ValueError(f"cannot write {suffix or 'a file without suffix'}: expected {', '.join(_WRITERS)}")
    return _WRITERS[suffix](path)


class CsvWriter:
    """Comma-separated rows with a header, to a path or an open text file."""

    def __init__(self, target: str | Path | IO[str]):
        self._owned = isinstance(target, str | Path)
        self._file = Path(target).open("w", newline="", encoding="utf-8") if isinstance(target, str | Path) else target
        self._writer = csv.DictWriter(self._file, COLUMNS, lineterminator="\n")
        self._writer.writeheader()

    def write(self, row: dict[str, Any]) -> None:
        """Writes a row, floats to six decimals."""
        self._writer.writerow({k: f"{v:.6f}" if isinstance(v, float) else v for k, v in row.items()})

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._owned:
            self._file.close()


class JsonLinesWriter:
    """One JSON object a line."""

    def __init__(self, path: str | Path):
        self._file = Path(path).open("w", encoding="utf-8")

    def write(self, row: dict[str, Any]) -> None:
        """Writes a row."""
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def __enter__(self) -> JsonLinesWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()


class ParquetWriter:
    """A Parquet file, a row group at a time."""

    def __init__(self, path: str | Path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"path": pa.string(), "width": pa.int32(), "height": pa.int32(), "error": pa.string()}
        self._schema = pa.schema([(column, types.get(column, pa.float64())) for column in COLUMNS])
        self._to_table = pa.Table.from_pylist
        self._writer = pq.ParquetWriter(path, self._schema)
        self._rows: list[dict[str, Any]] = []

    def write(self, row: dict[str, Any]) -> None:
        """Writes a row."""
        self._rows.append(row)
        if len(self._rows) == _PARQUET_ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(self._to_table(self._rows, schema=self._schema))
        self._rows = []

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._rows:
            self._flush()
        self._writer.close()


_WRITERS: dict[str, Callable[[str | Path], RowWriter]] = {
    ".csv": CsvWriter,
    ".jsonl": JsonLinesWriter,
    ".parquet": ParquetWriter,
}
