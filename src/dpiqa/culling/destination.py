"""Copies of photos and links to them, in a folder of their own; nothing that exists is moved or replaced."""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path


class Destination:
    """A folder that photos are copied to or linked from, under the paths that they have below a folder of all of them.

    Args:
        folder: Made when it does not exist.
        photos: Paths of all photos that there are to choose from, so that a photo has the same place whichever
            others are chosen.
        link: Whether to make symbolic links in place of copies.
    """

    def __init__(self, folder: str | os.PathLike[str], photos: Iterable[str], *, link: bool = False):
        self._folder, self._link = Path(folder), link
        self._root = os.path.commonpath({os.path.dirname(os.path.abspath(photo)) for photo in photos})

    def place(self, photo: str) -> Path:
        """Where a photo goes."""
        return self._folder / os.path.relpath(os.path.abspath(photo), self._root)

    def take(self, photos: Sequence[str]) -> int:
        """Copies or links photos and returns how many were there already.

        Before anything is written it looks whether all of them are there and can have their places.

        Raises:
            FileExistsError: When there is another file in the place of a photo.
            OSError: When a photo cannot be read or a file cannot be written.
        """
        for photo in photos:
            os.stat(photo)
        new = [photo for photo in photos if not self._is_there(photo)]
        for photo in new:
            target = self.place(photo)
            target.parent.mkdir(parents=True, exist_ok=True)
            if self._link:
                target.symlink_to(os.path.abspath(photo))
            else:
                _copy(photo, target)
        return len(photos) - len(new)

    def _is_there(self, photo: str) -> bool:
        target = self.place(photo)
        if not os.path.lexists(target):
            return False
        with contextlib.suppress(OSError):
            if target.samefile(photo) if self._link else filecmp.cmp(photo, target, shallow=False):
                return True
        raise FileExistsError(f"{target} exists already and is another file: name another folder")


def _copy(photo: str, target: Path) -> None:
    """A whole copy with the photo's times, or none."""
    with open(photo, "rb") as source, target.open("xb") as copy:
        try:
            shutil.copyfileobj(source, copy)
        except BaseException:
            target.unlink()
            raise
    shutil.copystat(photo, target)


__all__ = ["Destination"]
