"""How a model's scores behave under distortions, under changes that nobody sees, and on pictures that are no photos.

    python studies/bundled_student/robustness.py --data BIQ2021 --photos 60

Takes photos that were held out of the training. Prints three Markdown tables: rank consistency, as
`dpiqa evaluate` does it; by how much scores move; and the percentiles of noise, flat colours and text.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from held_out import held_out_photos
from PIL import Image, ImageDraw, ImageFont

from dpiqa import Scorer, bundled_checkpoint, open_image
from dpiqa.data.distortions import CAMERA_DISTORTIONS, DISTORTIONS, LEVELS, distort_to_level
from dpiqa.evaluation.consistency import COLUMNS, PRISTINE, Distorted, as_text, rank_consistency
from dpiqa.evaluation.report import markdown_table

LONGEST_SIDE = 512


def distorted(photo: Image.Image, name: str, seed: int) -> Iterator[tuple[Distorted, Image.Image]]:
    """The photo and all its versions."""
    yield Distorted(name, Path(name), name, PRISTINE, 0), photo
    for kind in [*DISTORTIONS, *CAMERA_DISTORTIONS]:
        for level in range(1, LEVELS + 1):
            version = f"{name} {kind} {level}"
            yield Distorted(version, Path(version), name, kind, level), distort_to_level(photo, kind, level, seed)


def through_jpeg(photo: Image.Image) -> Image.Image:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=95)
    return open_image(file.getvalue())


def resized(photo: Image.Image, factor: float) -> Image.Image:
    return photo.resize([round(side * factor) for side in photo.size], Image.Resampling.BICUBIC)


UNSEEN: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved as JPEG of quality 95": through_jpeg,
    "one pixel cut off at every side": lambda photo: photo.crop((1, 1, photo.width - 1, photo.height - 1)),
    "2 % smaller": lambda photo: resized(photo, 0.98),
    "2 % larger": lambda photo: resized(photo, 1.02),
}


def text(dark: bool) -> Image.Image:
    """A screenshot of text, from fixed words."""
    paper, ink = ("#1e1e1e", "#d4d4d4") if dark else ("white", "#222222")
    page = Image.new("RGB", (1280, 800), paper)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(18)
    for top in range(40, 760, 28):
        draw.text((40, top), "How good does this page look, if nobody took it with a camera? " * 2, ink, font)
    return page


def non_photos() -> dict[str, Image.Image]:
    generator, shape = np.random.default_rng(0), (512, 512, 3)
    pictures = {color: Image.new("RGB", (512, 512), color) for color in ("black", "white", "gray", "red", "skyblue")}
    pictures["uniform noise"] = Image.fromarray(generator.integers(0, 256, shape, np.uint8))
    grain = (128 + 40 * generator.standard_normal(shape[:2])).clip(0, 255).astype(np.uint8)
    pictures["grey normal noise"] = Image.fromarray(grain).convert("RGB")
    return pictures | {"dark text on white": text(False), "light text on black": text(True)}


def main(arguments: argparse.Namespace) -> None:
    scorer = Scorer.from_pretrained(arguments.model)
    sources = held_out_photos(arguments.data).shuffle(seed=0)["image"]
    scores: dict[str, float] = {}
    rows: list[Distorted] = []
    moves: dict[str, list[float]] = {name: [] for name in UNSEEN}
    for number, source in enumerate(sources[: arguments.photos]):
        photo = open_image(source)
        photo.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BICUBIC)
        versions, pictures = zip(*distorted(photo, str(number), number), strict=True)
        rows += versions
        found = [score.score for score in scorer([*pictures, *(change(photo) for change in UNSEEN.values())])]
        scores |= {row.name: score for row, score in zip(versions, found, strict=False)}
        for name, score in zip(UNSEEN, found[-len(UNSEEN) :], strict=True):
            moves[name].append(abs(score - found[0]))
    others = non_photos()
    tables = [
        markdown_table(COLUMNS, as_text(rank_consistency(rows, scores))),
        markdown_table(
            ("change", "mean move of the score", "largest"),
            [[name, f"{np.mean(values):.4f}", f"{max(values):.4f}"] for name, values in moves.items()],
        ),
        markdown_table(
            ("picture", "score", "percentile"),
            [
                [name, f"{score.score:.3f}", f"{score.percentile:.0f}"]
                for name, score in zip(others, scorer(list(others.values())), strict=True)
            ],
        ),
    ]
    print("\n\n".join("\n".join(table) for table in tables))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--model", default=bundled_checkpoint())
    parser.add_argument("--photos", type=int, default=60)
    main(parser.parse_args())
