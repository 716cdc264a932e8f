"""What the app computes, without any user interface: uploads in, rows and pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from PIL import Image

from ..data.distortions import Strengths, distort_mixed
from ..models.images import OPENING_ERRORS, open_image
from ..scoring.quality_maps import colour_range, overlay
from ..scoring.rows import to_row
from ..scoring.scorer import Score, Scorer
from .uploads import Upload

_PREVIEW_SIDE = 1024
_CURVE = (0.0, 0.25, 0.5, 0.75, 1.0)


class ScoredUpload(NamedTuple):
    """An upload with its score."""

    upload: Upload
    score: Score

    @property
    def name(self) -> str:
        """The name that its owner gave it."""
        return self.upload.name

    def row(self) -> dict[str, Any]:
        """As a row of the files that `dpiqa score` writes."""
        return to_row(self.name, self.score)

    def preview(self, scorer: Scorer) -> Image.Image | None:
        """Opens it as the scorer may, at most 1024 pixels a side; None when it has no score or is gone."""
        if self.score.error is not None:
            return None
        try:
            return open_preview(scorer, self.upload)
        except OPENING_ERRORS:
            return None


class DistortedPhoto(NamedTuple):
    """A distorted photo, its score, and (share of the strengths in [0, 1], score) on the way there."""

    preview: Image.Image
    original: Score
    score: Score
    curve: list[tuple[float, float]]


def score_uploads(scorer: Scorer, uploads: Sequence[Upload], *, return_map: bool = False) -> list[ScoredUpload]:
    """Scores uploads in their order; what is wrong with one becomes its score's error.

    Args:
        scorer: What scores, with the limits of the app (`max_pixels`, `formats`).
        uploads: Files in the temporary folder.
        return_map: Whether the scores have their `quality_map`.
    """
    scores = scorer.stream([upload.path for upload in uploads], return_map=return_map)
    return [ScoredUpload(upload, score) for upload, score in zip(uploads, scores, strict=True)]


def rank_uploads(scorer: Scorer, uploads: Sequence[Upload]) -> list[ScoredUpload]:
    """Scores uploads, the best first and those with errors last."""
    scored = score_uploads(scorer, uploads)
    return sorted(scored, key=lambda item: (item.score.error is not None, -item.score.score))


def score_distorted(scorer: Scorer, photo: Image.Image, strengths: Strengths) -> DistortedPhoto:
    """Distorts a photo in five steps and scores each."""
    steps = [distort_mixed(photo, strengths.scaled(share)) for share in _CURVE]
    scores = scorer(steps)
    curve = [(share, score.score) for share, score in zip(_CURVE, scores, strict=True)]
    return DistortedPhoto(steps[-1], scores[0], scores[-1], curve)


def open_preview(scorer: Scorer, upload: Upload) -> Image.Image:
    """Opens an upload for the screen, within the limits of the scorer.

    Raises:
        ImageError: When it is damaged, too large, or of a format that is not taken.
    """
    cover = (_PREVIEW_SIDE, _PREVIEW_SIDE)
    preview = open_image(upload.path, max_pixels=scorer.max_pixels, cover=cover, formats=scorer.formats)
    preview.thumbnail(cover)
    return preview


def map_overlay(scorer: Scorer, scored: ScoredUpload) -> tuple[Image.Image, Image.Image] | None:
    """The photo, and the same under its quality map; None when there is no map."""
    if scored.score.quality_map is None or (preview := scored.preview(scorer)) is None:
        return None
    limits = colour_range(scorer.config.score_quantiles)
    return preview, overlay(preview, scored.score.quality_map, limits)
