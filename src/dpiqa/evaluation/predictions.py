"""Scores of photos by name, in CSV files that can be continued."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

_PHOTO_COLUMNS = ("path", "name", "image_name", "file_name")
_SCORE_COLUMNS = ("score", "prediction", "quality")


def read_predictions(path: str | Path) -> dict[str, float]:
    """Reads a CSV file with a column `path` (or `name`) and a column `score`, ours or another tool's.

    Returns:
        Scores by photo; NaN where the score is empty.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When a column is missing or a score is no number.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        photo = next((name for name in _PHOTO_COLUMNS if name in columns), None)
        score = next((name for name in _SCORE_COLUMNS if name in columns), None)
        if photo is None or score is None:
            raise ValueError(f"{path}: expected columns path and score, found {', '.join(columns)}.")
        try:
            return {row[photo]: float(row[score] or "nan") for row in reader}
        except ValueError as error:
            raise ValueError(f"{path}: {error}.") from None


def match_predictions(given: Mapping[str, float], wanted: Mapping[str, Path], source: object) -> dict[str, float]:
    """Another tool's scores under the names of a data set, found by name, by path, or by file name.

    Args:
        given: From [`read_predictions`].
        wanted: The data set's photos and their files.
        source: Where `given` comes from, for messages.

    Returns:
        Scores by name; empty when the predictions are of other photos altogether.

    Raises:
        ValueError: When only a part of the photos has a score.
    """
    by_file_name = {Path(name).name: value for name, value in given.items()}
    found = {name: given.get(name, given.get(str(file), by_file_name.get(file.name))) for name, file in wanted.items()}
    missing = [name for name, value in found.items() if value is None]
    if len(missing) == len(wanted):
        return {}
    if missing:
        raise ValueError(f"{source}: no score for {len(missing)} of {len(wanted)} photos, such as {missing[0]}.")
    return {name: value for name, value in found.items() if value is not None}


class PredictionLog:
    """A growing CSV file of scores: what was written before an interruption is there when it is opened again.

    Attributes:
        scores: All scores so far, by photo; NaN where a photo could not be scored.
    """

    def __init__(self, path: Path):
        if path.exists():
            complete = path.read_bytes().rpartition(b"\n")
            path.write_bytes(complete[0] + complete[1])  # a line cut short in the middle of a write
        if not path.exists() or not path.stat().st_size:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("path,score\n", encoding="utf-8")
        self.path = path
        self.scores = read_predictions(path)

    def add(self, scores: Mapping[str, float]) -> None:
        """Appends scores and leaves them on disk."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows((name, "" if math.isnan(score) else f"{score:.6f}") for name, score in scores.items())
        self.scores |= scores
