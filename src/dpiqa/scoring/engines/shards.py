"""Reading files that hold many photos: Parquet and WebDataset tars.

What cannot be read becomes rows with an error, so that a damaged file neither ends a run nor loses photos without a
word.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from ...counting import counted
from ...models.image_urls import is_url
from ...models.images import reason_of
from ..image_files import SUFFIXES
from ..rows import as_text
from .photos import Photo, check_passes, file_system, photo

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
PARQUET_SUFFIX = ".parquet"
_BATCH = 64
# Arrow's errors of data are ValueError or OSError; those of zlib and lzma, of tars that are compressed, are neither.
_DAMAGE = (OSError, ValueError, KeyError, EOFError, tarfile.TarError, MemoryError)


def is_shard(name: str) -> bool:
    """Whether a file holds photos, by its name."""
    return name.lower().endswith((PARQUET_SUFFIX, *TAR_SUFFIXES))


def read_shard(
    name: str, *, image_column: str | None = None, carried: Sequence[pa.Field] = (), retried: Sequence[str] = ()
) -> Iterator[list[Photo]]:
    """The rows of a file, in its order and a few at a time.

    Args:
        name: Path or URL that ends in .parquet, .tar, .tar.gz or .tgz.
        image_column: Column of a Parquet file with bytes of photos, their paths or URLs, or dicts of `bytes` and
            `path` as `datasets` writes them; None is "image". Of a tar, the suffix of the photos without a dot; None
            takes every file that is called like a photo.
        carried: Columns to take along. Of a tar: files of the sample by their suffix, as text, and `__key__`.
        retried: See [`dpiqa.scoring.engines.photos.check_passes`].

    Yields:
        Rows for [`dpiqa.scoring.engines.photos.table_of`].
    """
    names = [field.name for field in carried]
    if name.lower().endswith(PARQUET_SUFFIX):
        rows = _read_parquet(name, image_column or "image", carried, retried)
    else:
        rows = _read_tar(name, image_column, names, retried)
    batch: list[Photo] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _read_parquet(name: str, column: str, carried: Sequence[pa.Field], retried: Sequence[str]) -> Iterator[Photo]:
    try:
        system, place = file_system(name)
        with system.open(place) as source:
            yield from _rows_of_parquet(pq.ParquetFile(source), name, column, carried, retried)
    except _DAMAGE as error:
        yield photo(name, error=_reason(error, retried, "this Parquet file cannot be read"))


def _rows_of_parquet(
    file: pq.ParquetFile, name: str, column: str, carried: Sequence[pa.Field], retried: Sequence[str]
) -> Iterator[Photo]:
    names = [field.name for field in carried]
    check_columns(file.schema_arrow, [column, *names])
    start = 0
    for group in range(file.num_row_groups):
        row, end = start, start + file.metadata.row_group(group).num_rows
        try:
            columns = list(dict.fromkeys([column, *names]))
            for batch in file.iter_batches(_BATCH, row_groups=[group], columns=columns):
                _check_values(batch, carried)
                for values in batch.to_pylist():
                    taken = {key: values[key] for key in names}
                    yield photo(f"{name}#{row}", **_image_of(values[column], name), **taken)
                    row += 1
        except _DAMAGE as error:
            what = "holds other values than the first file" if isinstance(error, _OtherValuesError) else "is damaged"
            reason = _reason(error, retried, f"row group {group} of this Parquet file {what}")
            yield from (photo(f"{name}#{lost}", error=reason) for lost in range(row, end))
        start = end


class _OtherValuesError(ValueError):
    """Carried values that do not fit the column of the output, which has the type of the first file."""


def _check_values(batch: pa.RecordBatch, carried: Sequence[pa.Field]) -> None:
    for field in carried:
        values = batch.column(field.name)
        if values.type == field.type:
            continue
        try:
            pa.array(values.to_pylist(), field.type)
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise _OtherValuesError(f"the column {field.name!r} has {values.type} for {field.type}: {error}") from None


def check_columns(schema: pa.Schema, columns: Sequence[str]) -> None:
    """Looks whether a Parquet file has the columns, and photos or names of photos in the first.

    Raises:
        KeyError, ValueError: When it has not; says what it has.
    """
    for name in columns:
        if schema.get_field_index(name) < 0:
            raise ValueError(f"expected a column {name!r}, found {', '.join(map(repr, schema.names))}")
    kind = schema.field(columns[0]).type
    names = [kind.field(index).name for index in range(kind.num_fields)] if pa.types.is_struct(kind) else []
    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    if not (is_bytes or is_text(kind) or {"bytes", "path"} & set(names)):
        raise ValueError(f"expected bytes, paths or URLs of photos in the column {columns[0]!r}, found {kind}")


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text, as names of photos are."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _image_of(value: Any, table: str) -> Photo:
    """The columns of a row that say where the photo is; a relative path starts from the folder of the table."""
    if isinstance(value, dict):
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    if value is None:
        return {"error": "no photo in this row: the value is null"}
    if isinstance(value, bytes):
        return {"bytes": value}
    named = value
    if not is_url(value) and not os.path.isabs(value):
        value = posixpath.join(posixpath.dirname(table if is_url(table) else os.path.abspath(table)), value)
    return {"path": named, "file": os.fsencode(value)}


class _Member(tarfile.TarInfo):
    """A member whose header must be sound: to `tarfile` a damaged one, or none, is the end of the tar."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the mark at the end
            raise
        except tarfile.HeaderError as error:
            reason = "it is cut off" if "empty" in str(error) or "truncated" in str(error) else str(error)
            raise tarfile.ReadError("it is empty" if tar.offset == 0 and "empty" in str(error) else reason) from None


