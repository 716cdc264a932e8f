"""The photos of a data set on the Hub, read as they are needed: nothing is downloaded as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datasets import IterableDataset

_PREFIX = "hf://datasets/"
_SOURCE = re.compile(_PREFIX + r"(?P<id>[^/@\s]+/[^/@\s]+)(@(?P<revision>\S+))?")


class HubDatasetError(Exception):
    """A data set that cannot be opened, or cannot be read to its end."""


class HubPhoto(NamedTuple):
    """A photo of a data set.

    Attributes:
        name: The path that the data set has for it, or its split and row number, such as "train/0".
        image: What a [`dpiqa.Scorer`] takes; its bytes may be fetched only then.
    """

    name: str
    image: Any


def is_hub_dataset(name: str) -> bool:
    """Whether something is the address of a Hub data set."""
    return name.startswith(_PREFIX)


class HubPhotos:
    """The photos of a data set on the Hub, split after split, in the order of its rows.

    Paths that the rows name are opened on the Hub only, and never on this machine.

    Args:
        source: "hf://datasets/ORG/NAME", or "hf://datasets/ORG/NAME@REVISION" for a branch, tag or commit.
        split: Name of the split to read; None reads all.
        subset: Name of the configuration, where the data set has several.
        image_column: Column of the photos; None takes the only one that holds images.

    Attributes:
        total: How many photos there are, or None when the data set does not say.

    Raises:
        HubDatasetError: When it is not there or cannot be read, or has no such split, subset or column.
    """

    def __init__(
        self, source: str, *, split: str | None = None, subset: str | None = None, image_column: str | None = None
    ):
        match = _SOURCE.fullmatch(source)
        if match is None:
            raise HubDatasetError(f"expected {_PREFIX}ORG/NAME or {_PREFIX}ORG/NAME@REVISION, found {source}")
        self._source = source
        try:
            parts = _load(_PREFIX + match["id"], subset, split, match["revision"])
            self._parts = {name: _photos_only(part, image_column) for name, part in parts.items()}
        except Exception as error:  # whatever its files and the network can raise
            raise HubDatasetError(f"cannot read {source}: {_reason(error)}") from error
        sizes = [(part.info.splits or {}).get(name) for name, part in parts.items()]
        self.total = None if None in sizes else sum(size.num_examples for size in sizes if size is not None)

    def __iter__(self) -> Iterator[HubPhoto]:
        try:
            for split, part in self._parts.items():
                for number, row in enumerate(part):
                    (entry,) = row.values()
                    yield _photo(entry, f"{split}/{number}")
        except Exception as error:
            raise HubDatasetError(f"cannot read {self._source} to its end: {_reason(error)}") from error


class _FileOnHub(Mapping[str, str | bytes]):
    """An entry of an image column whose bytes are fetched where they are used, which is in the Scorer's threads."""

    def __init__(self, path: str):
        self._path = path

    def __getitem__(self, key: str) -> str | bytes:
        if key not in ("path", "bytes"):
            raise KeyError(key)
        return self._path if key == "path" else self._fetch()

    def __iter__(self) -> Iterator[str]:
        return iter(("path", "bytes"))

    def __len__(self) -> int:
        return 2

    def _fetch(self) -> bytes:
        from datasets.utils.file_utils import xopen

        if "hf://" not in self._path:  # which may have other protocols before it, as for a file in an archive
            raise OSError("the data set has a path in place of this photo: paths outside of the Hub are not opened.")
        try:
            with xopen(self._path, "rb") as file:
                return file.read()
        except Exception as error:
            raise OSError(f"cannot be fetched from the Hub ({_reason(error)}).") from error


def _load(path: str, subset: str | None, split: str | None, revision: str | None) -> dict[str, IterableDataset]:
    from datasets import load_dataset

    loaded = load_dataset(path, subset, split=split, revision=revision, streaming=True)
    return dict(loaded) if split is None else {split: loaded}


def _photos_only(part: IterableDataset, wanted: str | None) -> IterableDataset:
    """The column of the photos, undecoded: `datasets` would raise an error at the first damaged one."""
    from datasets import Image

    if part.features is None:  # as for files that must be opened to know
        part = part._resolve_features()
    column = _image_column(part.features, wanted)
    photos = part.select_columns([column])
    return photos.cast_column(column, Image(decode=False)) if _is_image(part.features[column]) else photos


def _image_column(features: Mapping[str, Any], wanted: str | None) -> str:
    images = [name for name, feature in features.items() if _is_image(feature)]
    images = images or [name for name, feature in features.items() if _is_bytes(feature)]
    if wanted is not None:
        if wanted in features and (_is_image(features[wanted]) or _is_bytes(features[wanted])):
            return wanted
        raise ValueError(f"there is no column {wanted} of images; columns of images: {', '.join(images) or 'none'}")
    if len(images) != 1:
        raise ValueError(
            f"it has {len(images)} columns of images ({', '.join(images) or 'none'}) among {', '.join(features)}: "
            "name one with --image-column"
        )
    return images[0]


def _is_image(feature: Any) -> bool:
    from datasets import Image

    return isinstance(feature, Image)


def _is_bytes(feature: Any) -> bool:
    """Whether it holds the bytes of files, by themselves or as in an image column that lost its type."""
    value = feature.get("bytes") if isinstance(feature, dict) else feature
    return getattr(value, "dtype", None) in ("binary", "large_binary")


def _photo(entry: Any, place: str) -> HubPhoto:
    path = entry.get("path") if isinstance(entry, Mapping) else None
    if path and entry.get("bytes") is None:
        return HubPhoto(path, _FileOnHub(path))
    return HubPhoto(path or place, entry)


def _reason(error: BaseException) -> str:
    return " ".join((str(error.__cause__ or error) or type(error).__name__).split()).rstrip(".")


__all__ = ["HubDatasetError", "HubPhoto", "HubPhotos", "is_hub_dataset"]
