"""Arguments that every training script takes: the photos, where the model goes, and words for its card."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers.utils.logging import tqdm

from ..counting import counted
from ..data import DataSource, IQASplits, load_iqa_splits
from ..data.naming import first_few
from ..models.images import ImageError, open_image
from .model_card import DPIQAModelCard

logger = logging.getLogger(__name__)

_CHECKED_SIDE = 32


@dataclass
class RunArguments:
    """What every training script takes: the photos, whether old results may go, and words for the card."""

    _argument_group_name = "photos and models"

    data: str = field(
        metadata={
            "help": "table of photos and their MOS (photos.csv), released set with its folder (koniq10k=/data/k), "
            "Hub data set, or folder that dpiqa prepare wrote"
        }
    )
    mos_range: list[float] | None = field(
        default=None,
        metadata={
            "help": "lowest and highest MOS of the rating scale; if not given, a released set's own, else 0 and 1",
            "metavar": ("LOW", "HIGH"),
        },
    )
    split_by: str | None = field(
        default=None,
        metadata={"help": '"scene" keeps near-identical photos in the same split; without it they can be in two'},
    )
    split_seed: int = field(
        default=0, metadata={"help": "seed of splits that are not official, as in dpiqa evaluate --seeds"}
    )
    allow_missing: bool = field(default=False, metadata={"help": "leave out photos that are missing or damaged"})
    skip_check: bool = field(
        default=False,
        metadata={"help": "do not decode every photo before training; a damaged photo then ends the run later"},
    )
    overwrite: bool = field(default=False, metadata={"help": "replace a model that is in the output folder"})
    mirror: bool = field(default=False, metadata={"help": "show every photo mirrored in every second epoch"})
    name: str | None = field(
        default=None, metadata={"help": "name of the model in its card; the folder's if not given"}
    )
    data_licence: str | None = field(default=None, metadata={"help": "licence of photos and opinions, for the card"})
    licence: str = field(
        default="other", metadata={"help": "licence of the weights as the Hub writes it, such as apache-2.0"}
    )
    resamples: int = field(
        default=1000, metadata={"help": "number of bootstrap samples for the intervals of the figures"}
    )

    @property
    def source(self) -> DataSource:
        """What `data` and `mos_range` describe."""
        return DataSource.parse(self.data, None if self.mos_range is None else (self.mos_range[0], self.mos_range[1]))

    @property
    def augmentations(self) -> tuple[str, ...]:
        """Names of [`dpiqa.training.augmentations.AUGMENTATIONS`] for training photos."""
        return ("original", "mirrored") if self.mirror else ("original",)

    def load(self) -> IQASplits:
        """The splits (see [`dpiqa.data.load_iqa_splits`]), every photo of them decoded once, or not with `skip_check`.

        Raises:
            ImageError: When a photo is damaged; with `allow_missing` it is left out.
            FileNotFoundError: As said there.
            ValueError: As said there.
        """
        splits = load_iqa_splits(
            self.source, seed=self.split_seed, split_by=self.split_by, allow_missing=self.allow_missing
        )
        if not self.skip_check:
            splits = splits.select(_sound(splits.photos, self.allow_missing))
        splits.check_sizes()
        return splits

    def card(self, output: str, start: str) -> DPIQAModelCard:
        """A card that says where the photos come from.

        Args:
            output: Folder of the checkpoint.
            start: What the weights were before training.
        """
        release = self.source.release
        given = {} if self.data_licence is None else {"data_licence": self.data_licence}
        released = {"data_licence": f"{release.licence}.", "data_citation": release.citation} if release else {}
        return DPIQAModelCard(
            name=self.name or Path(output).resolve().name,
            data=self.source.title,
            start=start,
            command=_command(sys.argv),
            licence=self.licence,
            **(released | given),
        )


def _sound(rows: Any, allow_damaged: bool) -> list[int]:
    """Numbers of the rows whose photos can be decoded, at a small scale. Training should not end on another one."""

    def problem(row: int) -> ImageError | None:
        image = rows[row]["image"]
        try:
            open_image(image, cover=(_CHECKED_SIDE, _CHECKED_SIDE))
        except ImageError as error:
            return error
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = list(tqdm(pool.map(problem, range(len(rows))), total=len(rows), desc="photos", unit="photo"))
    damaged = {row: error for row, error in enumerate(problems) if error}
    if damaged:
        names = first_few([str(rows[row]["name"]) for row in damaged])
        found = f"{len(damaged)} of {counted(len(rows), 'photo')} cannot be decoded: {names}"
        if not allow_damaged:
            first = next(iter(damaged.values()))
            raise type(first)(first.source, f"{first.reason} {found}; --allow-missing leaves them out.")
        logger.warning("%s. They are left out.", found)
    return [row for row in range(len(rows)) if row not in damaged]


def _command(arguments: Sequence[str]) -> str:
    """A command line for people to read, without secrets."""
    program = Path(arguments[0]).name
    shown = ["python", arguments[0]] if program.endswith(".py") and program != "__main__.py" else ["dpiqa"]
    secret = False
    for argument in arguments[1:]:
        name, equals, _ = argument.partition("=")
        shown.append("***" if secret else argument)
        secret = name.startswith("--") and "token" in name
        if secret and equals:
            shown[-1], secret = f"{name}=***", False
    return shlex.join(shown)


__all__ = ["RunArguments"]
