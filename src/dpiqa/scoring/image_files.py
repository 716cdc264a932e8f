"""Which photos a list of inputs stands for."""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .webp .gif .bmp .dib .tif .tiff .ppm .pgm .pbm .pnm .jp2 .j2k .jpx .tga .avif "
    ".heic .heif .hif .jxl".split()
)
# What cameras write before it is developed. Many are TIFF files whose first picture is a thumbnail: never open them.
RAW_SUFFIXES = frozenset(
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .kdc .mef .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf "
    ".srw .x3f".split()
)


@dataclass
class FoundImages:
    """Photos in a stable order, and what else was found.

    Attributes:
        entries: (path, why it cannot be opened) of photos, and of what was named or met and is none: a folder that
            cannot be read, a pipe, a name that nothing bears. The second is None for what is worth a try.
        repeated: How often a file was named or met again; it is in `entries` once, by the path that came first.
        skipped: Hidden files and files of other kinds in walked folders, RAW files among them.
        raw: How many of the skipped are RAW files, by suffix in capitals.
    """

    entries: list[tuple[str, str | None]] = field(default_factory=list)
    repeated: int = 0
    skipped: int = 0
    raw: Counter[str] = field(default_factory=Counter)
    _walked: set[tuple[int, int]] = field(default_factory=set, repr=False)
    _resolved: set[str] = field(default_factory=set, repr=False)
    _folders: dict[str, str] = field(default_factory=dict, repr=False)  # of the files, as given and resolved

    @property
    def paths(self) -> list[str]:
        """The files to open."""
        return [path for path, error in self.entries if error is None]

    def add(self, name: str | os.PathLike[str], *, patterns: bool = True) -> None:
        """Adds a file, a folder (recursively) or the files that a glob pattern matches.

        A file that is named is taken whatever it is called, and a name that does not exist is kept: it becomes an
        error where a user looks for it. Every real folder is walked once, so that links cannot loop.

        Args:
            name: Path or pattern (`*`, `?`, `[...]`, `**`); a file of this very name comes before the pattern.
            patterns: Whether names can be patterns.
        """
        name = os.fspath(name)
        if os.path.isdir(name):
            self._add_folder(name)
        elif patterns and glob.has_magic(name) and not os.path.lexists(name):
            self._add_matches(name)
        elif _suffix(name) in RAW_SUFFIXES:
            self._take(name, "a RAW file: export it as JPEG first")
        else:
            self._take(name, _why_not_a_file(name))

    def holds(self, folder: str | os.PathLike[str]) -> bool:
        """Whether new files in a folder, which need not exist, would be among the photos.

        That is where it holds one of the photos, or is in a folder that was added: they are then found when the same
        is added again.
        """
        if _real(os.fspath(folder)) in self._folders.values():
            return True
        current = os.path.abspath(folder)
        while True:
            with contextlib.suppress(OSError):
                status = os.stat(current)
                if (status.st_dev, status.st_ino) in self._walked:
                    return True
            parent, name = os.path.split(current)
            if parent == current or name.startswith("."):
                return False
            current = parent

    def _take(self, path: str, error: str | None) -> None:
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = _real(folder)
        resolved = os.path.join(self._folders[folder], name)
        if os.path.islink(resolved):
            resolved = _real(resolved)
        if resolved in self._resolved:
            self.repeated += 1
            return
        self._resolved.add(resolved)
        self.entries.append((path, error))

    def _add_matches(self, pattern: str) -> None:
        try:
            matches = sorted(glob.glob(pattern, recursive=True))
        except RecursionError:
            self.entries.append((pattern, "folders are too deep for a pattern: name the folder instead"))
            return
        if not matches:
            self.entries.append((pattern, "no file matches this pattern"))
        for match in matches:
            if os.path.isdir(match):
                self._add_folder(match)
            else:
                self._add_file(match)

    def _add_folder(self, folder: str) -> None:
        for path, error in self._walk(folder):
            if error is None:
                self._add_file(path)
            else:
                self.entries.append((path, error))

    def _add_file(self, path: str) -> None:
        suffix = _suffix(path)
        if suffix in SUFFIXES and not os.path.basename(path).startswith("."):
            self._take(path, _why_not_a_file(path))
            return
        self.skipped += 1
        if suffix in RAW_SUFFIXES:
            self.raw[suffix.upper()] += 1

    def _walk(self, folder: str) -> Iterator[tuple[str, str | None]]:
        """Files below a folder, and folders that cannot be read; with a stack of its own, however deep it goes."""
        stack = [folder]
        while stack:
            current = stack.pop()
            try:
                status = os.stat(current)
                if (status.st_dev, status.st_ino) in self._walked:
                    continue
                self._walked.add((status.st_dev, status.st_ino))
                with os.scandir(current) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                yield current, f"this folder cannot be read ({error.strerror})"
                continue
            folders = []
            for entry in entries:
                if not _is_folder(entry):
                    yield entry.path, None
                elif not entry.name.startswith("."):
                    folders.append(entry.path)
            stack += reversed(folders)


def find_images(
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], *, patterns: bool = True
) -> FoundImages:
    """Expands files, folders (recursively) and glob patterns; see [`FoundImages.add`].

    Args:
        inputs: Paths and patterns, or a single one.
        patterns: Whether names can be patterns; where they come from a list, they are not.

    Returns:
        The photos, sorted within each folder and pattern, in the order of the inputs.
    """
    found = FoundImages()
    for name in [inputs] if isinstance(inputs, str | os.PathLike) else inputs:
        found.add(name, patterns=patterns)
    return found


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # a name that no file can have
        return path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, for one
        return False


def _why_not_a_file(path: str) -> str | None:
    """A reason for what must not be opened, since it would wait for ever, such as a pipe; all else can be tried."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # opening it says why
        return None
    return None if stat.S_ISREG(mode) else "not a regular file"
