"""Which photos to keep, by their scores."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..scoring.rows import FORMATS


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


def read_scores(file: Path) -> tuple[list[RatedPhoto], int]:
    """The photos of a file that `dpiqa score` wrote, each once, and how many more have no score.

    Args:
        file: A .csv, .jsonl or .parquet file.

    Raises:
        ValueError: When it is no such file, or lacks the columns `path` and `score`.
        OSError: When it cannot be read.
    """
    photos: dict[str, RatedPhoto] = {}
    failed = 0
    try:
        for row in FORMATS[file.suffix.lower()].read(file):
            path, score = row["path"], row["score"]
            score = math.nan if score in (None, "") else float(score)
            if math.isfinite(score):
                photos.setdefault(os.path.abspath(_checked(path)), RatedPhoto(path, score))
            else:
                failed += 1
    except KeyError as error:
        raise ValueError(f"{file} has no column {error}: expected a file that `dpiqa score` wrote") from None
    except (ValueError, TypeError, csv.Error) as error:  # Arrow's errors of damaged files are ValueErrors too
        raise ValueError(f"{file} is no file that `dpiqa score` wrote ({error})") from None
    return [*photos.values()], failed


def _checked(path: object) -> str:
    """A path that a file can have."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError(f"expected the path of a photo, found {path!r}")
    os.fsencode(path)  # halves of a pair of surrogates are no text
    return path


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


__all__ = ["RatedPhoto", "Share", "best_first", "read_scores", "select"]
