"""Evaluates a student on the test split of BIQ2021: the figures of the model card.

    python examples/evaluate_biq2021.py --data BIQ2021 --output results/biq2021.json

Reports the official split, the same without test photos whose scene is also in the train split (about 7 %: there a
model can climb by remembering), each source, and how often the 90 % interval covers the MOS.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import pearsonr, spearmanr

from dpiqa import Scorer
from dpiqa.data.biq2021 import read_biq2021
from dpiqa.data.scenes import near_duplicates, scene_hashes


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--model", help="folder or Hub id of a student (default: the bundled one)")
    parser.add_argument("--output", type=Path, help="a .json file for the figures and the residuals")
    return parser


def main(arguments: argparse.Namespace) -> None:
    train, test = read_biq2021(arguments.data, "train"), read_biq2021(arguments.data, "test")
    results = list(Scorer.from_pretrained(arguments.model).stream([photo.path for photo in test]))
    scores, mos = np.array([result.score for result in results]), np.array([photo.mos for photo in test])
    subset = np.array([photo.subset for photo in test])
    twins, _ = near_duplicates(*(scene_hashes([photo.path for photo in split]) for split in (test, train)))

    parts = {
        "official test split": np.ones(len(test), bool),
        "without scenes of the train split": ~np.isin(np.arange(len(test)), twins),
        **{name: subset == name for name in np.unique(subset)},
    }
    figures = {
        name: {
            "photos": int(rows.sum()),
            "srcc": round(float(spearmanr(scores[rows], mos[rows]).statistic), 4),
            "plcc": round(float(pearsonr(scores[rows], mos[rows]).statistic), 4),
            "rmse": round(float(np.sqrt(np.mean((scores[rows] - mos[rows]) ** 2))), 4),
            "coverage": round(float(np.mean([r.interval[0] <= m <= r.interval[1] for r, m in covered])), 4)
            if (covered := [(results[i], mos[i]) for i in np.flatnonzero(rows) if results[i].interval is not None])
            else None,
        }
        for name, rows in parts.items()
    }
    table = Table("BIQ2021", "photos", "SRCC", "PLCC", "RMSE", "interval covers", box=None, header_style="bold")
    for name, row in figures.items():
        covers = "-" if row["coverage"] is None else f"{100 * row['coverage']:.1f} %"
        table.add_row(name, str(row["photos"]), *(f"{row[key]:.3f}" for key in ("srcc", "plcc", "rmse")), covers)
    Console().print(table)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        residuals = np.sort(scores - mos).round(4).tolist()
        arguments.output.write_text(json.dumps({"figures": figures, "residuals": residuals}) + "\n")


if __name__ == "__main__":
    main(make_parser().parse_args())
