"""What a bare score means for photos like those that a checkpoint was trained and validated on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from .configuration_dpiqa import DPIQAConfig, DPIQAStudentConfig

_QUANTILES = 101


class Calibration(NamedTuple):
    """Percentile in [0, 100] and interval (low, high) in units of the score; None where there is no calibration."""

    percentile: float | None
    interval: tuple[float, float] | None


def calibrate(score: float, config: DPIQAConfig | DPIQAStudentConfig) -> Calibration:
    """Looks a score up in the calibration of its checkpoint.

    Args:
        score: In units of MOS normalised to [0, 1].
        config: The checkpoint's configuration.
    """
    quantiles, half_width = config.score_quantiles, config.interval_half_width
    return Calibration(
        None if quantiles is None else float(np.interp(score, quantiles, np.linspace(0, 100, len(quantiles)))),
        None if half_width is None else (score - half_width, score + half_width),
    )


def fit_calibration(
    config: DPIQAConfig | DPIQAStudentConfig,
    train_scores: ArrayLike,
    validation_scores: ArrayLike,
    validation_mos: ArrayLike,
) -> None:
    """Writes percentiles and the interval into a configuration.

    Args:
        config: The configuration of the checkpoint that gave the scores; it is changed in place.
        train_scores: (photos,) scores of training photos, for the percentiles.
        validation_scores: (photos,) scores of photos that were not trained on.
        validation_mos: Their MOS, normalised to [0, 1]. The interval is split-conformal: half its width is the
            ceil((n + 1) * coverage)-th smallest distance between the two. With too few photos for that (under 9 for
            90 %) there is no interval.
    """
    residuals = np.sort(np.abs(np.asarray(validation_scores, float) - np.asarray(validation_mos, float)))
    rank = math.ceil((len(residuals) + 1) * config.interval_coverage)
    config.score_quantiles = (
        np.quantile(np.asarray(train_scores, float), np.linspace(0, 1, _QUANTILES)).round(5).tolist()
    )
    config.interval_half_width = round(float(residuals[rank - 1]), 5) if rank <= len(residuals) else None
