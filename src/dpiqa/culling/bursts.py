"""Photos that look nearly the same, as those of a burst do."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from ..data.scenes import scene_groups, scene_hashes


def burst_groups(paths: Sequence[str]) -> list[int]:
    """The group of each photo: those with the same number look nearly the same (needs `imagehash`).

    Args:
        paths: Paths of photos.

    Returns:
        One number for each photo; see [`dpiqa.data.scenes.scene_groups`].
    """
    images = [{"path": os.fspath(path), "bytes": None} for path in paths]
    return scene_groups(scene_hashes(images)).tolist()


def best_of_groups(groups: Sequence[int], scores: Sequence[float]) -> list[bool]:
    """Whether each photo is the best of its group; of equal scores the first is."""
    order = np.lexsort((np.arange(len(scores)), -np.asarray(scores, float)))
    _, first = np.unique(np.asarray(groups)[order], return_index=True)
    best = np.zeros(len(groups), bool)
    best[order[first]] = True
    return best.tolist()


__all__ = ["best_of_groups", "burst_groups"]
