"""Hashes of photos that every later run reads, by the photos' contents."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)


def read_hashes(file: Path, digests: Sequence[str]) -> dict[str, bytes]:
    """What is known of these photos.

    Args:
        file: As `keep_hashes` wrote it. It may be missing.
        digests: SHA-256 of the photos' files, at most 999.

    Returns:
        The hashes by digest.
    """
    if not file.exists():
        return {}
    marks = ", ".join("?" * len(digests))
    try:
        with contextlib.closing(sqlite3.connect(file)) as database:
            return dict(database.execute(f"SELECT digest, hash FROM hashes WHERE digest IN ({marks})", digests))
    except sqlite3.Error as error:
        logger.warning("%s cannot be read (%s): the photos are hashed again.", file, error)
        return {}


def keep_hashes(file: Path, hashes: Mapping[str, bytes]) -> None:
    """Adds hashes to the file. What cannot be written is computed again next time, with a warning."""
    try:
        with contextlib.closing(sqlite3.connect(file)) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS hashes (digest TEXT PRIMARY KEY, hash BLOB NOT NULL)")
            database.executemany("INSERT OR IGNORE INTO hashes VALUES (?, ?)", hashes.items())
    except sqlite3.Error as error:
        logger.warning("%s cannot be written (%s): the photos are hashed again next time.", file, error)
