"""Which photos to keep, by their scores."""

from __future__ import annotations

import math
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
    scores: dict[str, float] = {}
    try:
        for row in FORMATS[file.suffix.lower()].read(file):
            scores.setdefault(row["path"], float("nan" if row["score"] in (None, "") else row["score"]))
    except KeyError as error:
        raise ValueError(f"{file} has no column {error}: expected a file that `dpiqa score` wrote") from None
    except (ValueError, TypeError) as error:  # Arrow's errors of damaged files are ValueErrors too
        raise ValueError(f"{file} is no file that `dpiqa score` wrote ({error})") from None
    photos = [RatedPhoto(path, score) for path, score in scores.items() if not math.isnan(score)]
    return photos, len(scores) - len(photos)


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
