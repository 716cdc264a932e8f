"""The lowest score to keep, where none is named."""

from __future__ import annotations

from ..scoring.scorer import Scorer


def worst_tenth(scorer: Scorer) -> float:
    """What a tenth of the checkpoint's training photos score less than.

    Raises:
        ValueError: When the checkpoint has no percentiles.
    """
    quantiles = scorer.config.score_quantiles
    if quantiles is None:
        raise ValueError(
            f"{scorer.backend.source} has no percentiles of its training photos (`score_quantiles`), whose tenth is "
            "the lowest score to keep: name a lowest score"
        )
    return float(quantiles[(len(quantiles) - 1) // 10])


__all__ = ["worst_tenth"]
