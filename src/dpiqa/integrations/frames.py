"""Scores as columns of a table of photos: pandas, pyarrow or `datasets`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from ..scoring.rows import to_row
from ..scoring.scorer import Scorer

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from datasets import Dataset

    Table = TypeVar("Table", pd.DataFrame, pa.Table, Dataset)

COLUMNS = ("score", "percentile", "low", "high", "error")
"""What is added to a table: these columns of [`dpiqa.scoring.rows.to_row`]."""
# Numbers of so many photos at a time go into memory that has no Python objects.
_CHUNK = 1_000


def add_scores(table: Table, column: str = "image", *, scorer: Scorer | None = None, prefix: str = "") -> Table:
    """Adds the scores of the photos in a column.

    Args:
        table: A pandas `DataFrame`, a pyarrow `Table` or a `datasets.Dataset`.
        column: Its column of photos: paths, bytes of files, entries of a data set's `image` column (dicts with `bytes`
            or `path`), PIL images, or whatever else [`dpiqa.open_image`] takes. URLs are not opened.
        scorer: What scores them; None takes the bundled student.
        prefix: Put before the name of each new column.

    Returns:
        A table of the same kind with the same rows in the same order, and with the columns `score`, `percentile`,
        `low`, `high` (float64, rounded as `dpiqa score` does) and `error` (text). A photo that cannot be scored has an
        `error` and no numbers; every other photo has no `error`. What is missing is null, and NaN in pandas.

    Raises:
        TypeError: When the table is of another kind, or the prefix is no text.
        ValueError: When it has no such column, or has one of the new columns already.

    Example:
        >>> frame = pd.DataFrame({"image": ["a.jpg", "b.jpg"]})
        >>> add_scores(frame).sort_values("score")
    """
    is_pandas, is_arrow = _is_a(table, "pandas", "DataFrame"), _is_a(table, "pyarrow", "Table")
    if not (is_pandas or is_arrow or _is_a(table, "datasets", "Dataset")):
        raise TypeError(
            "Expected a pandas.DataFrame, a pyarrow.Table or a datasets.Dataset, got "
            f"{type(table).__module__}.{type(table).__name__}. Give one split of a DatasetDict at a time; anything "
            "else that can be iterated over goes into Scorer.stream."
        )
    if not isinstance(prefix, str):
        raise TypeError(f"Expected text as the prefix, got {prefix!r}: leave it out for no prefix.")
    _check_columns(list(table.columns if is_pandas else table.column_names), column, prefix)
    scorer = scorer or Scorer.from_pretrained()
    if is_pandas:
        scores = _scores(table[column], scorer, prefix)
        return table.assign(**{name: scores[name].to_pandas().array for name in scores.column_names})
    if is_arrow:
        scores = _scores((value.as_py() for value in table[column]), scorer, prefix)
        for name in scores.column_names:
            table = table.append_column(name, scores[name])
        return table
    scores = _scores(_undecoded(table, column), scorer, prefix)
    for name in scores.column_names:
        table = table.add_column(name, scores[name].combine_chunks())
    return table


def _is_a(table: Any, module: str, name: str) -> bool:
    """Whether it is of a class whose module need not be there; it is imported where there is an object of it."""
    return module in sys.modules and isinstance(table, getattr(sys.modules[module], name))


def _check_columns(names: list[str], column: str, prefix: str) -> None:
    if names.count(column) != 1:
        raise ValueError(f"Expected one column {column!r}, found {names.count(column)} in {names}.")
    taken = sorted({prefix + name for name in COLUMNS} & {*names})
    if taken:
        raise ValueError(f"The table has {', '.join(taken)} already: rename the columns, or give another prefix.")


def _undecoded(table: Dataset, column: str) -> Iterator[Any]:
    """The photos as they are stored: `datasets` would raise an error at the first damaged one."""
    from datasets import Image

    photos = table.select_columns([column]).with_format(None)
    if isinstance(photos.features[column], Image):
        photos = photos.cast_column(column, Image(decode=False))
    return (row[column] for row in photos)


def _scores(images: Iterable[Any], scorer: Scorer, prefix: str) -> pa.Table:
    import pyarrow as pa

    schema = pa.schema([(name, pa.string() if name == "error" else pa.float64()) for name in COLUMNS])
    rows = (to_row("", score) for score in scorer.stream(iter(images)))
    chunks = []
    while chunk := [{name: row[name] for name in COLUMNS} for row in islice(rows, _CHUNK)]:
        chunks.append(pa.RecordBatch.from_pylist(chunk, schema=schema))
    return pa.Table.from_batches(chunks, schema).rename_columns([prefix + name for name in COLUMNS])


__all__ = ["COLUMNS", "add_scores"]
