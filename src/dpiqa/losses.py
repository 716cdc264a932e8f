"""Training losses between scores and MOS."""

from __future__ import annotations

import torch


def plcc_loss(score: torch.Tensor, mos: torch.Tensor, groups: torch.Tensor | None = None) -> torch.Tensor:
    """1 - PLCC: zero for scores that are a rising linear function of the MOS, up to 2 for a falling one.

    With `groups` the correlation is taken inside each group and averaged by group size. A model then gains nothing
    from telling the groups apart, only from ranking the photos within each: the mean MOS of a source is not
    something that carries over to photos of another source.

    Args:
        score: (batch,) scores.
        mos: (batch,) MOS on any linear scale.
        groups: (batch,) integer group of each photo; groups of fewer than three photos are left out.

    Returns:
        A scalar in [0, 2]; 0 when no group is large enough.
    """
    if groups is None:
        return 1 - _plcc(score, mos)
    total, count = score.new_zeros(()), 0
    for group in groups.unique():
        members = groups == group
        size = int(members.sum())
        if size >= 3:
            total = total + size * (1 - _plcc(score[members], mos[members]))
            count += size
    return total / max(count, 1)


def _plcc(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    a, b = a - a.mean(), b - b.mean()
    # The constant keeps the gradient finite when all scores are equal.
    return (a * b).sum() / (a.norm() * b.norm() + 1e-6)


__all__ = ["plcc_loss"]
