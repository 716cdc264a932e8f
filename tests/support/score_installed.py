"""Scores a drawn photo with the dpiqa that is installed beside this Python: for `make test-wheel`."""

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

import dpiqa


def main() -> None:
    """Scores by the command and in Python, and compares.

    Raises:
        SystemExit: When dpiqa comes from elsewhere, or the scores differ.
    """
    if not Path(dpiqa.__file__).is_relative_to(sys.prefix):
        raise SystemExit(f"dpiqa is not the installed one: {dpiqa.__file__}")
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "photo.png")
        Image.effect_mandelbrot((640, 480), (-2, -1.2, 1, 1.2), 60).save(photo)
        command = [Path(sys.prefix, "bin", "dpiqa"), "score", photo.name, "-o", "scores.csv"]
        subprocess.run(command, cwd=folder, check=True)
        [row] = csv.DictReader(Path(folder, "scores.csv").read_text(encoding="utf-8").splitlines())
        score = dpiqa.Scorer.from_pretrained()(photo).score
    if row["error"] or abs(float(row["score"]) - score) > 1e-4:
        raise SystemExit(f"The command has {row}, and Python {score}.")
    print(f"dpiqa {dpiqa.__version__} from the wheel: score {score:.3f}")


if __name__ == "__main__":
    main()
