"""The temporary folder: how full it is, and what goes from it when."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from gradio.utils import get_upload_folder

# The folder of a server carries the number of its process.
PREFIX = "dpiqa-demo-"


def bytes_on_disk() -> int:
    """What the temporary folder takes, folders and half-filled blocks included."""
    total = 0
    for path in _contents():
        with contextlib.suppress(OSError):  # deleted meanwhile
            status = path.lstat()
            total += max(status.st_size, getattr(status, "st_blocks", 0) * 512)
    return total


def files_now() -> frozenset[Path]:
    """The files in the temporary folder."""
    return frozenset(path for path in _contents() if not path.is_dir())


def remove_older(seconds: float, keep: Collection[Path]) -> None:
    """Removes old files from the temporary folder, and the folders that are empty then.

    gradio deletes the uploads and results that it knows of. This finds the others too, as uploads that were cut off.

    Args:
        seconds: Age of the files and folders that go.
        keep: Files that stay.
    """
    now = time.time()
    for path in _contents():
        with contextlib.suppress(OSError):  # a folder with files in it stays, and what is gone is gone
            if path in keep or now - path.lstat().st_mtime < seconds:
                continue
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()


def remove_folders_of_the_dead() -> None:
    """Removes what servers of this user that were killed left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        process = folder.name.removeprefix(PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if folder.is_symlink() or not folder.is_dir() or not _is_ours(folder):
                continue
            # In containers a new server often has the number of the old one.
            if process.isdecimal() and (int(process) == os.getpid() or not _is_running(int(process))):
                shutil.rmtree(folder, ignore_errors=True)


def _contents() -> Iterator[Path]:
    """Everything below the temporary folder, a folder after what is in it; links are not followed."""
    for root, folders, files in os.walk(get_upload_folder(), topdown=False):
        for name in files + folders:
            yield Path(root, name)


def _is_ours(folder: Path) -> bool:
    return not hasattr(os, "getuid") or folder.lstat().st_uid == os.getuid()


def _is_running(process: int) -> bool:
    with contextlib.suppress(PermissionError):  # it runs, as another user's
        try:
            os.kill(process, 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True
