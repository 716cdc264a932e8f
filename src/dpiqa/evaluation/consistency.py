"""Rank consistency: does a score fall when a photo is distorted more? A test that needs no opinion scores."""

from __future__ import annotations

import csv
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..counting import counted
from ..data.distortions import LABELS, LEVELS
from .report import markdown_table

PRISTINE = "pristine"
COLUMNS = ("distortion", "steps down", "photos in order", "drop to level 5")
"""The columns of the tables."""


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Distorted:
    """A row of a folder made by `dpiqa distort`.

    Attributes:
        name: File name in the folder.
        path: The file.
        reference: The pristine photo's name.
        distortion: Kind of distortion; "pristine" for the reference itself.
        level: 0 for the reference, then 1 (hardly visible) to 5 (severe).
    """

    name: str
    path: Path
    reference: str
    distortion: str
    level: int


@dataclass(frozen=True)
class Consistency:
    """How a model orders the levels of one kind of distortion.

    Attributes:
        distortion: The kind.
        steps: Share of steps from one level to the next, the reference included, at which the score falls.
        references: Share of photos whose scores fall at every step.
        drop: Mean score of the references less that of level 5.
    """

    distortion: str
    steps: float
    references: float
    drop: float


def is_distorted(folder: str | Path) -> bool:
    """Whether `dpiqa distort` made this folder."""
    return (Path(folder) / LABELS).exists()


def read_distorted(folder: str | Path) -> list[Distorted]:
    """Reads the labels of a folder made by `dpiqa distort`.

    Raises:
        FileNotFoundError: When there are no such labels.
        ValueError: When labels or files are missing, as after a run that was killed.
    """
    folder = Path(folder)
    rows: list[Distorted] = []
    with (folder / LABELS).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                name, reference, kind, level = (row[key] for key in ("file_name", "reference", "distortion", "level"))
                rows.append(Distorted(name, folder / name, reference, kind, int(level)))
            except (KeyError, TypeError, ValueError):
                raise _incomplete(folder, f"a line of {LABELS} is cut off") from None
    found = {(row.reference, row.distortion, row.level) for row in rows}
    references = {row.reference for row in rows}
    kinds = {(row.distortion, row.level) for row in rows}
    kinds |= {(kind, level) for kind, _ in kinds if kind != PRISTINE for level in range(1, LEVELS + 1)}
    missing = [(name, *kind) for name in sorted(references) for kind in sorted(kinds) if (name, *kind) not in found]
    if missing:
        name, kind, level = missing[0]
        raise _incomplete(
            folder, f"{LABELS} lacks {counted(len(missing), 'photo')}, such as {name}, {kind}, level {level}"
        )
    if not rows:
        raise _incomplete(folder, "dpiqa distort was cut off before its first photo")
    unlisted = {path.name for path in folder.glob("*.png")} - {row.name for row in rows}
    if unlisted:
        logger.warning(
            "%s looks cut off: %s in it cannot be found in %s. Only photos of which all versions are there are "
            "evaluated. Run dpiqa distort again with --overwrite for the others.",
            folder,
            counted(len(unlisted), "picture"),
            LABELS,
        )
    lost = [row.name for row in rows if not row.path.exists()]
    if lost:
        raise _incomplete(folder, f"it lacks {len(lost)} of {counted(len(rows), 'photo')}, such as {lost[0]}")
    return rows


def _incomplete(folder: Path, reason: str) -> ValueError:
    return ValueError(f"{folder} is incomplete: {reason}. Run dpiqa distort again with --overwrite.")


def rank_consistency(rows: Sequence[Distorted], scores: Mapping[str, float]) -> list[Consistency]:
    """Compares the scores of all levels of each distortion; photos that lack a score are left out.

    Returns:
        One entry per kind of distortion, then "all".
    """
    pristine = {row.reference: scores[row.name] for row in rows if row.level == 0}
    series: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row.level > 0:
            series[row.distortion][row.reference][row.level] = scores[row.name]
    table = []
    for distortion, by_reference in series.items():
        levels = np.array(
            [
                [pristine[name], *(by_level[level] for level in sorted(by_level))]
                for name, by_level in by_reference.items()
            ]
        )
        levels = levels[np.isfinite(levels).all(axis=1)]
        if not len(levels):
            continue
        falls = np.diff(levels, axis=1) < 0
        drop = float((levels[:, 0] - levels[:, -1]).mean())
        table.append(Consistency(distortion, float(falls.mean()), float(falls.all(axis=1).mean()), drop))
    if table:
        means = [float(np.mean([getattr(row, key) for row in table])) for key in ("steps", "references", "drop")]
        table.append(Consistency("all", *means))
    return table


def as_text(rows: Sequence[Consistency]) -> list[list[str]]:
    """The cells of a table with [`COLUMNS`]."""
    return [[row.distortion, f"{row.steps:.0%}", f"{row.references:.0%}", f"{row.drop:+.3f}"] for row in rows]


def to_markdown(tables: Mapping[str, Sequence[Consistency]]) -> str:
    """One table per title."""
    lines = []
    for title, rows in tables.items():
        lines += [f"## {title}", "", *markdown_table(COLUMNS, as_text(rows)), ""]
    return "\n".join(lines)


def write_consistency(tables: Mapping[str, Sequence[Consistency]], output: Path) -> None:
    """Writes `consistency.md`."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "consistency.md").write_text(to_markdown(tables), encoding="utf-8")
