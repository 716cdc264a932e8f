"""Photos from label files: released data sets and tables."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..counting import counted
from ..models.images import ImageError, check_image
from .naming import first_few
from .schema import LabelledPhoto, Release, features
from .source import DataSource
from .table import read_table

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


def load_labelled(source: DataSource, allow_missing: bool) -> tuple[Dataset, tuple[float, float]]:
    """Reads labels and looks at the header of every photo.

    Args:
        source: A release or a table.
        allow_missing: Whether photos that are missing or unreadable are left out, in place of an error.

    Returns:
        The photos with the columns of [`dpiqa.data.schema.features`], `split` as released, and their rating scale.

    Raises:
        FileNotFoundError: When labels or photos are missing.
        ValueError: When labels are not as expected.
    """
    from datasets import Dataset

    release = source.release
    photos = read_table(source.name, source.root) if release is None else _read_release(source, release)
    low, high = mos_range = source.mos_range or ((0.0, 1.0) if release is None else release.mos_range)
    std_range = high - low if release is None or release.std_range is None else release.std_range
    check_scores([photo.mos for photo in photos], mos_range, source)
    photos = _present(_without_duplicates(photos, source), allow_missing)
    columns: dict[str, list[Any]] = {
        "image": [str(photo.path) for photo in photos],
        "name": [photo.name for photo in photos],
        "mos": [(photo.mos - low) / (high - low) for photo in photos],
        "mos_raw": [photo.mos for photo in photos],
        "mos_std": [None if photo.std is None else photo.std / std_range for photo in photos],
        "reference": [photo.reference for photo in photos],
        "group": [photo.group for photo in photos],
        "scene": [photo.reference or photo.name for photo in photos],
        "split": [photo.split for photo in photos],
    }
    return Dataset.from_dict(columns, features=features()), mos_range


def check_scores(scores: Sequence[float], mos_range: tuple[float, float], source: DataSource) -> None:
    """Refuses opinion scores that are not on the rating scale.

    Raises:
        ValueError: When there is none, or one is not finite or outside of the scale.
    """
    if not scores:
        raise ValueError(f"{source.name} has no photos.")
    for row, score in enumerate(scores):
        if not math.isfinite(score):
            raise ValueError(f"{source.name}, row {row + 1}: the opinion score is {score}, expected a finite number.")
    low, high = mos_range
    lowest, highest = min(scores), max(scores)
    if lowest < low or highest > high:
        found = (
            f"The MOS in {source.name} run from {lowest:g} to {highest:g}, outside of the rating scale {low:g} to "
            f"{high:g}"
        )
        if source.release is not None:
            raise ValueError(f"{found} of {source.release.title}: expected its labels as the authors released them.")
        first, last = math.floor(lowest), max(math.ceil(highest), math.floor(lowest) + 1)
        raise ValueError(
            f"{found}. Give the scale that people rated on, which is --mos-range {first} {last} or a wider one (in "
            f"Python mos_range=({first}, {last}))."
        )


def _read_release(source: DataSource, release: Release) -> list[LabelledPhoto]:
    if source.root is None:
        raise ValueError(
            f"{release.title} has to be downloaded first ({release.url}): give its folder, {source.name}=FOLDER."
        )
    return list(release.read(Path(source.root)))


def _without_duplicates(photos: Sequence[LabelledPhoto], source: DataSource) -> list[LabelledPhoto]:
    kept: dict[Path, LabelledPhoto] = {}
    for photo in photos:
        known = kept.setdefault(photo.path, photo)
        if known.mos != photo.mos:
            raise ValueError(
                f"{source.name}: {photo.name} has two opinion scores, {known.mos:g} and {photo.mos:g}. Keep one."
            )
    if len(kept) < len(photos):
        rows = counted(len(photos) - len(kept), "repeated row")
        logger.warning("%s: %s left out. Each photo is used once.", source.name, rows)
    return list(kept.values())


def _present(photos: Sequence[LabelledPhoto], allow_missing: bool) -> list[LabelledPhoto]:
    """The photos that are there and look like images, by their headers."""
    present, problems = [], []
    for photo in photos:
        try:
            check_image(photo.path)
            present.append(photo)
        except (ImageError, OSError) as error:
            reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
            problems.append(f"{photo.name} ({reason.removeprefix(f'{photo.path}: ')})")
    if problems:
        message = f"cannot find or read {len(problems)} of {counted(len(photos), 'photo')}: {first_few(problems)}"
        if not present:
            raise FileNotFoundError(f"{message}. Nothing is left: look at the folder that the paths start from.")
        if not allow_missing:
            raise FileNotFoundError(f"{message}. --allow-missing (in Python allow_missing=True) leaves them out.")
        logger.warning("%s. They are left out.", message)
    return present
