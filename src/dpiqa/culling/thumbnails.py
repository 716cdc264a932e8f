"""Small pictures of photos for a page."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from PIL import Image

from ..models.images import DEFAULT_MAX_PIXELS, open_image

SIDE = 320
MAX_INSIDE = 200


class Thumbnails:
    """JPEG pictures of at most 320 pixels a side: inside the page as `data:` URLs, or in a folder beside it.

    They are inside for up to 200 photos. More are written to a folder as they come, so that memory does not grow
    with them. It has a hidden name until `keep` is called, and is removed when that does not happen.

    Args:
        page: Where the page will be.
        num_photos: How many photos there are at most.
        overwrite: Whether the folder of an older page may be replaced.
        max_pixels: See [`dpiqa.open_image`].
        formats: Likewise.

    Raises:
        FileExistsError: When the folder exists and must not be replaced, or holds files of somebody else.
        OSError: When the folder cannot be made.
    """

    def __init__(
        self,
        page: Path,
        num_photos: int,
        *,
        overwrite: bool = False,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        formats: Sequence[str] | None = None,
    ):
        self._final = folder_of(page)
        self._max_pixels, self._formats = max_pixels, formats
        self._overwrite = overwrite
        self._count = 0
        self.folder = self._final if num_photos > MAX_INSIDE else None
        # Short, since the name of the page can be as long as names may be.
        self._unfinished = self._final.with_name(f".{os.getpid()}_files")
        if self.folder is not None:
            _check_folder(self._final, overwrite)

    def __enter__(self) -> Thumbnails:
        if self.folder is not None:
            self._unfinished.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.folder is not None:
            shutil.rmtree(self._unfinished, ignore_errors=True)

    def open(self, path: str) -> Image.Image:
        """Opens a photo as a small picture.

        Raises:
            ImageError: When the photo cannot be opened any more.
            OSError: Likewise.
        """
        photo = open_image(path, cover=(SIDE, SIDE), max_pixels=self._max_pixels, formats=self._formats)
        photo.thumbnail((SIDE, SIDE))
        return photo

    def save(self, photo: Image.Image) -> tuple[str, int, int]:
        """Keeps a small picture.

        Returns:
            Its URL as seen from the page, its width and its height.

        Raises:
            OSError: When it cannot be written, as on a full disk.
        """
        picture = io.BytesIO()
        photo.save(picture, "JPEG", quality=80)
        self._count += 1
        if self.folder is None:
            return f"data:image/jpeg;base64,{base64.b64encode(picture.getvalue()).decode()}", *photo.size
        name = f"thumbnail-{self._count:06d}.jpg"
        (self._unfinished / name).write_bytes(picture.getvalue())
        return f"{quote(os.fsencode(self._final.name))}/{name}", *photo.size

    def keep(self) -> None:
        """Gives the folder its name, in place of that of an older page."""
        older = self._final.with_name(f".{os.getpid()}_older")
        if self._overwrite and self._final.is_dir() and not _strangers(self._final):
            os.replace(self._final, older)
        if self.folder is not None:
            os.replace(self._unfinished, self._final)
        shutil.rmtree(older, ignore_errors=True)


def folder_of(page: Path) -> Path:
    """Where the thumbnails of a page with many photos are: `report_files` beside `report.html`."""
    return page.with_name(f"{page.stem}_files")


def _check_folder(folder: Path, overwrite: bool) -> None:
    if not os.path.lexists(folder):
        return
    if not overwrite:
        raise FileExistsError(f"{folder} exists already: name another report, or allow it with --overwrite")
    others = _strangers(folder) if folder.is_dir() else [folder.name]
    if others:
        raise FileExistsError(f"{folder} holds other files, such as {others[0]}: move it away, or name another report")


def _strangers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not re.fullmatch(r"thumbnail-\d{6,}\.jpg", path.name)]
