"""Data sets that hold their photos: on the Hub, Parquet files, and folders that `dpiqa prepare` wrote."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .images import image_paths
from .labels import check_scores
from .schema import SPLIT_NAMES, features, with_column
from .source import RELEASES, DataSource
from .table import pick_column

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

logger = logging.getLogger(__name__)
_IMAGE_COLUMNS = ("image", "img", "photo")
_SCORE_COLUMNS = ("mos_raw", "mos", "score", "quality", "MOS", "label")
# What `dpiqa prepare` writes beside our columns, so that a prepared data set comes back as it was.
RELEASED_SPLIT, MOS_RANGE = "released_split", "mos_range"


def load_embedded(source: DataSource, hub_options: dict[str, Any]) -> tuple[Dataset, tuple[float, float]]:
    """Loads a data set with `datasets`; its images stay on disk, undecoded.

    Args:
        source: A Hub id, a folder that `datasets.load_dataset` reads, or a Parquet file.
        hub_options: Further arguments of `datasets.load_dataset`, such as `revision`.

    Returns:
        The photos with the columns of [`dpiqa.data.schema.features`], `split` as released, and their rating scale.

    Raises:
        FileNotFoundError: When there is no such data set.
        ValueError: When a column or a score is not as expected.
    """
    from datasets import concatenate_datasets

    parts = _load(source, hub_options)
    mos_range = _mos_range(parts, source)
    photos = concatenate_datasets([_unified(part, name, source, mos_range) for name, part in parts.items()])
    check_scores(photos["mos_raw"][:], mos_range, source)
    # "train" is what `datasets` calls what was never cut; a prepared data set says itself what it came with.
    is_prepared = RELEASED_SPLIT in next(iter(parts.values())).column_names
    if not is_prepared and not {"validation", "test"} & set(photos["split"][:]):
        photos = with_column(photos, "split", [None] * len(photos))
    return photos, mos_range


def check_name(source: DataSource) -> None:
    """Refuses a name that no data set can have.

    Raises:
        FileNotFoundError: When it is neither a path that exists nor a Hub id.
    """
    if not Path(source.name).exists() and source.name.count("/") != 1:
        raise _unknown(source, "there is nothing of this name")


def _load(source: DataSource, hub_options: dict[str, Any]) -> DatasetDict:
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    path = Path(source.name)
    is_file = path.suffix == ".parquet" and path.is_file()
    try:
        if is_file:
            return load_dataset("parquet", data_files=source.name, **hub_options)
        return load_dataset(source.name, **hub_options)
    except OSError as error:  # not there, or the Hub cannot be reached
        raise _unknown(source, str(error)) from error
    except DatasetGenerationError as error:
        raise ValueError(f"{source.name} cannot be read ({error.__cause__ or error}).") from error


def _unknown(source: DataSource, reason: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"{source.name} cannot be loaded ({reason.rstrip('.')}). Expected a released set with its folder "
        f"({', '.join(RELEASES)}: {next(iter(RELEASES))}=FOLDER), a table of photos (.csv, .jsonl or .parquet), a "
        "folder with metadata.csv or from dpiqa prepare, or the id of a Hub data set (ORG/NAME)."
    )


def _mos_range(parts: DatasetDict, source: DataSource) -> tuple[float, float]:
    """The rating scale: given, or as `dpiqa prepare` noted it, or 0 to 1."""
    noted = {tuple(ends) for part in parts.values() if MOS_RANGE in part.column_names for ends in part[MOS_RANGE][:]}
    given = {source.mos_range} if source.mos_range else noted or {(0.0, 1.0)}
    if len(noted | given) > 1:
        scales = ", ".join(f"{low:g} to {high:g}" for low, high in sorted(noted | given))
        raise ValueError(f"{source.name} was prepared with one rating scale, and there are several: {scales}.")
    low, high = given.pop()
    return low, high


def _unified(part: Dataset, part_name: str, source: DataSource, mos_range: tuple[float, float]) -> Dataset:
    """One split of the data set, with our columns."""
    from datasets import Dataset, Features, concatenate_datasets

    names = dict.fromkeys(part.column_names)
    image = pick_column(names, _IMAGE_COLUMNS, source.name)
    if list(names) == [image] and Path(source.name).is_dir():
        raise ValueError(
            f"{source.name} has photos and no opinion scores: put a metadata.csv with the columns file_name and mos "
            "into the folder, or name a table of photos (.csv, .jsonl or .parquet)."
        )
    score = pick_column(names, _SCORE_COLUMNS, source.name)
    images = part.select_columns([image]).cast_column(image, features()["image"])
    images = images if image == "image" else images.rename_column(image, "image")

    def column(name: str) -> list[Any]:
        return part[name][:] if name in names else [None] * len(part)

    def words(name: str) -> list[str | None]:
        return [None if value is None else str(value) for value in column(name)]

    try:
        scores = np.array(part[score][:], dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{source.name}: the column {score} holds something that is no number.") from None
    rows = zip(words("name"), image_paths(images), strict=True)
    titles = [name or path or f"{part_name}/{row}" for row, (name, path) in enumerate(rows)]
    references = words("reference")
    ours = {
        "name": titles,
        "mos": ((scores - mos_range[0]) / (mos_range[1] - mos_range[0])).tolist(),
        "mos_raw": scores.tolist(),
        "mos_std": column("mos_std"),
        "reference": references,
        "group": words("group"),
        "scene": [s or r or name for s, r, name in zip(words("scene"), references, titles, strict=True)],
        "split": _released_splits(part, part_name),
    }
    schema = Features({name: feature for name, feature in features().items() if name != "image"})
    return concatenate_datasets([images, Dataset.from_dict(ours, features=schema)], axis=1)


def _released_splits(part: Dataset, part_name: str) -> list[str | None]:
    """The split that each photo came in; None where it was never cut, or cut in a way that we have no name for."""
    column = next((name for name in (RELEASED_SPLIT, "split") if name in part.column_names), None)
    released = [part_name] * len(part) if column is None else part[column][:]
    released = [None if name is None else str(name).lower() for name in released]
    unknown = {name for name in released if name is not None} - SPLIT_NAMES.keys()
    if unknown:
        logger.warning("Splits called %s are cut again; known names: %s.", sorted(unknown), ", ".join(SPLIT_NAMES))
    return [None if name is None else SPLIT_NAMES.get(name) for name in released]
