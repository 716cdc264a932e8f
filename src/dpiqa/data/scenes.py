"""Which photos show the same scene."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from huggingface_hub import cached_assets_path
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..models.images import OPENING_ERRORS, PIXELS_VERSION, open_image
from .images import content_digest
from .kept_hashes import keep_hashes, read_hashes

HASH_SIDE = 16
MAX_DISTANCE = 20
_CHUNK = 256


def scene_hashes(images: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Difference hashes of photos (needs the `imagehash` package).

    A photo is hashed once: the hashes are kept below `huggingface_hub.cached_assets_path("dpiqa", "scenes")`, by the
    contents of the photos and the version of the code that opens them.

    Args:
        images: (photos,) entries of a column `image`, dicts of `bytes` and `path`: `photos["image"]`.

    Returns:
        (photos, 256) booleans: whether each of 16x16 cells is brighter than its left neighbour. A photo that cannot
        be opened has the SHA-256 of its file in place of a hash, so that only its copies are near to it.
    """
    file = cached_assets_path("dpiqa", "scenes") / f"dhash{HASH_SIDE}-pixels{PIXELS_VERSION}.sqlite"
    hashes = np.zeros((len(images), HASH_SIDE**2), bool)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(images), _CHUNK):
            chunk = images[start : start + _CHUNK]
            digests = list(pool.map(_digest, chunk))
            known = read_hashes(file, digests)
            new = {digest: image for digest, image in zip(digests, chunk, strict=True) if digest not in known}
            if new:
                computed = dict(zip(new, pool.map(_packed_hash, new.values(), new), strict=True))
                keep_hashes(file, computed)
                known |= computed
            packed = np.array([np.frombuffer(known[digest], np.uint8) for digest in digests])
            hashes[start : start + len(chunk)] = np.unpackbits(packed, axis=1)
    return hashes


def _digest(image: Mapping[str, Any]) -> str:
    try:
        return content_digest(image)
    except OSError:
        return hashlib.sha256(os.fsencode(image["path"])).hexdigest()


def _packed_hash(image: Mapping[str, Any], digest: str) -> bytes:
    import imagehash

    try:
        photo = open_image(image, cover=(256, 256))
    except OPENING_ERRORS:
        return bytes.fromhex(digest)
    return np.packbits(imagehash.dhash(photo, hash_size=HASH_SIDE).hash).tobytes()


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
    rows: list[np.ndarray] = []
    columns: list[np.ndarray] = []
    for start in range(0, len(a), 1000):
        distance = (a.shape[1] - signs_a[start : start + 1000] @ signs_b.T) / 2
        row, column = np.nonzero(distance <= max_distance)
        rows.append(row + start)
        columns.append(column)
    return np.concatenate([*rows, np.empty(0, int)]), np.concatenate([*columns, np.empty(0, int)])


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


def scene_names(names: Sequence[str], hashes: np.ndarray) -> list[str]:
    """Names the scene of each photo after its first photo in the alphabet, in whatever order the photos come.

    Args:
        names: (photos,) names of the photos.
        hashes: (photos, bits) booleans from [`scene_hashes`].

    Returns:
        (photos,) one name per scene (see [`scene_groups`]).
    """
    groups = scene_groups(hashes).tolist()
    first: dict[int, str] = {}
    for group, name in zip(groups, names, strict=True):
        first[group] = min(name, first.get(group, name))
    return [first[group] for group in groups]
