"""How a student does on faces, at night, on snow and on small things: photos that were held out of its training.

    python studies/bundled_student/subjects.py --data BIQ2021

`subjects.json` names the photos of each subject, picked by eye from thumbnails of the held-out photos, before any of
their scores was looked at. Prints a Markdown table: how many there are, SRCC, and score less MOS on average; then the
same for those of `ss03` alone, where the photos are not distorted on purpose.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from held_out import held_out_photos

from dpiqa import Scorer, bundled_checkpoint
from dpiqa.evaluation.metrics import srcc
from dpiqa.evaluation.report import markdown_table

SUBJECTS: dict[str, list[str]] = json.loads(Path(__file__).with_name("subjects.json").read_text(encoding="utf-8"))
COLUMNS = ("subject", "photos", "SRCC", "score - MOS", "photos of `ss03`", "SRCC", "score - MOS")


def figures(scores: np.ndarray, mos: np.ndarray) -> list[str]:
    """How many photos there are, SRCC, and by how much scores are too high on average, with a 95 % interval."""
    above = scores - mos
    margin = 1.96 * above.std() / len(above) ** 0.5
    return [str(len(scores)), f"{srcc(scores, mos):.2f}", f"{above.mean():+.3f} +- {margin:.3f}"]


def main(arguments: argparse.Namespace) -> None:
    photos = held_out_photos(arguments.data)
    scorer = Scorer.from_pretrained(arguments.model)
    scores = np.array([score.score for score in scorer.stream(photos["image"])])
    mos, names, source = (np.array(photos[column][:]) for column in ("mos", "name", "group"))
    subjects = {"all held-out photos": names.tolist()} | SUBJECTS
    rows = []
    for subject, members in subjects.items():
        inside = np.isin(names, members)
        parts = (inside, inside & (source == "ss03"))
        rows.append([subject, *(figure for part in parts for figure in figures(scores[part], mos[part]))])
    print("\n".join(markdown_table(COLUMNS, rows)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--model", default=bundled_checkpoint())
    main(parser.parse_args())
