"""What a bare score means for photos like those that a checkpoint was trained and validated on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from .configuration_dpiqa import DPIQAConfig, DPIQAStudentConfig


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
