"""Rank consistency: does a score fall when a photo is distorted more? A test that needs no opinion scores."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.distortions import LABELS


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


def read_distorted(folder: str | Path) -> list[Distorted] | None:
    """Reads the labels of a folder made by `dpiqa distort`; None when it is another kind of data set.

    Raises:
        ValueError: When the folder has no photo.
    """
    labels = Path(folder) / LABELS
    if not labels.exists():
        return None
    with labels.open(newline="", encoding="utf-8") as file:
        rows = [
            Distorted(r["file_name"], Path(folder) / r["file_name"], r["reference"], r["distortion"], int(r["level"]))
            for r in csv.DictReader(file)
        ]
    if not rows:
        raise ValueError(f"{folder}: dpiqa distort was cut off before its first photo: run it again with --overwrite.")
    return rows


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


def write_consistency(
    data: Mapping[str, tuple[Sequence[Distorted], Mapping[str, Mapping[str, float]]]], output: Path
) -> None:
    """Writes `consistency.md`: one table per model and folder, when there is any."""
    lines = []
    for label, (rows, by_model) in data.items():
        for model, scores in by_model.items():
            lines += [f"## {model} on {label}", "", "| distortion | steps down | photos in order | drop to level 5 |"]
            lines += ["|---|---|---|---|"]
            for row in rank_consistency(rows, scores):
                lines.append(f"| {row.distortion} | {row.steps:.0%} | {row.references:.0%} | {row.drop:+.3f} |")
            lines.append("")
    if lines:
        output.mkdir(parents=True, exist_ok=True)
        (output / "consistency.md").write_text("\n".join(lines), encoding="utf-8")
