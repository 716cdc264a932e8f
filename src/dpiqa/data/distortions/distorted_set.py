"""A synthetic set from your own pristine photos, with the level of every distortion as its label."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ...models.images import MIN_SIDE, OPENING_ERRORS, open_image, reason_of
from .distort import distort_to_level
from .kinds import DISTORTIONS, LEVELS

logger = logging.getLogger(__name__)

LABELS = "distortions.csv"
_COLUMNS = ("file_name", "reference", "distortion", "level")
_LONGEST_NAME = 180  # bytes: file systems take 255, and the kind and the level are added


def make_distorted_set(
    photos: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    max_side: int = 512,
    kinds: Sequence[str] | None = None,
    overwrite: bool = False,
) -> int:
    """Writes every photo and its distorted versions as PNG, with the labels in `distortions.csv`.

    The labels of a photo are written when all its versions are: what is cut off leaves a set of whole photos.

    Args:
        photos: Pristine photos. Those that cannot be opened are left out, with a warning.
        output: Folder to write to.
        max_side: Photos are made smaller to this longer side first, which hides what flaws they have. The shorter side
            keeps at least 32 pixels.
        kinds: Kinds of distortion; all 25 when not given.
        overwrite: Whether the folder may hold files, some of which are replaced.

    Returns:
        How many photos the set has.

    Raises:
        FileExistsError: When the folder holds files.
        ValueError: When two photos have the same name, a kind is unknown, a photo would be replaced by its copy, or
            no photo can be opened.
    """
    output, kinds = Path(output), list(DISTORTIONS if kinds is None else kinds)
    unknown = set(kinds) - DISTORTIONS.keys()
    if unknown:
        raise ValueError(f"Unknown distortions {sorted(unknown)}: expected some of {', '.join(DISTORTIONS)}.")
    sources: dict[str, Path] = {}
    for path in map(Path, photos):
        if (other := sources.setdefault(_name(path), path)) is not path:
            raise ValueError(f"{other} and {path} would be distorted under the same name: rename one.")
    if not overwrite and output.exists() and any(output.iterdir()):
        raise FileExistsError(
            f"{output} holds files already: choose another folder, or --overwrite (in Python overwrite=True)."
        )
    if output.resolve() in {source.resolve().parent for source in sources.values()}:
        raise ValueError(f"{output} holds the pristine photos: choose another folder.")
    output.mkdir(parents=True, exist_ok=True)
    written = 0
    with (output / LABELS).open("w", newline="", encoding="utf-8") as labels:
        labels.write(_csv([_COLUMNS]))
        labels.flush()
        for seed, (name, source) in enumerate(sources.items()):
            try:
                photo = _smaller(open_image(source), max_side)
            except OPENING_ERRORS as error:
                logger.warning("%s is left out: %s", source, reason_of(error, str(source)))
                continue
            labels.write(_csv(_write_versions(photo, name, kinds, seed, output)))
            labels.flush()
            written += 1
    if not written:
        raise ValueError("None of the photos can be opened.")
    return written


def _write_versions(
    photo: Image.Image, name: str, kinds: Sequence[str], seed: int, output: Path
) -> list[tuple[object, ...]]:
    """Writes a photo and its distorted versions; gives their labels."""
    rows: list[tuple[object, ...]] = [(f"{name}.png", name, "pristine", 0)]
    photo.save(output / f"{name}.png")
    for kind in kinds:
        for level in range(1, LEVELS + 1):
            file_name = f"{name}--{kind.replace(' ', '-')}-{level}.png"
            distort_to_level(photo, kind, level, seed).save(output / file_name)
            rows.append((file_name, name, kind, level))
    return rows


def _name(photo: str | os.PathLike[str]) -> str:
    """The photo's name in the set, which any file system and any UTF-8 file can hold."""
    stem = os.fsencode(Path(photo).stem).decode("utf-8", "backslashreplace")
    return stem.encode()[:_LONGEST_NAME].decode("utf-8", "ignore")


def _smaller(photo: Image.Image, max_side: int) -> Image.Image:
    scale = max(max_side / max(photo.size), MIN_SIDE / min(photo.size))
    if scale >= 1:
        return photo
    size = (round(scale * photo.width), round(scale * photo.height))
    return photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)  # with "\n" as line end the module would not quote names that hold "\r"
    return text.getvalue()
