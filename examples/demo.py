"""Scores real photographs and distorted twins of each: `make demo`.

The photographs ship inside scikit-learn and scikit-image. Every original must outscore its own twins; the command
fails when one does not. Writes `scores.csv`, the pictures and `contact_sheet.png` into the output folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import skimage.data
import sklearn.datasets
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table
from transformers.utils import logging

from dpiqa import Score, Scorer
from dpiqa.data.distortions import distort
from dpiqa.scoring.quality_maps import colour_range, overlay
from dpiqa.scoring.rows import to_row
from dpiqa.scoring.score_files import open_writer

CELL = 240  # width of a picture on the contact sheet, in pixels
MARGIN = 12
CAPTION = 26


def originals() -> dict[str, Image.Image]:
    """Photographs from PyPI packages, by name."""
    china, flower = sklearn.datasets.load_sample_images().images
    arrays = {
        "china": china,
        "flower": flower,
        "astronaut": skimage.data.astronaut(),
        "cat": skimage.data.chelsea(),
        "coffee": skimage.data.coffee(),
        "rocket": skimage.data.rocket(),
    }
    return {name: Image.fromarray(array) for name, array in arrays.items()}


# Kind and strength of the distortion that makes each twin.
TWINS = {
    "JPEG quality 8": ("jpeg", 8),
    "blur": ("gaussian blur", 3),
    "noise": ("white noise", 30 / 255),
    "8x down and up": ("downscale", 8),
}
VARIANTS = ("original", *TWINS)


def main() -> int:
    """Runs the demo; returns the number of twins that beat their original."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder to write to")
    parser.add_argument("--model", help="folder or Hub id of a student (default: the bundled one)")
    arguments = parser.parse_args()

    folder = arguments.output / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[tuple[str, str], Path] = {}
    for name, photo in originals().items():
        for variant in VARIANTS:
            path = folder / f"{name}_{variant.replace(' ', '_').lower()}.png"
            (photo if variant == "original" else distort(photo, *TWINS[variant])).save(path)
            paths[name, variant] = path

    logging.disable_progress_bar()
    scorer = Scorer.from_pretrained(arguments.model)
    scores = dict(zip(paths, scorer([*paths.values()], return_map=True), strict=True))
    with open_writer(arguments.output / "scores.csv", overwrite=True) as writer:
        for key, path in paths.items():
            writer.write(to_row(str(path), scores[key]))
    sheet = contact_sheet(paths, scores, colour_range(scorer.config.score_quantiles))
    sheet.save(arguments.output / "contact_sheet.png")

    beaten = [
        (name, variant)
        for (name, variant), score in scores.items()
        if variant != "original" and score.score >= scores[name, "original"].score
    ]
    report(scores, beaten, arguments.output)
    return len(beaten)


def report(scores: dict[tuple[str, str], Score], beaten: list[tuple[str, str]], output: Path) -> None:
    table = Table("photo", *VARIANTS, box=None, header_style="bold")
    for name in dict.fromkeys(name for name, _ in scores):
        table.add_row(name, *(f"{scores[name, variant].score:.3f}" for variant in VARIANTS))
    console = Console()
    console.print(table)
    twins = len(scores) - len(scores) // len(VARIANTS)
    console.print(f"{twins - len(beaten)} of {twins} twins score below their original", highlight=False)
    for name, variant in beaten:
        console.print(f"[red]{name}: {variant} scores at least as high as the original[/red]")
    console.print(f"written: {output}/scores.csv, {output}/contact_sheet.png", highlight=False)


def contact_sheet(
    paths: dict[tuple[str, str], Path], scores: dict[tuple[str, str], Score], limits: tuple[float, float]
) -> Image.Image:
    """One row per photo, one column per variant: the picture, its score, and its quality map below."""
    names = list(dict.fromkeys(name for name, _ in paths))
    heights = {}
    for name in names:
        with Image.open(paths[name, "original"]) as photo:
            heights[name] = round(CELL * photo.height / photo.width)
    width = MARGIN + len(VARIANTS) * (CELL + MARGIN)
    height = MARGIN + CAPTION + sum(2 * heights[name] + CAPTION + 2 * MARGIN for name in names)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    for column, variant in enumerate(VARIANTS):
        draw.text((MARGIN + column * (CELL + MARGIN), MARGIN), variant, "#555555", font)
    top = MARGIN + CAPTION
    for name in names:
        for column, variant in enumerate(VARIANTS):
            left = MARGIN + column * (CELL + MARGIN)
            score = scores[name, variant]
            with Image.open(paths[name, variant]) as photo:
                picture = photo.resize((CELL, heights[name]), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left, top))
            if score.quality_map is not None:
                sheet.paste(overlay(picture, score.quality_map, limits), (left, top + heights[name] + 2))
            text = f"{score.score:.3f}"
            if score.percentile is not None:
                text += f"   better than {score.percentile:.0f} %"
            draw.text((left, top + 2 * heights[name] + 6), text, "black", font)
        top += 2 * heights[name] + CAPTION + 2 * MARGIN
    return sheet


if __name__ == "__main__":
    raise SystemExit(1 if main() else 0)
