"""Scoring a folder of large JPEGs: `Scorer.stream` against the plain loop, in one run.

The plain loop opens a photo with Pillow, decodes every pixel, resizes it with the checkpoint's processor and runs the
model on it alone. The photos are scikit-learn's two at 10.7 megapixels. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import sklearn.datasets
import torch
from PIL import Image

from dpiqa import Scorer

SIZE = (4000, 2668)


def make_photos(folder: Path, count: int) -> list[Path]:
    originals = [Image.fromarray(image) for image in sklearn.datasets.load_sample_images().images]
    large = [image.resize(SIZE, Image.Resampling.BICUBIC) for image in originals]
    paths = [folder / f"{index}.jpg" for index in range(count)]
    for index, path in enumerate(paths):
        large[index % len(large)].save(path, quality=90)
    return paths


@torch.inference_mode()
def plain_loop(scorer: Scorer, paths: list[Path]) -> list[float]:
    scores = []
    for path in paths:
        with Image.open(path) as image:
            pixels = scorer.processor(image.convert("RGB"), return_tensors="pt")["pixel_values"]
        scores.append(scorer.model(pixels).score.item())
    return scores


def main(photos: int) -> None:
    scorer = Scorer.from_pretrained()
    with tempfile.TemporaryDirectory() as folder:
        paths = make_photos(Path(folder), photos)
        plain_loop(scorer, paths[:2])
        start = time.perf_counter()
        plain = plain_loop(scorer, paths)
        middle = time.perf_counter()
        streamed = [result.score for result in scorer.stream(paths)]
        end = time.perf_counter()
    result = {
        "photos": photos,
        "megapixels": SIZE[0] * SIZE[1] / 1e6,
        "plain_photos_per_second": round(photos / (middle - start), 2),
        "photos_per_second": round(photos / (end - middle), 2),
        "speedup": round((middle - start) / (end - middle), 2),
        "largest_score_difference": round(float(np.abs(np.subtract(plain, streamed)).max()), 4),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=64)
    main(parser.parse_args().photos)
