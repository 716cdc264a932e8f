"""Which photos show the same scene."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..models.images import ImageSource, open_image

HASH_SIDE = 16
MAX_DISTANCE = 20


def scene_hashes(photos: Sequence[ImageSource]) -> np.ndarray:
    """Difference hashes of photos (needs the `imagehash` package).

    Returns:
        (photos, 256) booleans: whether each of 16x16 cells is brighter than its left neighbour.
    """
    import imagehash

    def difference_hash(photo: ImageSource) -> np.ndarray:
        return imagehash.dhash(open_image(photo, cover=(256, 256)), hash_size=HASH_SIDE).hash.ravel()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.stack(list(pool.map(difference_hash, photos)))


def near_duplicates(a: np.ndarray, b: np.ndarray, max_distance: int = MAX_DISTANCE) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of hashes that differ in at most `max_distance` bits.

    Args:
        a: (n, bits) booleans.
        b: (m, bits) booleans.
        max_distance: Bits, of 256.

    Returns:
        Row numbers in `a` and, for each, in `b`.
    """
    signs_a, signs_b = (np.where(bits, np.float32(1), np.float32(-1)) for bits in (a, b))
    rows, columns = [], []
    for start in range(0, len(a), 1000):
        distance = (a.shape[1] - signs_a[start : start + 1000] @ signs_b.T) / 2
        row, column = np.nonzero(distance <= max_distance)
        rows.append(row + start)
        columns.append(column)
    return np.concatenate(rows), np.concatenate(columns)


def scene_groups(hashes: np.ndarray, max_distance: int = MAX_DISTANCE) -> np.ndarray:
    """Groups photos whose hashes are linked by near-duplicate pairs.

    Args:
        hashes: (photos, bits) booleans from [`scene_hashes`].
        max_distance: Bits in which the hashes of a pair may differ.

    Returns:
        (photos,) integer group of each photo.
    """
    rows, columns = near_duplicates(hashes, hashes, max_distance)
    links = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(hashes), len(hashes)))
    return connected_components(links, directed=False)[1]
