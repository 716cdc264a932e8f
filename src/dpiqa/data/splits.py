"""Splits that are the same on every machine.

A split is a pure function of names and seed: photos are put in the order of the SHA-256 of seed and name, and the
first fifth of them is the test split. No random number generator is involved, and adding a photo moves few others.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from .schema import SPLITS, Rating

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1  # of what is not in test


def assign_splits(
    ratings: Sequence[Rating],
    seed: int = 0,
    groups: Sequence[object] | None = None,
    *,
    keep_official: bool = False,
) -> list[str]:
    """Gives every photo a split.

    Photos with an official split keep it; a data set with official splits but no validation split gets one, cut from
    train. Without official splits a fifth is test and a tenth of the rest validation. Photos made from one reference,
    or of one group, are never on two sides.

    Args:
        ratings: The data set.
        seed: Another seed gives another split, where there is a choice.
        groups: What must stay together, one key per photo; replaces the official split when given. None keeps
            photos with the same reference together.
        keep_official: Whether an official split stays although there are groups, which then only cut validation.

    Returns:
        "train", "validation" or "test" for every photo.
    """
    keys = [str(key) for key in groups] if groups is not None else [r.reference or r.name for r in ratings]
    official = [rating.split if groups is None or keep_official else None for rating in ratings]
    if not any(official):
        test = _first_share(keys, TEST_SHARE, f"{seed}:test")
        official = ["test" if key in test else None for key in keys]
    elif "validation" in official:
        return [split or "train" for split in official]
    rest = [key for key, split in zip(keys, official, strict=True) if split != "test"]
    validation = _first_share(rest, VALIDATION_SHARE, f"{seed}:validation")
    return [
        "test" if split == "test" else "validation" if key in validation else "train"
        for key, split in zip(keys, official, strict=True)
    ]


def split_digest(ratings: Sequence[Rating], splits: Sequence[str]) -> str:
    """SHA-256 of which photo is in which split: equal digests mean equal splits."""
    lines = sorted(f"{split}\t{rating.name}\n" for rating, split in zip(ratings, splits, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def identical_across(paths: Sequence[Path], splits: Sequence[str]) -> list[int]:
    """Photos outside of test that are byte for byte a photo of a later split (train < validation < test).

    Only files of equal size are read.

    Args:
        paths: Existing files.
        splits: The split of each.

    Returns:
        Row numbers, ascending: the rows to leave out, so that no file is on two sides.
    """
    by_size = defaultdict(list)
    for row, path in enumerate(paths):
        by_size[path.stat().st_size].append(row)
    by_content = defaultdict(list)
    for rows in by_size.values():
        if len({splits[row] for row in rows}) > 1:
            for row in rows:
                by_content[hashlib.sha256(paths[row].read_bytes()).digest()].append(row)
    rank = SPLITS.index
    return sorted(
        row for rows in by_content.values() for row in rows if rank(splits[row]) < max(rank(splits[r]) for r in rows)
    )


def _first_share(keys: Sequence[str], share: float, salt: str) -> set[str]:
    """Keys in the order of their digests, until they hold this share of the rows."""
    count: dict[str, int] = defaultdict(int)
    for key in keys:
        count[key] += 1
    order = sorted(count, key=lambda key: hashlib.sha256(f"{salt}:{key}".encode()).digest())
    chosen: set[str] = set()
    rows = 0
    for key in order:
        if rows >= share * len(keys):
            break
        chosen.add(key)
        rows += count[key]
    return chosen
