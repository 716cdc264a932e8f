"""Which photos, and which files that hold many, a list of inputs stands for."""

from __future__ import annotations

import contextlib
import glob
import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from ...models.image_urls import is_url
from ..image_files import SUFFIXES, FoundImages
from ..rows import COLUMNS
from .photos import PHOTO_FIELDS, file_system
from .shards import PARQUET_SUFFIX, check_columns, is_shard, is_text

_TAKEN = {*COLUMNS, *(one.name for one in PHOTO_FIELDS)}


@dataclass
class Inputs:
    """Photos to score.

    Attributes:
        listed: (path or URL, why it cannot be opened or None) of photos that have a file of their own.
        shards: Paths and URLs of Parquet files and tars.
        image_column: See [`dpiqa.scoring.engines.shards.read_shard`].
        carried: Columns of the shards that come along into the rows.
        names_only: Whether all of it is names of photos, and no photos.
    """

    listed: list[tuple[str, str | None]] = field(default_factory=list)
    shards: list[str] = field(default_factory=list)
    image_column: str | None = None
    carried: list[pa.Field] = field(default_factory=list)
    names_only: bool = True


def find_inputs(
    inputs: Iterable[str],
    *,
    found: FoundImages | None = None,
    image_column: str | None = None,
    carry: Sequence[str] = (),
) -> Inputs:
    """Expands inputs.

    Args:
        inputs: Photos, folders and patterns, as [`dpiqa.scoring.image_files.find_images`] takes them; names and
            patterns of Parquet files and tars (`shards/*.tar`); URLs of all of these. In folders only photos are
            looked for.
        found: Photos that are known already; it takes those that are new.
        image_column: See [`dpiqa.scoring.engines.shards.read_shard`].
        carry: Names of columns of the shards that come along into the rows.

    Raises:
        ValueError: When a pattern of shards or a URL matches nothing, or the first Parquet file lacks a column.
    """
    found = FoundImages() if found is None else found
    shards: list[str] = []
    remote: list[tuple[str, str | None]] = []
    for name in inputs:
        if is_url(name):
            some = _behind_url(name)
            shards += filter(is_shard, some)
            remote += [(one, None) for one in some if not is_shard(one)]
        elif is_shard(name):
            shards += _matches(name)
        else:
            found.add(name)
    shards = list(dict.fromkeys(shards))
    schema = _first_schema(shards)
    if schema is not None:
        check_columns(schema, [image_column or "image", *carry])
    return Inputs(
        [*found.entries, *dict.fromkeys(remote)],
        shards,
        image_column,
        _carried(carry, schema),
        not shards or _has_names(shards, schema, image_column or "image"),
    )


def _matches(name: str) -> list[str]:
    is_pattern = glob.has_magic(name) and not os.path.lexists(name)
    matches = sorted(glob.glob(name, recursive=True)) if is_pattern else [name]
    if not matches:
        raise ValueError(f"no file matches {name}")
    return matches


def _behind_url(url: str) -> list[str]:
    """The photo or shard that a URL names, those that match its pattern, or the photos in its folder."""
    try:
        system, place = file_system(url)
        if glob.has_magic(place):
            names = sorted(system.glob(place))
        elif is_shard(url) or not system.isdir(place):
            return [url]
        else:
            names = sorted(one for one in system.find(place) if _is_photo(one.removeprefix(place)))
    except (OSError, ImportError) as error:
        raise ValueError(f"cannot list {url} ({error})") from None
    if not names:
        raise ValueError(f"no photo, Parquet file or tar is at {url}")
    scheme = url.partition("://")[0]
    return [f"{scheme}://{one.removeprefix(f'{scheme}://')}" for one in names]


def _is_photo(name: str) -> bool:
    is_hidden = any(part.startswith(".") for part in name.split("/"))
    return posixpath.splitext(name)[1].lower() in SUFFIXES and not is_hidden


def _first_schema(shards: Sequence[str]) -> pa.Schema | None:
    """Of the first Parquet file that can be read; the others become rows with an error when their turn comes."""
    for name in shards:
        if name.lower().endswith(PARQUET_SUFFIX):
            with contextlib.suppress(OSError, ValueError, ImportError):
                system, place = file_system(name)
                with system.open(place) as source:
                    return pq.read_schema(source)
    return None


def _carried(names: Sequence[str], schema: pa.Schema | None) -> list[pa.Field]:
    if taken := _TAKEN.intersection(names):
        raise ValueError(f"cannot carry {min(taken)!r} along: the rows have a column of this name themselves")
    once = dict.fromkeys(names)
    return [pa.field(name, pa.string() if schema is None else schema.field(name).type) for name in once]


def _has_names(shards: Sequence[str], schema: pa.Schema | None, column: str) -> bool:
    if schema is None or not all(one.lower().endswith(PARQUET_SUFFIX) for one in shards):
        return False
    return is_text(schema.field(column).type)


__all__ = ["Inputs", "find_inputs"]
