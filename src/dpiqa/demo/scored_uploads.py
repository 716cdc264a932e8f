"""What the app computes, without any user interface: uploads in, rows and pictures out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from PIL import Image

from ..models.images import OPENING_ERRORS, open_image, reason_of
from ..scoring.quality_maps import colour_range, overlay
from ..scoring.score_files import to_row
from ..scoring.scorer import Score, Scorer
from .degrade import Strengths, degrade
from .limits import FORMATS, MAX_PIXELS
from .uploads import Upload

_PREVIEW_SIDE = 1024
_CURVE = (0.0, 0.25, 0.5, 0.75, 1.0)


class Rated(NamedTuple):
    """An upload with its score; `preview` is at most 1024 pixels a side, None when it could not be opened."""

    name: str
    score: Score
    preview: Image.Image | None = None

    def row(self) -> dict[str, Any]:
        """As a row of the files that `dpiqa score` writes."""
        return to_row(self.name, self.score)


class Degraded(NamedTuple):
    """A spoiled photo, its score, and (share of the strengths in [0, 1], score) on the way there."""

    preview: Image.Image
    original: Score
    score: Score
    curve: list[tuple[float, float]]


def rate(scorer: Scorer, upload: Upload, *, return_map: bool = False) -> Rated:
    """Scores an upload; what is wrong with it becomes the score's error."""
    try:
        preview = open_preview(upload)
        return Rated(upload.name, scorer(upload.path, return_map=return_map), preview)
    except OPENING_ERRORS as error:
        return Rated(upload.name, Score(math.nan, error=reason_of(error, upload.path)))


def rank(scorer: Scorer, uploads: Iterable[Upload]) -> list[Rated]:
    """Scores uploads, the best first and those with errors last."""
    rated = [rate(scorer, upload) for upload in uploads]
    return sorted(rated, key=lambda item: (item.score.error is not None, -item.score.score))


def spoil(scorer: Scorer, photo: Image.Image, strengths: Strengths) -> Degraded:
    """Degrades a photo in five steps and scores each."""
    steps = [degrade(photo, strengths.scaled(share)) for share in _CURVE]
    scores = scorer(steps)
    curve = [(share, score.score) for share, score in zip(_CURVE, scores, strict=True)]
    return Degraded(steps[-1], scores[0], scores[-1], curve)


def open_preview(upload: Upload) -> Image.Image:
    """Opens an upload for the screen.

    Raises:
        ImageError: When it is damaged, too large, or of a format that is not taken.
    """
    cover = (_PREVIEW_SIDE, _PREVIEW_SIDE)
    preview = open_image(upload.path, max_pixels=MAX_PIXELS, cover=cover, formats=FORMATS)
    preview.thumbnail(cover)
    return preview


def map_overlay(scorer: Scorer, rated: Rated) -> tuple[Image.Image, Image.Image] | None:
    """The photo, and the same under its quality map; None when there is no map."""
    if rated.preview is None or rated.score.quality_map is None:
        return None
    limits = colour_range(scorer.model.config.score_quantiles)
    return rated.preview, overlay(rated.preview, rated.score.quality_map, limits)
