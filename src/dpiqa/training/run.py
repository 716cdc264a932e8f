"""What the training scripts share: data from arguments, and the end of a run."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Subset
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils.logging import tqdm

from ..data import RELEASES, IQASplits, load_iqa_splits
from ..evaluation.metrics import correlation_report
from ..evaluation.report import Result, to_markdown, write_results
from ..models.calibration import fit_calibration
from ..models.images import ImageError, open_image
from .model_card import DPIQAModelCard
from .photo_dataset import PhotoDataset
from .trainer import DPIQATrainer

logger = logging.getLogger(__name__)

CALIBRATION_PHOTOS = 2000
_CHECKED_SIDE = 32
# What scripts set unless told otherwise: the epoch that does best on the validation split is kept.
KEEP_BEST_EPOCH = {
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "save_total_limit": 1,
    "load_best_model_at_end": True,
    "logging_steps": 10,
}


@dataclass
class RunArguments:
    """What every training script takes: the photos (see [`dpiqa.data.load_iqa_dataset`]) and words for the card."""

    _argument_group_name = "photos and models"

    data: str = field(
        metadata={"help": "a .csv, .jsonl or .parquet file, a released set such as koniq10k, or a Hub data set"}
    )
    root: str | None = field(
        default=None, metadata={"help": "folder of the released set, or where the paths of the table start"}
    )
    mos_range: list[float] | None = field(
        default=None, metadata={"help": "lowest and highest of the rating scale, such as 1 5 (for a table: 0 1)"}
    )
    split_by: str | None = field(
        default=None,
        metadata={"help": "scene: near-identical photos stay on one side of every cut"},
    )
    split_seed: int = field(
        default=0, metadata={"help": "of splits that are not official; 0 as dpiqa evaluate has it"}
    )
    allow_missing: bool = field(default=False, metadata={"help": "leave out photos that are missing or unreadable"})
    mirror: bool = field(default=False, metadata={"help": "show every second photo mirrored, in turn by epoch"})
    name: str | None = field(default=None, metadata={"help": "of the checkpoint in its card (default: the folder's)"})
    data_licence: str | None = field(default=None, metadata={"help": "of photos and opinions, for the card"})
    licence: str = field(default="other", metadata={"help": "of the weights, as the Hub writes it: apache-2.0, ..."})
    resamples: int = field(default=1000, metadata={"help": "of the bootstrap intervals of the test figures"})

    @property
    def augmentations(self) -> tuple[str, ...]:
        """Names of [`dpiqa.training.augmentations.AUGMENTATIONS`]."""
        return ("original", "mirrored") if self.mirror else ("original",)

    def load(self) -> IQASplits:
        """The splits (see [`dpiqa.data.load_iqa_splits`]), every photo of them decoded once.

        Raises:
            ImageError: When a photo is damaged; with `allow_missing` it is left out.
            ValueError: When `mos_range` is not two numbers, and as said there.
        """
        if self.mos_range is not None and len(self.mos_range) != 2:
            raise ValueError(f"Expected --mos_range lowest highest, got {self.mos_range}.")
        splits = load_iqa_splits(
            self.data,
            self.root,
            seed=self.split_seed,
            split_by=self.split_by,
            mos_range=None if self.mos_range is None else (self.mos_range[0], self.mos_range[1]),
            allow_missing=self.allow_missing,
        )
        splits = splits.select(_sound(splits.photos, self.allow_missing))
        splits.check_sizes()
        return splits

    def card(self, output: str, start: str) -> DPIQAModelCard:
        """A card that says where the photos come from.

        Args:
            output: Folder of the checkpoint.
            start: What the weights were before training.
        """
        release = RELEASES.get(self.data)
        given = {} if self.data_licence is None else {"data_licence": self.data_licence}
        released = {"data_licence": f"{release.licence}.", "data_citation": release.citation} if release else {}
        return DPIQAModelCard(
            name=self.name or Path(output).resolve().name,
            data=release.title if release else Path(self.data).name if Path(self.data).exists() else self.data,
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
            open_image(image["bytes"] or image["path"], cover=(_CHECKED_SIDE, _CHECKED_SIDE))
        except ImageError as error:
            return error
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = list(tqdm(pool.map(problem, range(len(rows))), total=len(rows), desc="photos", unit="photo"))
    damaged = [error for error in problems if error]
    for error in damaged:
        if not allow_damaged:
            hint = f"{error.reason} ({len(damaged)} photos are damaged; allow_missing leaves them out)"
            raise type(error)(error.source, hint)
        logger.warning("Left out: %s", error)
    return [row for row, error in enumerate(problems) if error is None]


def _command(arguments: Sequence[str]) -> str:
    """A command line for people to read, without secrets."""
    shown = ["python"]
    secret = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        shown.append("***" if secret else argument)
        secret = name.startswith("--") and "token" in name
        if secret and equals:
            shown[-1], secret = f"{name}=***", False
    return shlex.join(shown)


def train(trainer: DPIQATrainer) -> None:
    """Trains, from the last checkpoint in `output_dir` with `resume_from_checkpoint="last"`.

    Raises:
        FileNotFoundError: When there is no checkpoint to go on from.
    """
    resume = trainer.args.resume_from_checkpoint
    if resume == "last":
        resume = get_last_checkpoint(trainer.args.output_dir)
        if resume is None:
            raise FileNotFoundError(f"There is no checkpoint in {trainer.args.output_dir} to go on from.")
    trainer.train(resume_from_checkpoint=resume)


def finish(
    trainer: DPIQATrainer,
    photos: Mapping[str, PhotoDataset],
    splits: IQASplits,
    arguments: RunArguments,
    *,
    start: str,
    before: Any = None,
) -> list[Result]:
    """Calibrates and saves a trained model in `output_dir`, scores the test split, and writes results and card.

    Args:
        trainer: After training. The test split must not have been looked at.
        photos: "train", "validation" and "test"; percentiles come from 2,000 of the training photos.
        splits: What they were made from.
        arguments: Of the script.
        start: What the weights were before training, for the card.
        before: The model as it was before training, to compare with.

    Returns:
        The figures on the test split: of the model before training, when given, and of the trained one.
    """
    config, output = trainer.model.config, Path(trainer.args.output_dir)
    sample = np.linspace(0, len(photos["train"]) - 1, min(len(photos["train"]), CALIBRATION_PHOTOS)).round()
    train_scores, _ = _predict(trainer, Subset(photos["train"], sample.astype(int).tolist()), "train")
    config.score_range = splits.mos_range
    fit_calibration(config, train_scores, *_predict(trainer, photos["validation"], "eval"))
    # Before the test photos are opened: whatever happens to them, the model is there.
    trainer.save_model()
    if trainer.is_world_process_zero():
        config.save_pretrained(output)
        photos["test"].processor.save_pretrained(output)
    card = arguments.card(str(output), start)
    base = Result(card.name, card.data, "test", 0, 0, seeds=[] if splits.official else [arguments.split_seed])
    results = []
    if before is not None:
        untrained = type(trainer)(model=before, args=trainer.args, eval_dataset=trainer.eval_dataset)
        unnamed = replace(base, model="before training")
        results.append(_scored(untrained, photos["test"], "test_before", unnamed, arguments.resamples))
    results.append(_scored(trainer, photos["test"], "test", base, arguments.resamples))
    if trainer.is_world_process_zero():
        write_results(results, output)
        card.fill(trainer, {split: len(rows) for split, rows in photos.items()}, results)
        card.save(output)
        print(to_markdown(results))
    return results


def _scored(trainer: DPIQATrainer, photos: PhotoDataset, prefix: str, base: Result, resamples: int) -> Result:
    scores, mos = _predict(trainer, photos, prefix)
    half_width = trainer.model.config.interval_half_width
    report = correlation_report(scores, mos, half_width=half_width, resamples=resamples)
    return replace(base, photos=len(scores), metrics={name: asdict(metric) for name, metric in report.items()})


def _predict(trainer: DPIQATrainer, photos: Any, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores and MOS; `prefix` names the figures in the trackers that log predictions too."""
    prediction = trainer.predict(photos, metric_key_prefix=prefix)
    return np.asarray(prediction.predictions).ravel(), np.asarray(prediction.label_ids).ravel()


__all__ = ["KEEP_BEST_EPOCH", "RunArguments", "finish", "train"]
