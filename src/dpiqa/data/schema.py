"""What every data set becomes: photos with opinion scores on one scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Rating:
    """A photo and what people think of it, as the authors of the data set released it.

    Attributes:
        name: The photo's name in the labels.
        path: Its file.
        mos: Mean opinion score on the data set's own scale, higher is better.
        std: Standard deviation of the opinions, in units of the data set's rating scale.
        reference: Name of the pristine photo that this one was made from, in synthetic sets.
        split: The official split, where there is one.
        subset: Part of the data set that its authors distinguish.
    """

    name: str
    path: Path
    mos: float
    std: float | None = None
    reference: str | None = None
    split: str | None = None
    subset: str | None = None


@dataclass(frozen=True)
class Release:
    """How a data set is released.

    Attributes:
        title: Its name as its authors write it.
        read: Reads the labels in a root folder; does not look at the images.
        mos_range: The MOS that become 0 and 1.
        std_range: Width of the scale that `Rating.std` is on; None when deviations are not released.
        licence: Terms of use, in short.
        citation: Authors, title, year.
        url: Where to get it.
    """

    title: str
    read: Callable[[Path], Sequence[Rating]]
    mos_range: tuple[float, float]
    licence: str
    citation: str
    url: str
    std_range: float | None = None


def files_by_lower_name(folder: Path) -> dict[str, Path]:
    """The files of a folder by name in lower case: labels and files often disagree about ".jpg" and ".JPG".

    Raises:
        FileNotFoundError: When there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}: expected the data set as its authors release it.")
    return {path.name.lower(): path for path in folder.iterdir()}


def find_file(files: dict[str, Path], folder: Path, name: str) -> Path:
    """The file of this name whatever its case, or where it should be."""
    return files.get(name.lower(), folder / name)
