"""Photos on their way through an engine: tables of names, with the photos or where to find them.

Every row has a `key` that no other has: the photo's path, `part.parquet#12` for a row of a Parquet file (counted from
0), or `shard.tar/0012.jpg` for a file in a tar. Its `path` is the same, but for names of photos in a Parquet file. It
has the `bytes` of a photo, a `file` to be opened, or the `error` why there is neither. Carried columns follow.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...models.image_urls import is_url
from ...models.images import OPENING_ERRORS, reason_of
from ..rows import as_text

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from ..score import Score
    from ..scorer import Scorer

# What hides the time that a store takes to answer.
_THREADS = 16
PHOTO_FIELDS = (
    pa.field("key", pa.string()),
    pa.field("path", pa.string()),
    pa.field("bytes", pa.binary()),
    pa.field("file", pa.binary()),  # not text: file names need not be
    pa.field("error", pa.string()),
)

Photo = dict[str, Any]


def photo(key: str, **columns: Any) -> Photo:
    """A row for [`table_of`]; what is not given is null, and `path` is the key."""
    text = as_text(key)
    return {"key": text, "path": text, **columns}


def listed_photo(path: str, error: str | None = None) -> Photo:
    """A row for a photo with a file of its own, whose folder is spelled out: it is opened in another process."""
    place = path if is_url(path) else os.path.abspath(path)
    return photo(path, file=os.fsencode(place), error=error)


def table_of(photos: Sequence[Photo], carried: Sequence[pa.Field] = ()) -> pa.Table:
    """Rows as a table with `PHOTO_FIELDS` and the carried columns.

    Raises:
        pyarrow.ArrowInvalid, pyarrow.ArrowTypeError: When a carried value is of another type than its field.
    """
    return pa.Table.from_pylist(list(photos), pa.schema([*PHOTO_FIELDS, *carried]))


def file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """What opens a URL or a local path, and the name of the file there.

    It is the file system of `fsspec` for the scheme; where its package is not installed (as `s3fs` for `s3://`), that
    of `pyarrow`.

    Raises:
        ValueError: When neither knows the scheme, or it is http: photos are not fetched from web servers.
    """
    import fsspec
    from fsspec.implementations.arrow import ArrowFSWrapper
    from fsspec.implementations.local import LocalFileSystem
    from pyarrow.fs import FileSystem

    if not is_url(url):
        return LocalFileSystem(), os.path.abspath(url)
    scheme = url.partition("://")[0].lower()
    if scheme in ("http", "https"):
        raise ValueError(f"{url}: web servers are not read from: download the photos first")
    with contextlib.suppress(ImportError):
        return fsspec.core.url_to_fs(url)
    system, name = FileSystem.from_uri(url)
    return ArrowFSWrapper(system), name


def check_passes(error: BaseException, retried: Sequence[str]) -> None:
    """Raises an error that passes, known by a part of its message, so that the caller tries again."""
    if any(part in str(error) for part in retried):
        raise error


def score_photos(scorer: Scorer, photos: Sequence[Photo], retried: Sequence[str] = ()) -> list[Score]:
    """Scores rows of a table in order; what is not on this machine is read ahead, several at a time.

    Args:
        scorer: What scores them.
        photos: The rows.
        retried: See [`check_passes`].
    """
    from ..score import Score

    failed: dict[int, str] = {}

    def sources() -> Iterator[Any]:
        for number, source in enumerate(_read_ahead(photos, retried)):
            if isinstance(source, _Failed):
                failed[number] = source.reason
            else:
                yield source

    scores = iter(list(scorer.stream(sources())))
    return [
        Score(float("nan"), error=failed[number]) if number in failed else next(scores)
        for number in range(len(photos))
    ]


class _Failed:
    """A photo without a source."""

    def __init__(self, reason: str):
        self.reason = reason


def _read_ahead(photos: Iterable[Photo], retried: Sequence[str]) -> Iterator[Any]:
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(_THREADS, "dpiqa-read") as pool:
        for one in photos:
            waiting.append(pool.submit(_source, one, retried))
            if len(waiting) == _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _source(one: Photo, retried: Sequence[str]) -> Any:
    """What the scorer opens; a local file is left to it."""
    if one["error"] is not None:
        return _Failed(one["error"])
    if one["bytes"] is not None:
        return {"bytes": one["bytes"], "path": one["path"]}
    name = os.fsdecode(one["file"])
    if not is_url(name):
        return name
    try:
        system, place = file_system(name)
        return {"bytes": system.cat_file(place), "path": name}
    except (*OPENING_ERRORS, ImportError) as error:
        check_passes(error, retried)
        return _Failed(as_text(reason_of(error, name)))


__all__ = ["PHOTO_FIELDS", "Photo", "check_passes", "file_system", "listed_photo", "photo", "score_photos", "table_of"]
