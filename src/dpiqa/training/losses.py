"""Training losses, each by name, and their weighted sum."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional as F

# Margin of the ranking loss in standard deviations of the batch's MOS (DP-IQA, section 3.5).
_MARGIN = 0.25
LOSSES = ("mse", "ranking", "plcc", "group_plcc", "feature_map")


def training_losses(
    score: torch.Tensor,
    mos: torch.Tensor,
    weights: Mapping[str, float],
    *,
    groups: torch.Tensor | None = None,
    feature_map: torch.Tensor | None = None,
    teacher_feature_map: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """The losses that have a weight, by name, and `loss`, their weighted sum.

    Args:
        score: (batch,) scores.
        mos: (batch,) MOS normalised to [0, 1].
        weights: Weight of "mse", "ranking", "plcc", "group_plcc" and "feature_map"; what is missing or 0 is not
            computed.
        groups: (batch,) integer group of each photo, for "group_plcc".
        feature_map: (batch, channels, size, size) of the student, for "feature_map".
        teacher_feature_map: The teacher's feature map, in the same shape.

    Returns:
        Unweighted losses as scalars, and `loss`.

    Raises:
        ValueError: When a weight has another name, all are 0, "group_plcc" has a weight and there are no groups, or
            "feature_map" has a weight and a map is missing.
    """
    unknown = weights.keys() - set(LOSSES)
    if unknown or not any(weights.values()):
        raise ValueError(f"Expected a weight for one of {', '.join(LOSSES)}, got {dict(weights)}.")
    score, mos = score.float(), mos.float()
    losses = {}
    if weights.get("mse"):
        losses["mse"] = F.mse_loss(score, mos)
    if weights.get("ranking"):
        losses["ranking"] = margin_ranking_loss(score, mos)
    if weights.get("plcc"):
        losses["plcc"] = plcc_loss(score, mos)
    if weights.get("group_plcc"):
        if groups is None:
            raise ValueError("The PLCC loss inside groups needs the group of every photo: a column `group`.")
        losses["group_plcc"] = plcc_loss(score, mos, groups)
    if weights.get("feature_map"):
        if feature_map is None or teacher_feature_map is None:
            raise ValueError("The feature map loss needs the student's and the teacher's feature maps.")
        losses["feature_map"] = feature_map_loss(feature_map, teacher_feature_map)
    total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
    return losses | {"loss": total}


def margin_ranking_loss(score: torch.Tensor, mos: torch.Tensor) -> torch.Tensor:
    """Mean over all pairs of max(0, m - sign(y_i - y_j) (p_i - p_j)), m a quarter of the MOS' standard deviation.

    DP-IQA, section 3.5. Pairs with equal MOS have no order to learn: they are left out, where the formula taken
    literally would add the constant m for each.

    Args:
        score: (batch,) scores p.
        mos: (batch,) MOS y.

    Returns:
        A scalar; 0 when no pair differs in MOS.
    """
    first, second = torch.triu_indices(len(mos), len(mos), offset=1, device=mos.device)
    order = torch.sign(mos[first] - mos[second])
    differs = order != 0
    if not differs.any():
        return score.sum() * 0
    hinge = F.relu(_MARGIN * mos.std() - order * (score[first] - score[second]))
    return hinge[differs].mean()


def feature_map_loss(feature_map: torch.Tensor, teacher_feature_map: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of the feature maps (DP-IQA, section 3.4).

    Args:
        feature_map: The student's feature map, (batch, channels, size, size).
        teacher_feature_map: The teacher's feature map, in the same shape.

    Raises:
        ValueError: When the shapes differ.
    """
    if feature_map.shape != teacher_feature_map.shape:
        raise ValueError(
            f"Feature maps of student {tuple(feature_map.shape)} and teacher {tuple(teacher_feature_map.shape)} "
            "differ: give the student's configuration the teacher's feature_channels and feature_size."
        )
    return F.mse_loss(feature_map.float(), teacher_feature_map.float())


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


__all__ = ["feature_map_loss", "margin_ranking_loss", "plcc_loss", "training_losses"]
