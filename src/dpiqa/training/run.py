"""What the training scripts share: the start of a run, and its end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from transformers import set_seed
from transformers.utils import ADAPTER_CONFIG_NAME

from ..counting import counted
from ..data import IQASplits
from ..evaluation.evaluate import evaluate_photos
from ..evaluation.report import Result, to_tables, write_results
from ..models.calibration import fit_calibration
from ..models.image_processing_dpiqa import DPIQAImageProcessor
from ..scoring.checkpoint_source import only_local
from ..scoring.scorer import Scorer
from .arguments import DPIQATrainingArguments
from .lora import is_lora, merge_lora
from .resume import prepare_output
from .run_arguments import RunArguments
from .trainer import DPIQATrainer

CALIBRATION_PHOTOS = 2000
# What scripts set unless told otherwise: the epoch that does best on the validation photos is kept.
KEEP_BEST_EPOCH = {
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "save_total_limit": 1,
    "load_best_model_at_end": True,
    "logging_steps": 10,
}


@dataclass(frozen=True)
class Run:
    """A run whose photos are loaded and whose output folder is free.

    Attributes:
        arguments: The arguments of the script.
        training: The arguments of the trainer.
        splits: The photos.
        selection: Validation photos that choose the epoch.
        calibration: Validation photos that give the interval. Nothing else looks at them, which makes the interval
            split-conformal. They are None where they would be too few; then all validation photos choose the epoch.
        checkpoint: The checkpoint to go on from, or None.
    """

    arguments: RunArguments
    training: DPIQATrainingArguments
    splits: IQASplits
    selection: Any
    calibration: Any | None
    checkpoint: str | None

    @classmethod
    def start(cls, arguments: RunArguments, training: DPIQATrainingArguments, *, coverage: float) -> Run:
        """Loads the photos, sets the seeds, looks at the output folder, and says which photos are for what.

        Args:
            arguments: The arguments of the script.
            training: The arguments of the trainer.
            coverage: Share of photos that the interval should cover, from the model's configuration.

        Raises:
            FileExistsError: When there is a model in the output folder (see [`dpiqa.training.resume.prepare_output`]).
            FileNotFoundError: When labels, photos, or a checkpoint to go on from are not there.
            ValueError: When an argument, a label or a photo is not as expected.
        """
        set_seed(training.seed)
        with training.main_process_first(desc="output"):
            checkpoint = prepare_output(
                str(training.output_dir), overwrite=arguments.overwrite, resume=training.resume_from_checkpoint
            )
        splits = arguments.load()
        selection, calibration = splits.halve_validation()
        if len(calibration) < photos_for_an_interval(coverage):
            selection, calibration = splits["validation"], None
        run = cls(arguments, training, splits, selection, calibration, checkpoint)
        if training.process_index == 0:
            print(run.photos_in_words(coverage))
        return run

    @property
    def output(self) -> Path:
        """Folder of the model."""
        return Path(str(self.training.output_dir))

    @property
    def counts(self) -> dict[str, int]:
        """How many photos are for what: train, selection, calibration, test."""
        calibration = 0 if self.calibration is None else len(self.calibration)
        train, test = (len(self.splits[split]) for split in ("train", "test"))
        return {"train": train, "selection": len(self.selection), "calibration": calibration, "test": test}

    def photos_in_words(self, coverage: float) -> str:
        """Which photos are for what, and what few of them mean."""
        counts, arguments = self.counts, self.arguments
        by = "scene" if arguments.split_by else "name"
        cut = "its own test split" if self.splits.official else f"cut by {by} with seed {arguments.split_seed}"
        text = (
            f"{arguments.source.label}: {counted(counts['train'], 'photo')} to train, {counts['selection']} to "
            f"choose the epoch, {counts['calibration']} to calibrate the interval, {counts['test']} to test ({cut})."
        )
        if self.calibration is None:
            needed = photos_for_an_interval(coverage)
            photos = counted(needed, "photo")
            text += (
                f"\nThere will be no interval: a {100 * coverage:.0f} % interval needs {photos} beside those "
                f"that choose the epoch, so {2 * needed} for validation. Rate more photos, or mark more of them "
                "`validation` in a column `split`."
            )
        return text

    def train(self, trainer: DPIQATrainer) -> None:
        """Trains, from the checkpoint where there is one to go on from."""
        trainer.train(resume_from_checkpoint=self.checkpoint)

    def finish(
        self, trainer: DPIQATrainer, processor: DPIQAImageProcessor, *, start: str, before: str | None = None
    ) -> list[Result]:
        """Saves and calibrates the trained model, scores the test photos, and writes results and card.

        All scores come from the folder that was written, through [`dpiqa.Scorer`], as its users get them.

        Args:
            trainer: After training. The test photos must not have been looked at.
            processor: The processor of the model.
            start: What the weights were before training, for the card.
            before: Folder or Hub id of the model before training, to compare with.

        Returns:
            The figures on the test photos, of the model before training when given, and of the trained one; nothing
            in other processes than the first.
        """
        output = self.output
        config = trainer.model.config
        config.score_range = self.splits.mos_range
        config.score_quantiles = config.interval_half_width = None
        if trainer.is_world_process_zero():
            # Of an older run, whose low-rank updates would be read in place of a whole model.
            (output / ADAPTER_CONFIG_NAME).unlink(missing_ok=True)
        trainer.save_model()
        if not trainer.is_world_process_zero():
            return []
        processor.save_pretrained(output)
        config.save_pretrained(output)
        trainer.free_memory()
        scorer = load_scorer(output)
        train = self.splits["train"]
        sample = np.linspace(0, len(train) - 1, min(len(train), CALIBRATION_PHOTOS)).round().astype(int)
        calibration = train.select([]) if self.calibration is None else self.calibration
        train_scores, scores = (_scores(scorer, rows) for rows in (train.select(sample), calibration))
        del scorer
        fit_calibration(config, train_scores, scores, calibration["mos"][:])
        config.save_pretrained(output)

        card = self.arguments.card(str(output), start)
        models = {} if before is None else {"before training": Scorer.from_pretrained(before)}
        models[card.name] = load_scorer(output)
        results = [
            evaluate_photos(
                model,
                self.splits["test"],
                model=name,
                data=self.arguments.source.label,
                seeds=[] if self.splits.official else [self.arguments.split_seed],
                resamples=self.arguments.resamples,
            )
            for name, model in models.items()
        ]
        write_results(results, output)
        card.fill(trainer, self.counts, results)
        card.save(output)
        Console().print(*to_tables(results), crop=False)
        srccs = [result.metrics["srcc"]["value"] for result in results]
        if srccs[-1] < srccs[0]:
            print(f"The test photos speak for the model as it was: SRCC {srccs[0]:.3f}, now {srccs[-1]:.3f}.")
        print(self.outcome_in_words())
        return results

    def outcome_in_words(self) -> str:
        """Where the model is and how to use it."""
        output = self.output
        use = (
            f'from dpiqa.training.lora import merge_lora; merge_lora("{output}").save_pretrained("teacher")'
            if is_lora(output)
            else f"dpiqa score photos/ --model {output}"
        )
        chosen = f"{counted(len(self.selection), 'photo')} chose the epoch"
        interval = "none were left for an interval" if self.calibration is None else "others gave the interval"
        return (
            f"The model is in {output}, with its card (README.md) and these figures (results.json); {chosen}, "
            f"{interval}.\nUse it: {use}"
        )


@contextmanager
def naming(option: str, source: str | None) -> Iterator[None]:
    """Says which option an error of loading is about: not all of transformers' messages name the model.

    Args:
        option: As on the command line.
        source: Folder or Hub id of a checkpoint of dpiqa or of transformers, if it is one. Where there is no such
            checkpoint, that is said in place of what transformers says about connections.
    """
    try:
        yield
    except OSError as error:
        if source is None:
            raise OSError(f"{option}: {error}") from error
        try:
            only_local(source)
        except OSError as plain:
            raise OSError(f"{option} {source}: {plain}") from error
        raise OSError(f"{option} {source}: {error}") from error


def photos_for_an_interval(coverage: float) -> int:
    """How many photos a split-conformal interval with this coverage needs at least: 9 for 90 %."""
    return next(photos for photos in count(1) if math.ceil((photos + 1) * coverage) <= photos)


def load_scorer(folder: Path) -> Scorer:
    """A scorer of the model in a folder, low-rank updates of a teacher included."""
    if is_lora(folder):
        return Scorer(merge_lora(folder), DPIQAImageProcessor.from_pretrained(folder))
    return Scorer.from_pretrained(folder)


def _scores(scorer: Scorer, rows: Any) -> Sequence[float]:
    return [score.score for score in scorer.stream(rows["image"])]


__all__ = ["KEEP_BEST_EPOCH", "Run", "load_scorer", "naming", "photos_for_an_interval"]
