"""Any data set as one `datasets.Dataset` with one schema, cut into splits."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..counting import counted
from .embedded import check_name, load_embedded
from .images import identical_images
from .labels import load_labelled
from .scenes import scene_hashes, scene_names
from .schema import SPLITS, with_column
from .source import DataSource
from .splits import assign_splits, first_share, left_out, split_digest
from .table import is_table

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IQASplits:
    """A data set of rated photos, cut into splits.

    `splits["test"]` is one split. It has the columns of `photos`: `image` (`datasets.Image(decode=False)`, which
    [`dpiqa.open_image`] takes), `name`, `mos` (normalised to [0, 1], higher is better), `mos_raw` (as released),
    `mos_std` (in units of `mos`, or null), `reference` (the pristine photo's name in synthetic sets, or null), `group`
    (photos of one group were rated on one scale, or null), `scene` (what is never cut apart) and `split`.

    Attributes:
        photos: Every photo, with its split.
        whole: Every photo before the cut: here `split` is the released one, or null.
        rows: (photos,) their row numbers in `whole`.
        identical: Rows of `whole` that are byte for byte the same photo, in groups.
        source: Where it comes from.
        mos_range: The MOS that became 0 and 1.
        seed: Seed of what was cut.
    """

    photos: Dataset
    whole: Dataset
    rows: list[int]
    identical: list[list[int]]
    source: DataSource
    mos_range: tuple[float, float]
    seed: int = 0

    def __getitem__(self, split: str) -> Dataset:
        if split not in SPLITS:
            raise KeyError(f"Unknown split {split!r}: expected {', '.join(SPLITS)}.")
        return self.photos.select([row for row, its in enumerate(self.photos["split"][:]) if its == split])

    @property
    def official(self) -> bool:
        """Whether the test split came with the data set."""
        return "test" in set(self.whole["split"][:])

    @property
    def digest(self) -> str:
        """SHA-256 of which photo is in which split."""
        return split_digest(self.photos["name"][:], self.photos["split"][:])

    @property
    def released(self) -> list[str | None]:
        """(photos,) the split that each photo came in; None where it came in none."""
        return self.whole.select(self.rows)["split"][:]

    def select(self, rows: Sequence[int]) -> IQASplits:
        """The same with some of the photos, by their row numbers in `photos`."""
        return replace(self, photos=self.photos.select(rows), rows=[self.rows[row] for row in rows])

    def check_sizes(self, least: int = 2) -> None:
        """Refuses a data set that no model can be trained and tested on.

        Raises:
            ValueError: When a split has fewer photos than `least`.
        """
        counts = Counter(self.photos["split"][:])
        small = [f"{split} ({counts[split]})" for split in SPLITS if counts[split] < least]
        if small:
            raise ValueError(
                f"{self.source.title} has too few photos for {', '.join(small)}: expected at least {least} in each of "
                "train, validation and test. About 20 rated photos are the least that can be cut in three."
            )

    def with_seed(self, seed: int) -> IQASplits:
        """Cuts again, without reading labels or photos again."""
        return _cut(self.whole, self.identical, self.source, self.mos_range, seed)

    def halve_validation(self) -> tuple[Dataset, Dataset]:
        """Cuts the validation split in two, by scene: the photos that choose the epoch, and those that calibrate.

        An interval is honest only on photos that had no part in choosing what it is for.
        """
        validation = self["validation"]
        scenes = validation["scene"][:]
        selection = first_share(scenes, 0.5, f"{self.seed}:selection")
        rows: tuple[list[int], list[int]] = ([], [])
        for row, scene in enumerate(scenes):
            rows[scene not in selection].append(row)
        return validation.select(rows[0]), validation.select(rows[1])


def load_iqa_splits(
    source: DataSource | str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    split_by: str | None = None,
    use_official: bool = True,
    mos_range: tuple[float, float] | None = None,
    allow_missing: bool = False,
    **hub_options: Any,
) -> IQASplits:
    """Loads photos with opinion scores, from any source, and cuts them into train, validation and test.

    Args:
        source: A [`DataSource`] or its description: "koniq10k=/data/koniq", "photos.csv", "photos.csv:1:5", a folder
            that `dpiqa prepare` wrote or with a metadata file, or a Hub id.
        root: Folder of the release, or where the paths of a table start.
        seed: The seed for what has to be cut (see [`dpiqa.data.splits.assign_splits`]).
        split_by: "scene" keeps near-identical photos on one side of every cut (needs `imagehash`). None keeps together
            what has the same reference.
        use_official: Whether the splits that the data set came with stay as they are.
        mos_range: The MOS that become 0 and 1; needed where the data set is not a release and not in [0, 1].
        allow_missing: Whether photos that are missing or no readable image are left out, with a warning, in place of
            an error.
        **hub_options: Further arguments of `datasets.load_dataset`, such as `revision`.

    Raises:
        FileNotFoundError: When labels or photos are missing, or nothing of this name can be found.
        ValueError: When an argument, a column or a label is not as said above, or photos are unreadable.
    """
    if split_by not in (None, "scene"):
        raise ValueError(f'Unknown split_by {split_by!r}: expected "scene", or nothing.')
    source = DataSource.of(source, root, mos_range)
    if source.release is not None or is_table(source.name):
        whole, mos_range = load_labelled(source, allow_missing)
    else:
        check_name(source)
        if source.root is not None or allow_missing:
            option = "a root folder" if source.root is not None else "--allow-missing (in Python allow_missing=True)"
            raise ValueError(
                f"{source.name} holds its photos: {option} is for released sets and tables of paths only."
            )
        whole, mos_range = load_embedded(source, hub_options)
    if not use_official:
        whole = with_column(whole, "split", [None] * len(whole))
    if split_by == "scene":
        whole = with_column(whole, "scene", scene_names(whole["name"][:], scene_hashes(whole["image"])))
    return _cut(whole, identical_images(whole), source, mos_range, seed)


def load_iqa_dataset(
    source: DataSource | str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    split: str | None = None,
    **options: Any,
) -> Dataset:
    """Loads one split of rated photos, or all of them; see [`load_iqa_splits`].

    Args:
        source: The data set.
        root: Folder of the release, or where the paths of a table start.
        split: "train", "validation" or "test"; None is everything.
        **options: Further arguments of `load_iqa_splits`.

    Returns:
        The photos, with the columns of [`IQASplits`].

    Raises:
        FileNotFoundError: See `load_iqa_splits`.
        ValueError: When there is no such split; and see `load_iqa_splits`.
    """
    if split not in (None, *SPLITS):
        raise ValueError(f"Unknown split {split!r}: expected {', '.join(SPLITS)}, or None for everything.")
    splits = load_iqa_splits(source, root, **options)
    return splits.photos if split is None else splits[split]


def _cut(
    whole: Dataset, identical: list[list[int]], source: DataSource, mos_range: tuple[float, float], seed: int
) -> IQASplits:
    splits = assign_splits(whole["scene"][:], whole["split"][:], seed)
    twins = set(left_out(identical, splits))
    if twins:
        found = counted(len(twins), "photo")
        logger.warning("Left out: %s that a later split (train, validation, test) has too, byte for byte.", found)
    rows = [row for row in range(len(whole)) if row not in twins]
    photos = with_column(whole, "split", splits)
    return IQASplits(photos.select(rows) if twins else photos, whole, rows, identical, source, mos_range, seed)
