"""What pictures without opinion scores teach: the order of distorted versions, where damage is, what is no photo."""

from __future__ import annotations

import torch
from torch.nn import functional as F

# The damaged region has to fall by this many times what the whole photo has to.
_LOCAL = 2.0
_WORST = 0.1


def version_ranking_loss(
    photo: torch.Tensor, weak: torch.Tensor, strong: torch.Tensor, levels: torch.Tensor, slope: float
) -> torch.Tensor:
    """Mean of max(0, slope * d - (better - worse)) over the pairs (photo, weak) and (weak, strong), d levels apart.

    Args:
        photo: (twins,) scores of the photos.
        weak: (twins,) of the versions with the weaker distortion.
        strong: (twins,) of those with the stronger.
        levels: (twins, 2) levels of the two; the weaker may be 0, which is the photo itself and has no order.
        slope: Least fall of the score from one level to the next, in units of the score.
    """
    weak_level, strong_level = levels.unbind(1)
    first = F.relu(slope * weak_level - (photo - weak)) * (weak_level > 0)
    second = F.relu(slope * (strong_level - weak_level) - (weak - strong))
    return (first + second).mean()


def damage_map_loss(
    quality_map: torch.Tensor, damaged_map: torch.Tensor, region: torch.Tensor, level: torch.Tensor, slope: float
) -> torch.Tensor:
    """How far local qualities are from falling where a photo was damaged, and only there.

    With the fall f = quality_map - damaged_map, and its means over the region and over the rest:
    max(0, 2 slope level - (f_region - f_rest)) + |f_rest| / 2, averaged over photos.

    Args:
        quality_map: (twins, height, width) local qualities of the photos.
        damaged_map: The same for the photos with a damaged region.
        region: (twins, photo height, photo width) booleans, true where the damage is.
        level: (twins,) its level, 1 to 5.
        slope: As in [`version_ranking_loss`].
    """
    inside = F.adaptive_avg_pool2d(region[:, None].to(quality_map.dtype), quality_map.shape[-2:]).squeeze(1)
    fall = quality_map - damaged_map
    in_region, in_rest = (
        (fall * share).sum((1, 2)) / share.sum((1, 2)).clamp(min=1e-3) for share in (inside, 1 - inside)
    )
    return (F.relu(_LOCAL * slope * level - (in_region - in_rest)) + in_rest.abs() / 2).mean()


def non_photo_loss(score: torch.Tensor, mos: torch.Tensor) -> torch.Tensor:
    """Mean of max(0, score - worst), by how much pictures that are no photos score above the worst tenth of photos.

    Args:
        score: (non photos,) their scores.
        mos: (photos,) MOS of the photos in the batch.
    """
    return F.relu(score - mos.quantile(_WORST)).mean()


__all__ = ["damage_map_loss", "non_photo_loss", "version_ranking_loss"]
