"""Scores of other tools, in CSV files, and which photo of a data set each of them belongs to."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..counting import counted

_PHOTO_COLUMNS = ("path", "name", "image_name", "file_name")
_SCORE_COLUMNS = ("score", "prediction", "quality")


def read_predictions(path: str | Path) -> dict[str, float]:
    """Reads a CSV file with a column `path` (or `name`) and a column `score`, ours or another tool's.

    Returns:
        Scores by photo; NaN where the score is empty.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When a column or a cell is missing, a score is no number, or a photo has two scores.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    scores: dict[str, float] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            photo, score = _columns(reader.fieldnames or [])
            for row in reader:
                name, value = row[photo], row[score]
                if not name or value is None:
                    raise ValueError(f"line {reader.line_num} lacks a photo or a score")
                number = float(value or "nan")
                if name in scores:
                    raise ValueError(f"{name} has two scores, {scores[name]} and {number}")
                scores[name] = number
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8: expected a CSV file.") from None
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}.") from None
    return scores


def match_predictions(given: Mapping[str, float], wanted: Mapping[str, str], source: object) -> dict[str, float]:
    """Another tool's scores under the names of a data set.

    A photo is found by its name in the data set or by its path. Its bare file name is enough where no other photo has
    the same.

    Args:
        given: From [`read_predictions`].
        wanted: The data set's photos by name, and the path of each.
        source: Where `given` comes from, for messages.

    Returns:
        Scores by name; empty when the predictions are of other photos altogether.

    Raises:
        ValueError: When a part of the photos has no score, or a file name is that of several photos.
    """
    by_bare_name: dict[str, list[float]] = defaultdict(list)
    exact = {*wanted, *wanted.values()}
    for key in given.keys() - exact:
        by_bare_name[_bare_name(key)].append(given[key])
    uses = Counter(_bare_name(path) for path in wanted.values())
    found: dict[str, float] = {}
    ambiguous: list[str] = []
    for name, path in wanted.items():
        bare = _bare_name(path)
        if name in given or path in given:
            found[name] = given[name if name in given else path]
        elif len(by_bare_name[bare]) == 1 and uses[bare] == 1:
            found[name] = by_bare_name[bare][0]
        elif by_bare_name[bare]:
            ambiguous.append(name)
    if ambiguous:
        raise ValueError(
            f"{source}: the file name does not tell {len(ambiguous)} of {counted(len(wanted), 'photo')} from others, "
            f"such as {ambiguous[0]}: give their names as the data set has them, or their whole paths."
        )
    missing = [name for name in wanted if name not in found]
    if found and missing:
        raise ValueError(
            f"{source}: no score for {len(missing)} of {counted(len(wanted), 'photo')}, such as {missing[0]}."
        )
    return found


def _columns(names: Sequence[str]) -> tuple[str, str]:
    photo = next((name for name in _PHOTO_COLUMNS if name in names), None)
    score = next((name for name in _SCORE_COLUMNS if name in names), None)
    if photo is None or score is None:
        raise ValueError(f"expected columns path and score, found {', '.join(names) or 'none'}")
    return photo, score


def _bare_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]
