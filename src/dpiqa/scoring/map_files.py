"""Pictures of quality maps in a folder, one beside the other as the photos are."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from ..models.images import open_image
from .quality_maps import colour_range, overlay

_MAP_SIDE = 1024


class MapFolder:
    """A folder for quality maps laid over their photos, as PNG of at most 1024 pixels a side.

    Args:
        folder: Where they go; made when it does not exist.
        photos: Paths of all photos of the run, none of which is ever overwritten.
        score_quantiles: Of the checkpoint's configuration; says what the ends of the colour scale stand for.
        overwrite: Whether pictures that exist may be replaced.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        photos: Iterable[str],
        score_quantiles: Sequence[float] | None,
        *,
        overwrite: bool = False,
    ):
        self._folder = Path(folder)
        self._photos = photos
        self._limits = colour_range(score_quantiles)
        self._overwrite = overwrite
        self._written: set[Path] = set()

    def save(self, path: str, quality_map: np.ndarray, *, max_pixels: int) -> Path:
        """Draws the map of a photo and returns where it is.

        Args:
            path: The photo, which is opened again.
            quality_map: (rows, columns) of the photo's [`Score`].
            max_pixels: See [`dpiqa.open_image`].

        Raises:
            OSError: When the picture cannot be written, exists, or is one of the photos.
            ImageError: When the photo cannot be opened any more.
        """
        target = self._target(path)
        if target in self._written:
            return target
        if target.exists():
            status = target.stat()
            if (status.st_dev, status.st_ino) in self._photo_identities:
                raise FileExistsError(f"{target} is one of the photos")
            if not self._overwrite:
                raise FileExistsError(f"{target} exists already: allow it to be replaced with --overwrite")
        photo = open_image(path, cover=(_MAP_SIDE, _MAP_SIDE), max_pixels=max_pixels)
        photo.thumbnail((_MAP_SIDE, _MAP_SIDE))
        picture = io.BytesIO()
        overlay(photo, quality_map, self._limits).save(picture, "PNG")
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(target, picture.getvalue())
        self._written.add(target)
        return target

    def _target(self, path: str) -> Path:
        """The photo's path again below the folder, from here or else from the root, so that no ".." leads out."""
        absolute = Path(os.path.abspath(path))
        base = Path.cwd() if absolute.is_relative_to(Path.cwd()) else Path(absolute.anchor)
        return self._folder / absolute.relative_to(base).with_name(absolute.name + ".png")

    @cached_property
    def _photo_identities(self) -> set[tuple[int, int]]:
        identities = set()
        for path in self._photos:
            try:
                status = os.stat(path)
            except (OSError, ValueError):
                continue
            identities.add((status.st_dev, status.st_ino))
        return identities


def _write_whole(target: Path, content: bytes) -> None:
    try:
        target.write_bytes(content)
    except OSError:
        # A full disk leaves half a picture; a folder that is read-only, nothing.
        if target.is_file():
            target.unlink()
        raise
