"""Which photos to keep, by their scores."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..scoring.rows import FORMATS, Row, as_path


@dataclass(frozen=True)
class RatedPhoto:
    """A photo with its score.

    Attributes:
        path: Where it is.
        score: Higher is better.
    """

    path: str
    score: float


@dataclass(frozen=True)
class Share:
    """A part of the photos, from 0 to 1."""

    value: float


def has_scores(place: str) -> bool:
    """Whether a path is that of scores, by its suffix, or of a folder that `dpiqa score --engine ray` wrote."""
    if not os.path.isdir(place):
        return Path(place).suffix.lower() in FORMATS
    from ..scoring.engines.score_folder import is_score_folder

    return is_score_folder(place)


def read_scores(place: Path) -> tuple[list[RatedPhoto], int]:
    """The photos of a file that `dpiqa score` wrote, each once, and how many more have no score.

    Args:
        place: A .csv, .jsonl or .parquet file, or the folder of Parquet files that `--engine ray` writes.

    Raises:
        ValueError: When it is no such file, or lacks the columns `path` and `score`.
        OSError: When it is not there or cannot be read.
    """
    photos: dict[str, RatedPhoto] = {}
    failed = 0
    try:
        for row in _rows(place):
            path, score = row["path"], row["score"]
            score = math.nan if score in (None, "") else float(score)
            if math.isfinite(score):
                path = _checked(path)
                photos.setdefault(os.path.abspath(path), RatedPhoto(path, score))
            else:
                failed += 1
    except KeyError as error:
        raise ValueError(f"{place} has no column {error}: expected a file that `dpiqa score` wrote") from None
    except (ValueError, TypeError, csv.Error) as error:  # Arrow's errors of damaged files are ValueErrors too
        raise ValueError(f"{place} is no file that `dpiqa score` wrote ({error})") from None
    return [*photos.values()], failed


def _rows(place: Path) -> Iterator[Row]:
    if place.is_dir():
        from ..scoring.engines.score_folder import ScoreFolder

        return ScoreFolder(str(place)).read(["path", "score"])
    if not place.exists():
        raise FileNotFoundError(f"there is no file {place}: expected one that `dpiqa score` wrote")
    return FORMATS[place.suffix.lower()].read(place)


def _checked(path: object) -> str:
    """A path that a file can have."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError(f"expected the path of a photo, found {path!r}")
    return as_path(path)  # an error where it holds halves of a pair of surrogates, which are no text


def best_first(photos: Iterable[RatedPhoto]) -> list[RatedPhoto]:
    """Sorts by score; of equal scores the first in the alphabet."""
    return sorted(photos, key=lambda photo: (-photo.score, photo.path))


def select(
    photos: Iterable[RatedPhoto], *, top: int | Share | None = None, min_score: float | None = None
) -> list[RatedPhoto]:
    """The best photos, best first.

    Args:
        photos: All that there are to choose from.
        top: How many of them, or which share of them: rounded, and one at least.
        min_score: What a photo must reach beside.
    """
    chosen = best_first(photos)
    if isinstance(top, Share):
        top = max(1, round(top.value * len(chosen)))
    chosen = chosen[:top]
    return [photo for photo in chosen if min_score is None or photo.score >= min_score]


__all__ = ["RatedPhoto", "Share", "best_first", "has_scores", "read_scores", "select"]
