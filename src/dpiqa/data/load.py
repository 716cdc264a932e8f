"""Any data set as a `datasets.Dataset` with one schema."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.images import ImageError, check_image
from . import biq2021, clive, kadid10k, koniq10k, livefb, spaq, tid2013
from .scenes import scene_groups, scene_hashes
from .schema import SPLITS, Rating, Release
from .splits import assign_splits, identical_across
from .table import FORMATS, pick_column, read_table

if TYPE_CHECKING:
    from datasets import Dataset, Features, IterableDataset

logger = logging.getLogger(__name__)

RELEASES: dict[str, Release] = {
    "biq2021": biq2021.RELEASE,
    "clive": clive.RELEASE,
    "kadid10k": kadid10k.RELEASE,
    "koniq10k": koniq10k.RELEASE,
    "livefb": livefb.RELEASE,
    "spaq": spaq.RELEASE,
    "tid2013": tid2013.RELEASE,
}
"""The released data sets, by the names that command lines take."""
_IMAGE_COLUMNS = ("image", "img", "photo")
_SCORE_COLUMNS = ("mos", "score", "quality", "MOS", "label")
_NAMED = 5


@dataclass(frozen=True)
class SplitRatings:
    """A data set with a split for every photo.

    Attributes:
        ratings: The photos.
        splits: "train", "validation" or "test" for each.
        mos_range: The MOS that become 0 and 1.
        std_range: Width of the scale that deviations are on.
        official: Whether the test split is the authors'.
    """

    ratings: list[Rating]
    splits: list[str]
    mos_range: tuple[float, float]
    std_range: float
    official: bool

    def normalised(self, ratings: Iterable[Rating]) -> list[float]:
        """MOS in [0, 1]."""
        low, high = self.mos_range
        return [(rating.mos - low) / (high - low) for rating in ratings]


@dataclass(frozen=True)
class IQASplits:
    """A data set in its three splits.

    Attributes:
        photos: "train", "validation" and "test", with the columns of [`load_iqa_dataset`].
        official: Whether the test split is the authors'.
        mos_range: The MOS that became 0 and 1.
    """

    photos: dict[str, Dataset]
    official: bool
    mos_range: tuple[float, float]


def load_iqa_dataset(
    name: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    split: str | None = None,
    seed: int = 0,
    split_by: str | None = None,
    mos_range: tuple[float, float] | None = None,
    allow_missing: bool = False,
    streaming: bool = False,
    **hub_options: Any,
) -> Dataset | IterableDataset:
    """Loads photos with opinion scores, from any source, in one schema.

    The columns: `image` (`datasets.Image(decode=False)`: open it with [`dpiqa.open_image`]), `mos` (normalised to
    [0, 1], higher is better), `mos_raw` (as released), `mos_std` (in units of `mos`, or null), `reference` (or null)
    and `name`.

    Args:
        name: "biq2021", "clive", "kadid10k", "koniq10k", "livefb", "spaq" or "tid2013" with `root`; or a .csv, .jsonl
            or .parquet file, or an ImageFolder with a metadata file (see [`dpiqa.data.table.read_table`]); or the Hub
            id or folder of a data set with a column of images and one of scores.
        root: Folder of the release as its authors distribute it; for a table, where its paths start.
        split: "train", "validation" or "test"; None is everything.
        seed: Of the split, where it is not official (see [`dpiqa.data.splits.assign_splits`]).
        split_by: "scene" puts photos of the same scene on one side and ignores official splits; "train scene" keeps an
            official test split and cuts only the validation split by scene (both need `imagehash`).
        mos_range: The MOS that become 0 and 1; needed where the data set is not one of ours and not in [0, 1].
        allow_missing: Whether photos that are missing or no readable image are left out, with a warning, in place of
            an error.
        streaming: For Hub data sets and Parquet: read while iterating, do not download first.
        **hub_options: Further arguments of `datasets.load_dataset`, such as `revision`.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: When labels or images are missing.
        ValueError: When an argument, a column or a label is not as said above, or images are unreadable.
    """
    if split not in (None, *SPLITS):
        raise ValueError(f"Unknown split {split!r}: expected {', '.join(SPLITS)}, or None for everything.")
    if _is_labels(name):
        if streaming:
            raise ValueError("Only Hub data sets and Parquet with images inside can be streamed.")
        loaded = load_ratings(
            name, root, seed=seed, split_by=split_by, mos_range=mos_range, allow_missing=allow_missing
        )
        return to_dataset(loaded, split)
    _refuse_options_of_labels(name, root, split_by, allow_missing)
    if streaming:
        return _stream(str(name), split, mos_range, hub_options)
    if split is None:
        return _hub_photos(str(name), mos_range, hub_options)[0]
    return _hub_splits(str(name), seed, mos_range, hub_options).photos[split]


def load_iqa_splits(
    name: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    split_by: str | None = None,
    mos_range: tuple[float, float] | None = None,
    allow_missing: bool = False,
    **hub_options: Any,
) -> IQASplits:
    """Loads the three splits at once; labels and photos are looked at a single time.

    Args:
        name: As in [`load_iqa_dataset`], like all other arguments.
        root: Folder of the release, or where the paths of a table start.
        seed: Of splits that are not official.
        split_by: "scene", "train scene" or None.
        mos_range: The MOS that become 0 and 1.
        allow_missing: Whether photos that are missing or no readable image are left out.
        **hub_options: Further arguments of `datasets.load_dataset`.

    Returns:
        The splits, and what their scores mean.

    Raises:
        FileNotFoundError: When labels or images are missing.
        ValueError: When an argument, a column or a label is not as said there, or a split has fewer than two photos.
    """
    if _is_labels(name):
        loaded = load_ratings(
            name, root, seed=seed, split_by=split_by, mos_range=mos_range, allow_missing=allow_missing
        )
        photos = {split: to_dataset(loaded, split) for split in SPLITS}
        splits = IQASplits(photos, loaded.official, loaded.mos_range)
    else:
        _refuse_options_of_labels(name, root, split_by, allow_missing)
        splits = _hub_splits(str(name), seed, mos_range, hub_options)
    small = [f"{split} ({len(splits.photos[split])})" for split in SPLITS if len(splits.photos[split]) < 2]
    if small:
        raise ValueError(
            f"{name} has too few photos for {', '.join(small)}: expected at least 2 in each of train, validation and "
            "test. About 20 rated photos are the least that can be split."
        )
    return splits


def load_ratings(
    name: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    split_by: str | None = None,
    mos_range: tuple[float, float] | None = None,
    allow_missing: bool = False,
) -> SplitRatings:
    """Reads labels and splits of one of the released data sets or of a table; see [`load_iqa_dataset`]."""
    release = RELEASES.get(str(name))
    if release is None:
        ratings = read_table(name, root)
        mos_range, std_range = _table_range(ratings, mos_range, name), None
    elif root is None:
        raise ValueError(f"{release.title} has to be downloaded first ({release.url}): give its folder as root.")
    else:
        ratings, std_range = list(release.read(Path(root))), release.std_range
        mos_range = mos_range or release.mos_range
    ratings = _present(ratings, allow_missing)
    if split_by not in (None, "scene", "train scene"):
        raise ValueError(f'Unknown split_by {split_by!r}: expected "scene", "train scene" or None.')
    groups = None if split_by is None else scene_groups(scene_hashes([r.path for r in ratings])).tolist()
    keep_official = split_by == "train scene"
    splits = assign_splits(ratings, seed, groups, keep_official=keep_official)
    twins = set(identical_across([rating.path for rating in ratings], splits))
    if twins:
        logger.warning("%d photos are byte for byte in two splits: left out of the earlier one.", len(twins))
    kept = [row for row in range(len(ratings)) if row not in twins]
    official = (groups is None or keep_official) and any(rating.split == "test" for rating in ratings)
    width = mos_range[1] - mos_range[0]
    return SplitRatings([ratings[i] for i in kept], [splits[i] for i in kept], mos_range, std_range or width, official)


def to_dataset(loaded: SplitRatings, split: str | None = None) -> Dataset:
    """Makes a `datasets.Dataset` with the schema of [`load_iqa_dataset`] from one split or, with None, from all."""
    from datasets import Dataset

    rows = [r for r, s in zip(loaded.ratings, loaded.splits, strict=True) if split in (None, s)]
    columns = {
        "image": [str(rating.path) for rating in rows],
        "mos": loaded.normalised(rows),
        "mos_raw": [rating.mos for rating in rows],
        "mos_std": [None if rating.std is None else rating.std / loaded.std_range for rating in rows],
        "reference": [rating.reference for rating in rows],
        "name": [rating.name for rating in rows],
    }
    return Dataset.from_dict(columns, features=features())


def features() -> Features:
    """The schema of [`load_iqa_dataset`]."""
    from datasets import Features, Image, Value

    numbers = {name: Value("float64") for name in ("mos", "mos_raw", "mos_std")}
    return Features({"image": Image(decode=False), **numbers, "reference": Value("string"), "name": Value("string")})


def _is_labels(name: str | os.PathLike[str]) -> bool:
    path = Path(name)
    if str(name) in RELEASES:
        return True
    if path.suffix == ".parquet" and path.is_file():
        import pyarrow.parquet

        # A Parquet file either names image files or holds the images themselves.
        field = pyarrow.parquet.read_schema(path)
        return not any(str(field.field(column).type).startswith("struct") for column in field.names)
    return path.suffix in FORMATS or any((path / f"metadata{suffix}").exists() for suffix in FORMATS)


def _table_range(
    ratings: Iterable[Rating], mos_range: tuple[float, float] | None, name: object
) -> tuple[float, float]:
    scores = [rating.mos for rating in ratings]
    low, high = mos_range or (0.0, 1.0)
    if min(scores) < low or max(scores) > high:
        raise ValueError(
            f"The scores of {name} run from {min(scores):g} to {max(scores):g}, outside of {low:g} to {high:g}: give "
            "mos_range=(lowest, highest) of the rating scale, such as (1, 5)."
        )
    return low, high


def _present(ratings: Sequence[Rating], allow_missing: bool) -> list[Rating]:
    """The photos that are there and look like images, by their headers."""
    present, problems = [], []
    for rating in ratings:
        try:
            check_image(rating.path)
            present.append(rating)
        except (ImageError, OSError) as error:
            reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
            problems.append(f"{rating.name} ({reason.removeprefix(f'{rating.path}: ')})")
    if problems:
        named = ", ".join(problems[:_NAMED]) + (", ..." if len(problems) > _NAMED else "")
        message = f"{len(problems)} of {len(ratings)} images are missing or unreadable: {named}"
        if not allow_missing or not present:
            raise FileNotFoundError(f"{message}. With allow_missing=True they are left out.")
        logger.warning("%s. They are left out.", message)
    return present


def _refuse_options_of_labels(name: object, root: object, split_by: str | None, allow_missing: bool) -> None:
    given = {"root": root, "split_by": split_by, "allow_missing": allow_missing}
    named = [option for option, value in given.items() if value]
    if named:
        raise ValueError(
            f"{', '.join(named)}: only for released sets and tables that name image files, not for {name}, which "
            "is loaded with `datasets`."
        )


def _hub_photos(
    name: str, mos_range: tuple[float, float] | None, hub_options: dict[str, Any]
) -> tuple[Dataset, list[str]]:
    """A whole Hub data set or Parquet, and the name of the split that each photo came in."""
    from datasets import concatenate_datasets, load_dataset

    if Path(name).suffix == ".parquet":
        parts = load_dataset("parquet", data_files=name, **hub_options)
    else:
        parts = load_dataset(name, **hub_options)
    released: list[str] = []
    for split, part in parts.items():
        released += part["split"][:] if "split" in part.column_names else [split] * len(part)
    return concatenate_datasets([_unified(part, name, mos_range) for part in parts.values()]), released


def _hub_splits(name: str, seed: int, mos_range: tuple[float, float] | None, hub_options: dict[str, Any]) -> IQASplits:
    """Test and validation splits that are there stay; those that are missing are cut."""
    whole, released = _hub_photos(name, mos_range, hub_options)
    official = "test" in released
    if "validation" in released and not official:
        raise ValueError(f"{name} has a validation split and no test split: name the one that is to be scored test.")
    rows = [
        Rating(photo, Path(photo), 0.0, reference=reference, split=split if official else None)
        for photo, reference, split in zip(whole["name"][:], whole["reference"][:], released, strict=True)
    ]
    splits = assign_splits(rows, seed)
    photos = {split: whole.select([i for i, s in enumerate(splits) if s == split]) for split in SPLITS}
    return IQASplits(photos, official, mos_range or (0.0, 1.0))


def _stream(
    name: str, split: str | None, mos_range: tuple[float, float] | None, hub_options: dict[str, Any]
) -> IterableDataset:
    from datasets import IterableDatasetDict, concatenate_datasets, load_dataset

    if Path(name).suffix == ".parquet":
        if split is not None:
            raise ValueError(f"{name} is one table: it can be streamed as a whole (split=None) only.")
        loaded = load_dataset("parquet", data_files=name, split="train", streaming=True, **hub_options)
    else:
        loaded = load_dataset(name, split=split, streaming=True, **hub_options)
    if isinstance(loaded, IterableDatasetDict):
        loaded = concatenate_datasets(list(loaded.values()))
    return _unified(loaded, name, mos_range)


def _unified(loaded: Any, name: str, mos_range: tuple[float, float] | None) -> Any:
    """With the columns of [`load_iqa_dataset`]."""
    row = dict.fromkeys(loaded.column_names or next(iter(loaded)))
    image, score = pick_column(row, _IMAGE_COLUMNS, name), pick_column(row, _SCORE_COLUMNS, name)
    low, high = mos_range or (0.0, 1.0)

    def unify(example: dict[str, Any], index: int) -> dict[str, Any]:
        raw = float(example["mos_raw"] if example.get("mos_raw") is not None else example[score])
        mos = float(example["mos"]) if "mos_raw" in example else (raw - low) / (high - low)
        if not 0 <= mos <= 1:
            raise ValueError(f"{name}: the score {raw:g} is outside of {low:g} to {high:g}: give mos_range.")
        # With decode=False: a dict of bytes and path.
        path = example[image].get("path") if isinstance(example[image], dict) else None
        return {
            "image": example[image],
            "mos": mos,
            "mos_raw": raw,
            "mos_std": example.get("mos_std"),
            "reference": example.get("reference"),
            "name": str(example.get("name") or path or index),
        }

    undecoded = loaded.cast_column(image, features()["image"])
    return undecoded.map(unify, with_indices=True, remove_columns=list(row), features=features())
