"""Scores on disk, by the content of the model and of the photo, so that no outdated score is used."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.progress import Progress

from ..data.images import content_digest
from ..scoring.scorer import Score, Scorer

_CHUNK = 256
_LINE = re.compile(r"(?P<entry>(?P<photo>[0-9a-f]{64}),(?P<score>[^,]+)),(?P<checksum>[0-9a-f]{8})\n")


class ScoreCache:
    """A growing file of the scores of one model; what was written before an interruption is there the next time.

    A checksum in every line tells when a disk has changed it.

    Args:
        folder: Where the file `<fingerprint>.csv` is. It is made when the first score is added.
        fingerprint: That of the model (see [`dpiqa.Scorer`]).

    Attributes:
        scores: All scores so far, by the SHA-256 of the photo's file.
    """

    def __init__(self, folder: Path, fingerprint: str):
        self._path = folder / f"{fingerprint}.csv"
        self.scores: dict[str, float] = {}
        if self._path.exists():
            lines = self._path.read_text(encoding="ascii", errors="replace").splitlines(keepends=True)
            # A line that was cut off says nothing, and the next one must not go on with it.
            if lines and not lines[-1].endswith("\n"):
                self._path.write_text("".join(lines[:-1]), encoding="ascii")
            matches = [match for line in lines if (match := _LINE.fullmatch(line))]
            sound = [match for match in matches if match["checksum"] == _checksum(match["entry"])]
            self.scores = {match["photo"]: float(match["score"]) for match in sound}

    def add(self, scores: Mapping[str, float]) -> None:
        """Appends scores and leaves them on disk."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="ascii", newline="") as file:
            entries = [f"{photo},{score!r}" for photo, score in scores.items()]
            file.writelines(f"{entry},{_checksum(entry)}\n" for entry in entries)
        self.scores |= scores


def score_photos(
    scorer: Scorer,
    images: Sequence[Mapping[str, Any]],
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
    description: str = "scoring",
) -> list[Score]:
    """Scores the photos that are not in the cache yet.

    Args:
        scorer: The model.
        images: Entries of a column `image`: dicts of `bytes` and `path`.
        cache: Folder of [`ScoreCache`] files; None keeps nothing. Photos that cannot be scored are never kept.
        progress: Where the progress is shown.
        description: Words beside the bar.

    Returns:
        One [`dpiqa.Score`] per photo: with `score` alone, or with `error`.
    """
    digests: list[str | None] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(images), _CHUNK):
            digests += pool.map(
                _digest_or_none, [images[row] for row in range(start, min(start + _CHUNK, len(images)))]
            )
    kept = None if cache is None else ScoreCache(cache, scorer.fingerprint)
    found = {} if kept is None else {photo: Score(score) for photo, score in kept.scores.items()}
    # Copies of one photo are scored once. A file that cannot be read is its own photo, for the scorer to say why.
    keys = [digest or f"row {row}" for row, digest in enumerate(digests)]
    rows = list({key: row for row, key in reversed(list(enumerate(keys))) if key not in found}.values())[::-1]
    scores = scorer.stream(images[row] for row in rows)
    tracked = (progress or Progress(disable=True)).track(scores, total=len(rows), description=description)
    for row, score in zip(rows, tracked, strict=True):
        found[keys[row]] = score
        if kept is not None and score.error is None:
            kept.add({keys[row]: score.score})
    return [found[key] for key in keys]


def _checksum(entry: str) -> str:
    return f"{zlib.crc32(entry.encode()):08x}"


def _digest_or_none(image: Mapping[str, Any]) -> str | None:
    try:
        return content_digest(image)
    except OSError:
        return None
