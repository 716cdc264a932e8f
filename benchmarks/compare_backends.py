"""What other backends and types do to the scores of the bundled student: differences from PyTorch in float32.

On photos of BIQ2021's validation split; int8 is calibrated on photos of its train split. Prints a Markdown table:
`python benchmarks/compare_backends.py biq2021=FOLDER`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
from scipy.stats import spearmanr

from dpiqa import Scorer, bundled_checkpoint
from dpiqa.data.load import load_iqa_splits
from dpiqa.scoring.export import export_student
from dpiqa.scoring.export_check import ExportToleranceError


def scorers(calibration: list, folder: Path) -> Iterator[tuple[str, Scorer | str]]:
    """(name, the scorer or why there is none)."""
    yield "torch bfloat16", Scorer.from_pretrained(dtype="bfloat16")
    yield "onnx float32", Scorer.from_pretrained(backend="onnx")
    yield "openvino float32", Scorer.from_pretrained(backend="openvino")
    yield "openvino bfloat16", Scorer.from_pretrained(backend="openvino", dtype="bfloat16")
    for backend in ("onnx", "openvino"):
        try:
            export_student(bundled_checkpoint(), backend, folder / backend, quantize="int8", photos=calibration)
            yield f"{backend} int8", Scorer.from_pretrained(folder / backend)
        except ExportToleranceError as error:
            yield f"{backend} int8", str(error)


def main(data: str, photos: int, calibration: int) -> None:
    splits = load_iqa_splits(data)
    validation, train = (
        list(splits[name].cast_column("image", datasets.Image(decode=False)).shuffle(seed=0)["image"])
        for name in ("validation", "train")
    )
    reference = np.array([result.score for result in Scorer.from_pretrained().stream(validation[:photos])])
    print("| backend | mean difference | largest | SRCC with torch float32 |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, scorer in scorers(train[:calibration], Path(folder)):
            if isinstance(scorer, str):
                print(f"| {name} | refused: {scorer} | | |")
                continue
            scores = np.array([result.score for result in scorer.stream(validation[:photos])])
            difference = np.abs(scores - reference)
            srcc = spearmanr(scores, reference).statistic
            print(f"| {name} | {difference.mean():.1e} | {difference.max():.1e} | {srcc:.5f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="biq2021=FOLDER")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--calibration", type=int, default=100)
    arguments = parser.parse_args()
    main(arguments.data, arguments.photos, arguments.calibration)