def _read_tar(name: str, suffix: str | None, carried: Sequence[str], retried: Sequence[str]) -> Iterator[Photo]:
    sample: dict[str, bytes] = {}
    key, num_samples = "", 0
    seen: Counter[str] = Counter()
    try:
        system, place = file_system(name)
        with system.open(place) as source, tarfile.open(fileobj=source, mode="r|*", tarinfo=_Member) as tar:
            for member in tar:
                folder, base = posixpath.split(member.name)
                if not member.isreg() or base.startswith("."):
                    continue
                stem, _, extension = base.partition(".")
                if posixpath.join(folder, stem) != key or extension in sample:
                    yield from _photos_of(name, key, sample, suffix, carried, seen)
                    key, sample, num_samples = posixpath.join(folder, stem), {}, num_samples + bool(key)
                content = tar.extractfile(member)
                sample[extension] = content.read() if content is not None else b""
            yield from _photos_of(name, key, sample, suffix, carried, seen)
    except _DAMAGE as error:
        num_samples += bool(sample)
        reason = _reason(error, retried, f"this tar {'is damaged' if num_samples else 'cannot be read'}")
        yield from _photos_of(name, key, sample, suffix, carried, seen)
        lost = f"; what follows its first {counted(num_samples, 'sample')} is not scored" if num_samples else ""
        yield photo(name, error=f"{reason}{lost}")


def _photos_of(
    tar: str, key: str, sample: dict[str, bytes], suffix: str | None, carried: Sequence[str], seen: Counter[str]
) -> Iterator[Photo]:
    """The rows of a sample: one for every photo in it."""
    if not sample:
        return
    taken = {name: sample[name].decode("utf-8", "backslashreplace") for name in carried if name in sample}
    if "__key__" in carried:
        taken["__key__"] = as_text(key)
    images = [one for one in sample if (one == suffix if suffix else _is_photo(one))]
    if not images:
        yield photo(
            _once(f"{tar}/{key}", seen), error=f"no photo in this sample: found .{', .'.join(sample)}", **taken
        )
    for one in images:
        yield photo(_once(f"{tar}/{key}.{one}", seen), bytes=sample[one], **taken)


def _once(path: str, seen: Counter[str]) -> str:
    """A tar can hold files of one name; each is a photo, and needs a name of its own."""
    seen[path] += 1
    return path if seen[path] == 1 else f"{path}#{seen[path]}"


def _is_photo(extension: str) -> bool:
    return f".{extension.rpartition('.')[2].lower()}" in SUFFIXES


def _reason(error: Exception, retried: Sequence[str], what: str) -> str:
    check_passes(error, retried)
    return f"{what} ({' '.join(reason_of(error, '').split())})"


__all__ = ["PARQUET_SUFFIX", "TAR_SUFFIXES", "check_columns", "is_shard", "is_text", "read_shard"]
