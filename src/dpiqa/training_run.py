"""What the training scripts share: data from arguments, and the end of a run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Subset
from transformers.trainer_utils import get_last_checkpoint

from .calibration import fit_calibration
from .data import RELEASES, load_iqa_splits
from .metrics import correlation_report
from .model_card import DPIQAModelCard
from .photo_dataset import PhotoDataset
from .report import Result, to_markdown, write_results
from .trainer import DPIQATrainer

CALIBRATION_PHOTOS = 2000
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
        metadata={
            "help": "scene: near-identical photos stay on one side; train scene: when validation is cut from train"
        },
    )
    split_seed: int = field(
        default=0, metadata={"help": "of splits that are not official; 0 as dpiqa evaluate has it"}
    )
    allow_missing: bool = field(default=False, metadata={"help": "leave out photos that are missing or unreadable"})
    mirror: bool = field(default=False, metadata={"help": "show every second photo mirrored, in turn by epoch"})
    name: str | None = field(default=None, metadata={"help": "of the checkpoint in its card (default: the folder's)"})
    data_licence: str | None = field(default=None, metadata={"help": "of photos and opinions, for the card"})
    resamples: int = field(default=1000, metadata={"help": "of the bootstrap intervals of the test figures"})

    @property
    def views(self) -> tuple[str, ...]:
        """Names of [`dpiqa.views.VIEWS`]."""
        return ("original", "mirrored") if self.mirror else ("original",)

    def load(self) -> dict[str, Any]:
        """The splits; see [`dpiqa.data.load_iqa_splits`].

        Raises:
            ValueError: When `mos_range` is not two numbers, and as said there.
        """
        if self.mos_range is not None and len(self.mos_range) != 2:
            raise ValueError(f"Expected --mos_range lowest highest, got {self.mos_range}.")
        return load_iqa_splits(
            self.data,
            self.root,
            seed=self.split_seed,
            split_by=self.split_by,
            mos_range=None if self.mos_range is None else (self.mos_range[0], self.mos_range[1]),
            allow_missing=self.allow_missing,
        )

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
            data=release.title if release else Path(self.data).name,
            start=start,
            command=shlex.join(["python", *sys.argv]),
            **(released | given),
        )


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
    card: DPIQAModelCard,
    *,
    before: Any = None,
    resamples: int = 1000,
) -> list[Result]:
    """Calibrates a trained model, scores the test split, and leaves checkpoint, results and card in `output_dir`.

    Args:
        trainer: After training. The test split must not have been looked at.
        photos: "train", "validation" and "test"; percentiles come from 2,000 of the training photos.
        card: What the user has to say.
        before: The model as it was before training, to compare with.
        resamples: Of the bootstrap intervals.

    Returns:
        The figures on the test split: of the model before training, when given, and of the trained one.
    """
    config, output = trainer.model.config, Path(trainer.args.output_dir)
    sample = np.linspace(0, len(photos["train"]) - 1, min(len(photos["train"]), CALIBRATION_PHOTOS)).round()
    train_scores, _ = _predict(trainer, Subset(photos["train"], sample.astype(int).tolist()))
    fit_calibration(config, train_scores, *_predict(trainer, photos["validation"]))
    results = []
    if before is not None:
        untrained = type(trainer)(model=before, args=trainer.args, eval_dataset=trainer.eval_dataset)
        results.append(_result(untrained, photos["test"], card, "before training", resamples))
    results.append(_result(trainer, photos["test"], card, card.name, resamples))
    trainer.save_model()
    if trainer.is_world_process_zero():
        config.save_pretrained(output)
        photos["test"].processor.save_pretrained(output)
        write_results(results, output)
        card.fill(trainer, {split: len(rows) for split, rows in photos.items()}, results)
        card.save(output)
        print(to_markdown(results))
    return results


def _result(trainer: DPIQATrainer, photos: PhotoDataset, card: DPIQAModelCard, name: str, resamples: int) -> Result:
    scores, mos = _predict(trainer, photos)
    half_width = trainer.model.config.interval_half_width
    report = correlation_report(scores, mos, half_width=half_width, resamples=resamples)
    metrics = {metric: asdict(value) for metric, value in report.items()}
    return Result(name, card.data, "test", len(scores), 0, metrics=metrics)


def _predict(trainer: DPIQATrainer, photos: Any) -> tuple[np.ndarray, np.ndarray]:
    prediction = trainer.predict(photos)
    return np.asarray(prediction.predictions).ravel(), np.asarray(prediction.label_ids).ravel()


__all__ = ["KEEP_BEST_EPOCH", "RunArguments", "finish", "train"]
