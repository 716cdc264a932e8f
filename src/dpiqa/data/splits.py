"""Splits that are the same on every machine.

A split is a pure function of names and seed: photos are put in the order of the SHA-256 of seed and name, and the
first fifth of them is the test split. No random number generator is involved, and adding a photo moves few others.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from .schema import SPLITS

TEST_SHARE = 0.2
# Of what is not in test: a tenth, and more of it where a tenth would be under 40 photos.
VALIDATION_SHARE, LARGEST_VALIDATION_SHARE, ENOUGH_FOR_VALIDATION = 0.1, 0.25, 40


def assign_splits(scenes: Sequence[str], released: Sequence[str | None], seed: int = 0) -> list[str]:
    """Gives every photo a split.

    Photos with a released split keep it; where there is a test split but no validation split, one is cut from train.
    Without released splits a fifth is test. Validation is a tenth of the rest, and up to a quarter of it in small data
    sets. Photos of one scene are never cut apart.

    Args:
        scenes: (photos,) key of what must stay together.
        released: (photos,) "train", "validation", "test" or None.
        seed: Another seed gives another split, where there is a choice.

    Returns:
        "train", "validation" or "test" for every photo.
    """
    if not any(released):
        test = first_share(scenes, TEST_SHARE, f"{seed}:test")
        released = ["test" if scene in test else None for scene in scenes]
    elif "validation" in released:
        return [split or "train" for split in released]
    rest = [scene for scene, split in zip(scenes, released, strict=True) if split != "test"]
    share = max(VALIDATION_SHARE, min(LARGEST_VALIDATION_SHARE, ENOUGH_FOR_VALIDATION / max(len(rest), 1)))
    validation = first_share(rest, share, f"{seed}:validation")
    return [
        "test" if split == "test" else "validation" if scene in validation else "train"
        for scene, split in zip(scenes, released, strict=True)
    ]


def split_digest(names: Sequence[str], splits: Sequence[str]) -> str:
    """SHA-256 of which photo is in which split: equal digests mean equal splits."""
    lines = sorted(f"{split}\t{name}\n" for name, split in zip(names, splits, strict=True))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def left_out(identical: Sequence[Sequence[int]], splits: Sequence[str]) -> list[int]:
    """Photos outside of test that are byte for byte a photo of a later split (train < validation < test).

    Args:
        identical: Row numbers of identical photos, in groups.
        splits: The split of every photo.

    Returns:
        Row numbers, ascending: the rows to leave out, so that no photo is on two sides.
    """
    rank = SPLITS.index
    return sorted(row for rows in identical for row in rows if rank(splits[row]) < max(rank(splits[r]) for r in rows))


def first_share(keys: Sequence[str], share: float, salt: str) -> set[str]:
    """Keys in the order of their digests, until they hold this share of the rows."""
    count: dict[str, int] = defaultdict(int)
    for key in keys:
        count[key] += 1
    order = sorted(count, key=lambda key: hashlib.sha256(f"{salt}:{key}".encode("utf-8", "surrogateescape")).digest())
    chosen: set[str] = set()
    rows = 0
    for key in order:
        if rows >= share * len(keys):
            break
        chosen.add(key)
        rows += count[key]
    return chosen
