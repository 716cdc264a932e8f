"""Which photos a list of inputs stands for."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .webp .gif .bmp .dib .tif .tiff .ppm .pgm .pbm .pnm .jp2 .j2k .jpx .tga .avif "
    ".heic .heif .hif .jxl".split()
)


@dataclass
class FoundImages:
    """Photos in a stable order, and how many other files the walked folders held.

    Attributes:
        paths: Files named outright, and files with a photo's suffix from folders and patterns.
        skipped: Hidden files and files of other kinds in walked folders.
    """

    paths: list[str] = field(default_factory=list)
    skipped: int = 0


def find_images(inputs: Iterable[str]) -> FoundImages:
    """Expands files, folders (recursively) and glob patterns.

    A file that is named is taken whatever it is called, and a name that does not exist is kept: opening it reports
    the error where a user looks for it. Every real folder is walked once, so that links cannot loop.

    Args:
        inputs: Paths and patterns (`*`, `?`, `[...]`, `**`).

    Returns:
        The photos, sorted within each folder and pattern, in the order of the inputs.

    Raises:
        FileNotFoundError: When a pattern matches nothing.
    """
    found = FoundImages()
    walked: set[tuple[int, int]] = set()
    for name in inputs:
        if Path(name).is_dir():
            _add_folder(name, found, walked)
        elif glob.has_magic(name) and not Path(name).exists():
            matches = sorted(glob.glob(name, recursive=True))
            if not matches:
                raise FileNotFoundError(f"no file matches {name!r}")
            for match in matches:
                if Path(match).is_dir():
                    _add_folder(match, found, walked)
                else:
                    _add_file(match, found)
        else:
            found.paths.append(name)
    return found


def _add_folder(folder: str, found: FoundImages, walked: set[tuple[int, int]]) -> None:
    for root, names in _walk_once(folder, walked):
        for name in names:
            _add_file(os.path.join(root, name), found)


def _add_file(path: str, found: FoundImages) -> None:
    if Path(path).suffix.lower() in SUFFIXES and not Path(path).name.startswith("."):
        found.paths.append(path)
    else:
        found.skipped += 1


def _walk_once(folder: str, walked: set[tuple[int, int]]) -> Iterator[tuple[str, list[str]]]:
    for root, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in walked:
            folders.clear()
            continue
        walked.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield root, sorted(names)
