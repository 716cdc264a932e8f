"""Bursts and near-duplicates among photos, and the best photo of each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..data.scenes import MAX_DISTANCE, scene_groups, scene_hashes


def burst_groups(paths: Sequence[str]) -> list[int]:
    """Groups photos that show nearly the same picture (needs the `imagehash` package).

    Photos are in one group when a chain of near-duplicates leads from one to the other. A photo that shows next to
    nothing, such as a bird in the sky, has a group of its own: its hash is near to those of all such photos.

    Hashes are kept, so that a second call does not open the photos again (see [`dpiqa.data.scenes.scene_hashes`]).

    Args:
        paths: (photos,) files. One that cannot be opened is in a group with its copies.

    Returns:
        (photos,) the group of each photo: 0, 1, 2, ... in the order in which they first come.

    Raises:
        ModuleNotFoundError: When `imagehash` is not installed.
    """
    import imagehash  # noqa: F401  # here, even where all hashes are kept already

    if not paths:
        return []
    hashes = scene_hashes([{"bytes": None, "path": path} for path in paths])
    bits = hashes.sum(axis=1)
    is_empty = np.minimum(bits, hashes.shape[1] - bits) <= MAX_DISTANCE
    groups = scene_groups(hashes)
    groups[is_empty] = len(paths) + np.flatnonzero(is_empty)
    number: dict[int, int] = {}
    return [number.setdefault(group, len(number)) for group in groups.tolist()]


def best_of_groups(groups: Sequence[int], scores: Sequence[float | None]) -> list[bool]:
    """Whether each photo is the best one of its group; among equal scores the first is.

    Args:
        groups: (photos,) the group of each photo.
        scores: (photos,) higher is better. A photo whose score is None or NaN is never the best one.

    Returns:
        (photos,) with one True for each group that has a score, groups of one photo included.

    Raises:
        ValueError: When there are not as many scores as groups.
    """
    if len(groups) != len(scores):
        raise ValueError(f"Expected a score for each of {len(groups)} photos, got {len(scores)}.")
    best: dict[int, tuple[float, int]] = {}
    for row, (group, score) in enumerate(zip(groups, scores, strict=True)):
        if score is None or math.isnan(score):
            continue
        if group not in best or score > best[group][0]:
            best[group] = (score, row)
    winners = {row for _, row in best.values()}
    return [row in winners for row in range(len(groups))]
