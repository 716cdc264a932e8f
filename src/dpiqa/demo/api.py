"""The app's named endpoints, for programs."""

# No postponed annotations here: gradio reads the types from the functions.
from typing import Any

import gradio as gr

from ..data.distortions import Strengths
from ..models.images import OPENING_ERRORS, reason_of
from ..scoring.scorer import Scorer
from .limits import Limits
from .scored_uploads import ScoredUpload, open_preview, rank_uploads, score_distorted, score_uploads
from .uploads import to_upload, to_uploads


def add_endpoints(scorer: Scorer, limits: Limits, **options: Any) -> None:
    """Adds /score, /rank and /distort to the Blocks that are being built.

    Args:
        scorer: What scores.
        limits: What they take.
        **options: Arguments of `gradio.api`, such as the concurrency.
    """

    def score(photo: gr.FileData) -> dict[str, Any]:
        """Score one uploaded photo.

        Returns name (the file's), score (higher is better, MOS normalised to [0, 1]), percentile, low and high
        (the interval of the checkpoint), width, height, and error (why there is no score, else null).
        """
        [scored] = score_uploads(scorer, [to_upload(photo)])
        return _answer(scored)

    def ranking(photos: list[gr.FileData]) -> list[dict[str, Any]]:
        """Score several uploaded photos: rows like those of /score, the best first, those with an error last."""
        return [_answer(scored) for scored in rank_uploads(scorer, to_uploads(photos, limits))]

    def distortion(
        photo: gr.FileData, jpeg: float = 0, blur: float = 0, noise: float = 0, shrink: float = 0
    ) -> dict[str, Any]:
        """Distort an uploaded photo, at most 1024 pixels a side, with strengths from 0 to 100.

        Returns original and score (before and after), and curve, a list of [share of the strengths, score].
        """
        upload = to_upload(photo)
        try:
            strengths = Strengths(float(jpeg), float(blur), float(noise), float(shrink))
            distorted = score_distorted(scorer, open_preview(scorer, upload), strengths)
        except OPENING_ERRORS as error:
            raise gr.Error(reason_of(error, upload.path), print_exception=False) from None
        return {"original": distorted.original.score, "score": distorted.score.score, "curve": distorted.curve}

    gr.api(score, api_name="score", **options)
    gr.api(ranking, api_name="rank", **options)
    gr.api(distortion, api_name="distort", **options)


def _answer(scored: ScoredUpload) -> dict[str, Any]:
    row = scored.row()
    # Clients take a value called "path" for a file to download.
    return {"name": row.pop("path"), **row}
