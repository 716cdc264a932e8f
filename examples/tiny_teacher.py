"""From nothing to a teacher, a student distilled from it, and their scores, in some minutes on two cores.

    python examples/tiny_teacher.py --output tiny

Everything is tiny, and starts from random weights: it shows the way, and its scores are worth little. The photos are
cut from photographs that scikit-learn and scikit-image carry, and most of them are distorted. The student inside the
package says how good they look. With `--data` your own photos and ratings take their place. The commands that it runs
are printed; they work the same with real data and a real Stable Diffusion.
"""

from __future__ import annotations

import argparse
import csv
import shlex
from pathlib import Path

import numpy as np
import skimage.data
import sklearn.datasets
from PIL import Image

from dpiqa import DPIQAConfig, DPIQAImageProcessor, DPIQAModel, Scorer
from dpiqa.cli import app
from dpiqa.data.distortions import LEVELS, distort_to_level

SIDE = 192  # of a photo, in pixels
SIZE = 128  # of the models' inputs
KINDS = ("gaussian blur", "jpeg", "white noise", "darken")


def sample_photos() -> list[Image.Image]:
    """Squares from photographs of two PyPI packages."""
    arrays = [*sklearn.datasets.load_sample_images().images]
    arrays += [getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")]
    return [
        Image.fromarray(array[top : top + SIDE, left : left + SIDE])
        for array in arrays
        for top in range(0, array.shape[0] - SIDE + 1, SIDE // 2)
        for left in range(0, array.shape[1] - SIDE + 1, SIDE // 2)
    ]


def make_rated_photos(folder: Path, count: int) -> Path:
    """Writes photos, most of them distorted, and a table of them and the scores of the student inside the package."""
    folder.mkdir(parents=True, exist_ok=True)
    photos, generator = sample_photos(), np.random.default_rng(0)
    paths = []
    for number in range(count):
        photo = photos[generator.integers(len(photos))]
        if generator.random() < 0.8:
            kind = str(generator.choice(KINDS))
            photo = distort_to_level(photo, kind, generator.uniform(2, LEVELS), seed=number)
        paths.append(folder / f"{number:04}.png")
        photo.save(paths[-1])
    table = folder / "photos.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "mos"])
        writer.writerows(
            (path.name, score.score) for path, score in zip(paths, Scorer.from_pretrained()(paths), strict=True)
        )
    return table


def dpiqa(*command: str | Path) -> None:
    """Prints a command and runs it."""
    words = [str(word) for word in command]
    print(f"\n$ dpiqa {shlex.join(words)}", flush=True)
    if status := app(words, standalone_mode=False):
        raise SystemExit(status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("tiny"), help="folder to write to")
    parser.add_argument("--data", help="your photos and ratings, as `dpiqa train --data` takes them")
    parser.add_argument("--mos-range", nargs=2, metavar=("LOW", "HIGH"), help="ends of your rating scale, such as 1 5")
    parser.add_argument("--photos", type=int, default=1000, help="sample photos to make")
    parser.add_argument("--epochs", type=int, default=6)
    arguments = parser.parse_args()
    output = arguments.output
    if arguments.mos_range and not arguments.data:
        parser.error("--mos-range belongs to --data: the sample photos are rated from 0 to 1")
    data = ["--data", arguments.data or make_rated_photos(output / "photos", arguments.photos)]
    data += ["--mos-range", *arguments.mos_range] if arguments.mos_range else []

    # With a Stable Diffusion at hand it is `dpiqa train teacher --stable-diffusion`, and this start is not needed.
    start = output / "start"
    DPIQAModel(DPIQAConfig.small()).save_pretrained(start)
    DPIQAImageProcessor(size={"height": SIZE, "width": SIZE}).save_pretrained(start)
    recipe = ["--num-train-epochs", str(arguments.epochs), "--warmup-steps", "0.1", "--max-grad-norm", "1"]
    recipe += ["--plcc-weight", "1", "--overwrite"]
    teacher, student = output / "teacher", output / "student"
    rates = ["--learning-rate", "2e-4", "--head-learning-rate", "1e-3"]
    dpiqa("train", "teacher", *data, "--model", start, "--output", teacher, *rates, *recipe)
    network = ["--backbone", "efficientnet-lite0", "--head", "pooled", "--image-size", str(SIZE)]
    rates = ["--learning-rate", "1e-3"]
    dpiqa("train", "distill", *data, "--teacher", teacher, *network, "--output", student, *rates, *recipe)
    if not arguments.data:
        for model in (teacher, student):
            options = ["--model", model, "--output", f"{model}.csv", "--overwrite", "--backend", "torch"]
            dpiqa("score", output / "photos", *options)


if __name__ == "__main__":
    main()
