"""Draws the pictures of gallery.md with the bundled student: `python docs/draw_gallery.py`.

The photographs come with scikit-image and scikit-learn; all else is drawn here. Prints the scores
that the page quotes.
"""

from __future__ import annotations

import runpy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from dpiqa import Score, Scorer
from dpiqa.data.distortions import distort
from dpiqa.scoring.quality_maps import colour_map, colour_range, overlay

HERE = Path(__file__).parent
_demo = runpy.run_path(str(HERE.parent / "examples" / "demo.py"))
TWINS, originals = _demo["TWINS"], _demo["originals"]

# In pixels; large letters, because a page shows the pictures at about two thirds of their size.
CELL, GAP, LETTER, LINE = (216, 162), 14, 19, 25
PAPER, INK, GREY = "#f5f6f8", "#1f2430", "#5b6472"


@dataclass(frozen=True)
class Tile:
    """A picture with its title, and its score."""

    title: str
    picture: Image.Image
    score: Score
    note: str = ""


def main() -> None:
    """Draws four pictures into the assets."""
    scorer = Scorer.from_pretrained()
    limits = colour_range(scorer.config.score_quantiles)

    photos = photographs()
    ranked = sorted(score(scorer, photos), key=lambda tile: tile.score.score, reverse=True)
    save("best", sheet([ranked[:4]]))
    save("worst", sheet([ranked[-4:][::-1]]))

    tiles = score(scorer, surprises(photos["china"]))
    save("surprising", sheet([tiles[:4], tiles[4:]]))

    rows = []
    for name in ("cat", "coffee"):
        twins = {kind: distort(photos[name], *how) for kind, how in TWINS.items()}
        rows.append(score(scorer, {"original": photos[name], **twins}))
    save("twins", sheet(rows, limits))

    rows = []
    for name in ("cat", "rocket"):
        whole = scorer(photos[name], return_map=True)
        damaged = {kind: damage_right_half(photos[name], *how) for kind, how in TWINS.items()}
        tiles = score(scorer, {f"right: {kind}": picture for kind, picture in damaged.items()})
        rows.append([replace(tile, note=change(whole, tile.score)) for tile in tiles])
    save("halves", sheet(rows, limits))


def photographs() -> dict[str, Image.Image]:
    """Photographs inside scikit-image and scikit-learn."""
    names = {"brick": "bricks", "camera": "cameraman", "clock": "clock in motion", "coins": "coins", "moon": "moon"}
    others = {title: Image.fromarray(getattr(skimage.data, name)()).convert("RGB") for name, title in names.items()}
    return {**originals(), **others}


def surprises(photo: Image.Image) -> dict[str, Image.Image]:
    """Pictures whose score is not what a person would say."""
    generator = np.random.default_rng(0)
    colored, grey = (generator.integers(0, 256, (512, 512, *rest), dtype=np.uint8) for rest in ((3,), ()))
    stripes = (np.indices((512, 512)).sum(0) // 32 % 2 * 255).astype(np.uint8)
    return {
        "china": photo,
        "JPEG quality 8": distort(photo, "jpeg", 8),
        "a quarter as bright": ImageEnhance.Brightness(photo).enhance(0.25),
        "twice as bright": ImageEnhance.Brightness(photo).enhance(2),
        "random colours": Image.fromarray(colored),
        "random greys": Image.fromarray(grey).convert("RGB"),
        "stripes": Image.fromarray(stripes).convert("RGB"),
        "one blue": Image.new("RGB", (512, 512), "skyblue"),
    }


def damage_right_half(photo: Image.Image, kind: str, strength: float) -> Image.Image:
    """The photo, whose right half is distorted."""
    box = (photo.width // 2, 0, photo.width, photo.height)
    damaged = photo.copy()
    damaged.paste(distort(photo, kind, strength).crop(box), box)
    return damaged


def change(before: Score, after: Score) -> str:
    """How the mean local quality of either half has changed."""
    if before.quality_map is None or after.quality_map is None:
        raise TypeError("Expected scores with maps: the student has none.")
    left, right = np.array_split(after.quality_map - before.quality_map, 2, axis=1)
    return f"left {left.mean():+.2f}, right {right.mean():+.2f}"


def score(scorer: Scorer, pictures: Mapping[str, Image.Image]) -> list[Tile]:
    """Scores pictures with their maps, and prints the scores."""
    scores = scorer([*pictures.values()], return_map=True)
    for title, one in zip(pictures, scores, strict=True):
        print(f"{one.score:.3f}  {one.percentile:3.0f} %  {title}")
    return [Tile(title, picture, one) for (title, picture), one in zip(pictures.items(), scores, strict=True)]


def sheet(rows: Sequence[Sequence[Tile]], limits: tuple[float, float] | None = None) -> Image.Image:
    """Rows of pictures with their scores, and with limits also their maps, under which stands the scale of colours."""
    lines = 3 if any(tile.note for row in rows for tile in row) else 2
    height = CELL[1] * (2 if limits else 1) + lines * LINE + GAP
    width = GAP + max(map(len, rows)) * (CELL[0] + GAP)
    paper = Image.new("RGB", (width, GAP + len(rows) * height + (2 * LINE if limits else 0)), PAPER)
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(LETTER)
    for down, row in enumerate(rows):
        for along, tile in enumerate(row):
            left, top = GAP + along * (CELL[0] + GAP), GAP + down * height
            picture = ImageOps.fit(tile.picture, CELL, Image.Resampling.LANCZOS)
            paper.paste(picture, (left, top))
            top += CELL[1]
            if limits and tile.score.quality_map is not None:
                # The map covers the whole photo: it is laid over it before both are cropped to the cell.
                whole = overlay(tile.picture, tile.score.quality_map, limits)
                paper.paste(ImageOps.fit(whole, CELL, Image.Resampling.LANCZOS), (left, top))
                top += CELL[1]
            draw.text((left, top + 3), tile.title, INK, font)
            text = f"{tile.score.score:.3f}, better than {tile.score.percentile:.0f} %"
            draw.text((left, top + 3 + LINE), text, GREY, font)
            draw.text((left, top + 3 + 2 * LINE), tile.note, GREY, font)
    if limits:
        scale = colour_map(np.linspace(*limits, 256)[None], (240, 17), limits)
        top = paper.height - 2 * LINE + 6
        draw.text((GAP, top - 3), f"map: {limits[0]:.2f}", INK, font)
        paper.paste(scale, (GAP + 110, top))
        draw.text((GAP + 110 + 250, top - 3), f"{limits[1]:.2f}", INK, font)
    return paper


def save(name: str, picture: Image.Image) -> None:
    """Writes a picture of the page."""
    picture.save(HERE / "assets" / f"gallery-{name}.webp", quality=82, method=6)


if __name__ == "__main__":
    main()
