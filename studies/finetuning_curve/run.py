"""How much do your own labels bring? A student fine-tuned on 50 to 400 photos of a source that it has never seen.

    python studies/bundled_student/train.py --data BIQ2021 --leave-out ss01 --output runs/no-ss01
    python studies/finetuning_curve/run.py --data BIQ2021 --model runs/no-ss01/checkpoint --output runs/curve

The photos are those of one of BIQ2021's sources, train split only, on which the student was not trained. Scenes that
are to be scored are drawn first and stay the same; the labelled photos of every run come from the other scenes, a
fifth of them for validation. Every run is `dpiqa train student` on a table.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from dpiqa.data import load_iqa_splits
from dpiqa.data.scenes import scene_groups, scene_hashes
from dpiqa.training.script_parser import ScriptParser
from dpiqa.training.scripts import student

VALIDATION = 0.2


def make_parser() -> ScriptParser:
    parser = ScriptParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--subset", choices=["ss01", "ss02", "ss03"], default="ss01")
    parser.add_argument("--model", required=True, help="a student trained without this subset")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--labels", type=int, nargs="+", default=[50, 100, 200, 400])
    parser.add_argument("--rest", type=int, default=600, help="photos to score, about")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the labelled photos")
    parser.add_argument("--options", nargs="*", default=[], help="arguments of dpiqa train student, such as bf16=True")
    return parser


def draw_rest(photos: Any, size: int) -> np.ndarray:
    """Whether each photo is of a scene that is only scored."""
    scenes = scene_groups(scene_hashes([photo["image"] for photo in photos]))
    order = np.random.default_rng(0).permutation(scenes.max() + 1)
    sizes = np.bincount(scenes)[order]
    return np.isin(scenes, order[: np.searchsorted(np.cumsum(sizes), size) + 1])


def write_table(path: Path, labelled: Any, rest: Any) -> None:
    validation = round(VALIDATION * len(labelled))
    splits = ["validation"] * validation + ["train"] * (len(labelled) - validation) + ["test"] * len(rest)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "mos", "split"])
        for photo, split in zip([*labelled, *rest], splits, strict=True):
            writer.writerow([Path(photo["image"]["path"]).resolve(), photo["mos"], split])


def main(arguments: argparse.Namespace) -> None:
    whole = load_iqa_splits("biq2021", arguments.data).whole
    photos = [photo for photo in whole if photo["split"] == "train" and photo["group"] == arguments.subset]
    is_rest = draw_rest(photos, arguments.rest)
    pool = [photo for photo, scored in zip(photos, is_rest, strict=True) if not scored]
    rest = [photo for photo, scored in zip(photos, is_rest, strict=True) if scored]
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for labels in arguments.labels:
        for seed in range(arguments.seeds):
            folder = arguments.output / f"{labels}-labels-seed-{seed}"
            folder.mkdir(exist_ok=True)
            chosen = np.random.default_rng(seed).permutation(len(pool))[:labels]
            write_table(folder / "photos.csv", [pool[row] for row in chosen], rest)
            given = {"data": folder / "photos.csv", "model": arguments.model, "output": folder, "seed": seed}
            given |= {"overwrite": True} | dict(option.split("=", 1) for option in arguments.options)
            command = [f"--{name}={value}" for name, value in given.items()]
            before, after = student.main(*student.make_parser().parse_args_into_dataclasses(command))
            rows.append({"labels": labels, "seed": seed})
            for when, result in (("before", before), ("after", after)):
                rows[-1] |= {f"{name}_{when}": result.metrics[name]["value"] for name in ("srcc", "plcc", "rmse")}
            print(json.dumps(rows[-1]), flush=True)
            (arguments.output / "rows.json").write_text(json.dumps(rows, indent=1) + "\n")

    lines = [f"| labels | SRCC on the other {len(rest)} photos | PLCC | RMSE |", "|---|---|---|---|"]
    lines.append("| 0 | " + " | ".join(f"{rows[0][f'{name}_before']:.3f}" for name in ("srcc", "plcc", "rmse")) + " |")
    for labels in arguments.labels:
        cells = []
        for name in ("srcc", "plcc", "rmse"):
            values = [row[f"{name}_after"] for row in rows if row["labels"] == labels]
            spread = f" +- {np.std(values, ddof=1):.3f}" if len(values) > 1 else " (one draw)"
            cells.append(f"{np.mean(values):.3f}{spread}")
        lines.append(f"| {labels} | {' | '.join(cells)} |")
    print("\n".join(lines))
    (arguments.output / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(make_parser().parse_args())
