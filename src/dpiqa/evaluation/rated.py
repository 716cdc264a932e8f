"""Which photos of a rated data set are evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..counting import counted
from ..data import DataSource, IQASplits, load_iqa_splits
from ..data.scenes import near_duplicates, scene_hashes

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class RatedSet:
    """A rated data set, cut for an evaluation.

    Attributes:
        label: Its short name.
        split: "train", "validation", "test" or "all".
        cuts: One per seed; one alone where nothing is cut by seed.
        chosen: The photos of the split, for every cut.
        seeds: Seeds of the cuts; empty where nothing is cut by seed.
    """

    label: str
    split: str
    cuts: list[IQASplits]
    chosen: list[Dataset]
    seeds: list[int]

    @classmethod
    def read(cls, source: DataSource, split: str, seeds: Sequence[int], allow_missing: bool) -> RatedSet:
        """Reads labels once and cuts them with every seed.

        Raises:
            FileNotFoundError: When the data set is not there.
            ValueError: When its labels are not as expected, or no photo is in the split.
        """
        first = load_iqa_splits(source, seed=seeds[0], allow_missing=allow_missing)
        is_cut = not first.official and split != "all"
        cuts = [first, *(first.with_seed(seed) for seed in seeds[1:])] if is_cut else [first]
        chosen = [cut.whole if split == "all" else cut[split] for cut in cuts]
        if not len(chosen[0]):
            raise ValueError(f"{source.label} has no photos in its {split} split.")
        return cls(source.label, split, cuts, chosen, list(seeds) if is_cut else [])

    @property
    def photos(self) -> Dataset:
        """Every photo that one of the cuts has chosen."""
        whole, names = self.cuts[0].whole, {name for rows in self.chosen for name in rows["name"]}
        return whole.select([row for row, name in enumerate(whole["name"]) if name in names])

    def paths(self) -> dict[str, str]:
        """The path of each of these photos, by its name; the name itself where there is no path."""
        photos = self.photos
        paths = [image["path"] for image in photos["image"]]
        return {name: path or name for name, path in zip(photos["name"], paths, strict=True)}

    def parts(self) -> dict[str, list[Dataset]]:
        """The split and parts of it, for every cut: an official test split's unseen scenes, and the groups."""
        split, chosen, cut = self.split, self.chosen, self.cuts[0]
        parts = {split: chosen}
        whole = np.array(cut.photos["split"][:])
        if split == "test" and cut.official and (whole != "test").any():
            hashes = scene_hashes(cut.photos["image"])
            known = set(near_duplicates(hashes[whole == "test"], hashes[whole != "test"])[0].tolist())
            parts["test, unseen scenes"] = [chosen[0].select([r for r in range(len(chosen[0])) if r not in known])]
        groups = [rows["group"][:] for rows in chosen]
        for group in sorted({group for its in groups for group in its if group}):
            parts[f"{split}, {group}"] = [
                rows.select([row for row, one in enumerate(its) if one == group])
                for rows, its in zip(chosen, groups, strict=True)
            ]
        return parts

    def in_words(self) -> str:
        """What is evaluated, and how it was cut."""
        label, split, seeds = self.label, self.split, self.seeds
        count, total = len(self.chosen[0]), counted(len(self.cuts[0].whole), "photo")
        if split == "all":
            return f"{label}: all {total}."
        if not seeds:
            return f"{label}: {count} of {total}, the {split} split that the data set came with."
        many = f"seeds {', '.join(map(str, seeds))} (figures are medians)" if len(seeds) > 1 else f"seed {seeds[0]}"
        return f"{label}: {count} of {total}, a {split} split cut by {many}. --split all takes every photo."
