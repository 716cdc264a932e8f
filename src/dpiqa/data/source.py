"""The one description of a data set, for every command and for Python."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from . import biq2021, clive, kadid10k, koniq10k, livefb, spaq, tid2013
from .schema import Release
from .table import FORMATS

RELEASES: dict[str, Release] = {
    "biq2021": biq2021.RELEASE,
    "clive": clive.RELEASE,
    "kadid10k": kadid10k.RELEASE,
    "koniq10k": koniq10k.RELEASE,
    "livefb": livefb.RELEASE,
    "spaq": spaq.RELEASE,
    "tid2013": tid2013.RELEASE,
}
"""The released data sets, by the names that command lines take."""
_WITH_SCALE = re.compile(r"(?P<name>.+):(?P<low>[^:/\\]+):(?P<high>[^:/\\]+)")


@dataclass(frozen=True)
class DataSource:
    """A data set, wherever it is.

    Attributes:
        name: One of [`RELEASES`], with `root`; a .csv, .jsonl or .parquet file; a folder with a metadata file, or one
            that `dpiqa prepare` wrote; or a Hub id.
        root: Folder of the release as its authors distribute it; for a table, where its paths start.
        mos_range: The MOS that become 0 and 1; needed where the data set is not a release and not in [0, 1].

    Raises:
        ValueError: When `mos_range` is not two ascending, finite numbers, or the data set is a release.
    """

    name: str
    root: str | None = None
    mos_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.mos_range is not None:
            check_mos_range(self.mos_range)
            if self.release is not None:
                raise ValueError(f"{self.release.title} has a rating scale of its own: leave the MOS range out.")

    @classmethod
    def parse(cls, text: str, mos_range: tuple[float, float] | None = None) -> DataSource:
        """Reads "koniq10k=/data/koniq", "photos.csv", "photos.csv:1:5" (with its rating scale), or a Hub id.

        Args:
            text: The description, as on a command line.
            mos_range: The rating scale of a table or a Hub data set whose description does not name it.

        Raises:
            ValueError: When the description names another rating scale.
        """
        # What is there is meant as it stands, whatever characters its path has.
        if Path(text).exists():
            return cls(text, None, mos_range)
        scale = _WITH_SCALE.fullmatch(text)
        if scale and _is_number(scale["low"]) and _is_number(scale["high"]):
            own = float(scale["low"]), float(scale["high"])
            if mos_range is not None and tuple(mos_range) != own:
                given = ":".join(f"{end:g}" for end in mos_range)
                raise ValueError(f"{text} names its rating scale, and another one was given, {given}: leave one out.")
            text, mos_range = scale["name"], own
            if Path(text).exists():
                return cls(text, None, mos_range)
        name, _, root = text.partition("=")
        # The option is for what has no scale of its own; a scale in the description itself is refused.
        return cls(name, root or None, mos_range if scale or name not in RELEASES else None)

    @classmethod
    def of(
        cls,
        source: DataSource | str | os.PathLike[str],
        root: str | os.PathLike[str] | None = None,
        mos_range: tuple[float, float] | None = None,
    ) -> DataSource:
        """A source as it is, or from a description; `root` and `mos_range` fill in what it does not say."""
        if not isinstance(source, DataSource):
            # A path is a path, whatever characters it has.
            source = cls.parse(source, mos_range) if isinstance(source, str) else cls(os.fspath(source))
        return replace(
            source,
            root=source.root if root is None else os.fspath(root),
            mos_range=source.mos_range if mos_range is None else (mos_range[0], mos_range[1]),
        )

    @property
    def release(self) -> Release | None:
        """How the data set is released, when it is one of [`RELEASES`]."""
        return RELEASES.get(self.name)

    @property
    def label(self) -> str:
        """Short name for tables and files."""
        return Path(self.name).stem if Path(self.name).suffix in FORMATS else Path(self.name).name

    @property
    def title(self) -> str:
        """Name for people."""
        if self.release:
            return self.release.title
        return Path(self.name).name if Path(self.name).exists() else self.name


def check_mos_range(mos_range: tuple[float, float]) -> None:
    """Refuses a range that is no rating scale.

    Raises:
        ValueError: When it is not two ascending, finite numbers.
    """
    given = ":".join(f"{end:g}" for end in mos_range)
    expected = "expected the lowest and the highest of the rating scale, such as 1 5"
    if len(mos_range) != 2 or not all(math.isfinite(end) for end in mos_range) or mos_range[0] == mos_range[1]:
        raise ValueError(f"{given} is no rating scale: {expected}.")
    if mos_range[0] > mos_range[1]:
        raise ValueError(f"The rating scale {given} is reversed: {expected}.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
