"""Whether a student's quality map falls where a photo was damaged: the share of photos in which it does.

    python studies/bundled_student/damage.py --data BIQ2021 --photos 200

A half or a sixteenth of every held-out photo is blurred, made noisy, or compressed. The map of the damaged photo is
compared with that of the photo: it should fall more inside the region than outside, which chance does in 50 % of the
photos. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from held_out import held_out_photos
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d

from dpiqa import Scorer, bundled_checkpoint, open_image
from dpiqa.data.distortions import distort

DAMAGES = {"gaussian blur": 4.0, "white noise": 25 / 255, "jpeg": 8.0}
REGIONS = ("half", "sixteenth")


def regions(photo: Image.Image, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """(height, width) booleans of a left or right half, and of a rectangle of a quarter of the sides."""
    middle, half = photo.width // 2, np.zeros((photo.height, photo.width), bool)
    half[:, slice(middle) if generator.random() < 0.5 else slice(middle, None)] = True
    yield half
    rows, columns = photo.height // 4, photo.width // 4
    top, left = generator.integers(photo.height - rows + 1), generator.integers(photo.width - columns + 1)
    sixteenth = np.zeros_like(half)
    sixteenth[top : top + rows, left : left + columns] = True
    yield sixteenth


def falls_inside(before: np.ndarray, after: np.ndarray, inside: np.ndarray) -> bool:
    """Whether the mean fall of the map is larger inside the region than outside."""
    share = adaptive_avg_pool2d(torch.from_numpy(inside[None].astype(np.float32)), before.shape)[0].numpy()
    fall = before - after
    return float((fall * share).sum() / share.sum()) > float((fall * (1 - share)).sum() / (1 - share).sum())


def main(arguments: argparse.Namespace) -> None:
    scorer = Scorer.from_pretrained(arguments.model, backend="torch")
    photos = held_out_photos(arguments.data).shuffle(seed=0)["image"]
    found: dict[tuple[str, str], list[bool]] = {(kind, region): [] for kind in DAMAGES for region in REGIONS}
    for number, source in enumerate(photos[: arguments.photos]):
        photo, generator = open_image(source), np.random.default_rng(number)
        before = scorer(photo, return_map=True).quality_map
        for region, inside in zip(REGIONS, regions(photo, generator), strict=True):
            for kind, strength in DAMAGES.items():
                damaged = photo.copy()
                damaged.paste(distort(photo, kind, strength, seed=number), mask=Image.fromarray(inside))
                after = scorer(damaged, return_map=True).quality_map
                found[kind, region].append(falls_inside(before, after, inside))
    print("| damage | " + " | ".join(f"{region} of the photo" for region in REGIONS) + " |\n|---|---|---|")
    for kind in DAMAGES:
        print(f"| {kind} | " + " | ".join(f"{np.mean(found[kind, region]):.0%}" for region in REGIONS) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--model", default=bundled_checkpoint(), help="a student with a pooled head")
    parser.add_argument("--photos", type=int, default=200)
    main(parser.parse_args())
