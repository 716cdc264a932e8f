"""What is known of a photo once it is scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Score:
    """The quality of one photo.

    Attributes:
        score: Quality in units of MOS normalised to [0, 1], higher is better; NaN when there is an error.
        percentile: Share in percent of the checkpoint's training photos with a lower score, or None when the
            checkpoint is not calibrated.
        interval: (low, high) that covers the MOS of most photos like the checkpoint's validation photos, 90 % of them
            where its configuration has no other `interval_coverage`; None when there is no interval.
        quality_map: (height / 32, width / 32) float32 local qualities of the model's input, in units of the score,
            when asked for and the model has one.
        error: Why the photo has no score.
        width: Width of the original in pixels, upright; None when it could not be opened.
        height: Height likewise.
        path: Where the photo was read from; None when it was given in memory.
    """

    score: float
    percentile: float | None = None
    interval: tuple[float, float] | None = None
    quality_map: np.ndarray | None = None
    error: str | None = None
    width: int | None = None
    height: int | None = None
    path: str | None = None


__all__ = ["Score"]
