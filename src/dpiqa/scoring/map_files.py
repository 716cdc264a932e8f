"""Pictures of quality maps in a folder, one beside the other as the photos are."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from ..models.images import DEFAULT_MAX_PIXELS, open_image
from .map_pictures import map_picture
from .quality_maps import colour_range

_PHOTO_SIDE = 768


class MapFolder:
    """A folder for quality maps laid over their photos, of at most 768 pixels a side, as PNG.

    What can be wrong with the folder is found before the first map is drawn.

    Args:
        folder: Where they go; made when it does not exist.
        photos: Paths of all photos of the run, none of which is ever overwritten.
        score_quantiles: Those of the checkpoint's configuration; they say what the ends of the colour scale stand for.
        overwrite: Whether pictures that exist may be replaced.
        max_pixels: See [`dpiqa.open_image`].
        formats: Likewise.

    Raises:
        OSError: When the folder cannot be written to; when a map exists already or would replace a photo
            (FileExistsError).
        ValueError: When two photos would have the same map.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        photos: Iterable[str],
        score_quantiles: Sequence[float] | None,
        *,
        overwrite: bool = False,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        formats: Sequence[str] | None = None,
    ):
        self._folder = Path(folder)
        self._limits = colour_range(score_quantiles)
        self._max_pixels, self._formats = max_pixels, formats
        self._check_targets(list(photos), overwrite)
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=self._folder):  # whether this is allowed, only trying tells
            pass

    def save(self, path: str, quality_map: np.ndarray) -> Path:
        """Draws the map of a photo and returns where it is.

        Args:
            path: One of the photos, which is opened again.
            quality_map: (rows, columns) of its [`Score`].

        Raises:
            OSError: When the picture cannot be written.
            ImageError: When the photo cannot be opened any more.
        """
        target = map_path(self._folder, path)
        size = (_PHOTO_SIDE, _PHOTO_SIDE)
        photo = open_image(path, cover=size, max_pixels=self._max_pixels, formats=self._formats)
        photo.thumbnail(size)
        picture = io.BytesIO()
        map_picture(photo, quality_map, self._limits).save(picture, "PNG")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, picture.getvalue())
        return target

    def _check_targets(self, photos: Sequence[str], overwrite: bool) -> None:
        identities: set[tuple[int, int]] | None = None
        sources: dict[str, str] = {}
        for path in photos:
            target = map_path(self._folder, path)
            source = sources.setdefault(str(target), os.path.abspath(path))
            if source != os.path.abspath(path):
                raise ValueError(f"{source} and {path} would have the same map, {target}: score one of them at a time")
            found = _identity(target)
            if found is None:
                continue
            identities = identities or {one for photo in photos if (one := _identity(photo)) is not None}
            if found in identities:
                raise FileExistsError(f"{target} is one of the photos: choose another folder for the maps")
            if not overwrite:
                raise FileExistsError(f"{target} exists already: allow it to be replaced with --overwrite")


def map_path(folder: str | os.PathLike[str], photo: str) -> Path:
    """Where a map goes: the photo's path again below the folder, from here or else from the root.

    So no ".." leads out of the folder. The map of `a.jpg` is `a_jpg.png`: that of `a.png` has another name, whichever
    photos are scored together.
    """
    absolute = Path(os.path.abspath(photo))
    base = Path.cwd() if absolute.is_relative_to(Path.cwd()) else Path(absolute.anchor)
    name = f"{absolute.stem}_{absolute.suffix[1:]}.png" if absolute.suffix else f"{absolute.name}.png"
    return Path(folder) / absolute.relative_to(base).with_name(name)


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What tells two files apart whatever they are called; None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def write_whole(target: Path, content: bytes) -> None:
    """Writes a picture, under a hidden name first: a full disk or a process that is killed leaves no half of one."""
    unfinished = target.with_name(f".{os.getpid()}.png")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, target)
    except OSError as error:
        # Of the name that the user knows.
        raise type(error)(error.errno, error.strerror, str(target)) from error
    finally:
        unfinished.unlink(missing_ok=True)
