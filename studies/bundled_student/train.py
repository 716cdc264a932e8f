"""Trains the next bundled student: it is distilled from teachers of the same kind.

    python studies/bundled_student/teachers.py --data BIQ2021 --output runs/lite0
    python studies/bundled_student/train.py --data BIQ2021 --teachers runs/lite0/mean --output runs/student

The student starts from the mean of the teachers' weights, or of those of `--start`. On photos it learns the mean score
of the teachers, and no opinion score; on distorted versions of them it learns their order and where the damage is.
`--livefb` adds photos without their opinion scores. The validation split (a tenth of the train split, whole scenes)
calibrates the result; no epoch is chosen on it. `--leave-out ss01` trains without one of the sources and reports how
the student does there, as `--unseen` does for another data set; `--interval-from` takes the results of such runs, so
that the interval is that of photos of an unseen source.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import concatenate_datasets
from datasets.fingerprint import Hasher
from teachers import TRAINING, make_processor, rescale_scores, with_mos
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import Subset
from transformers import set_seed

from dpiqa import DPIQAStudent, DPIQAStudentConfig, Scorer
from dpiqa.data import load_iqa_dataset, load_iqa_splits
from dpiqa.data.images import content_digest
from dpiqa.evaluation.metrics import correlation_report
from dpiqa.models.calibration import fit_calibration
from dpiqa.training.resume import prepare_output
from dpiqa.training.twin_trainer import DPIQATwinTrainer, DPIQATwinTrainingArguments
from dpiqa.training.twins import TwinPhotos

SIZE = 320
CALIBRATION_PHOTOS = 2000
COLUMNS = ["image", "mos", "group"]


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--teachers", type=Path, nargs="+", required=True, help="checkpoints of students")
    parser.add_argument(
        "--start",
        type=Path,
        nargs="+",
        help="what the student starts from, the mean of their weights; the teachers if not given",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoint and the log")
    parser.add_argument("--versions", type=Path, help="folder of the distorted versions, which several runs can share")
    parser.add_argument("--livefb", type=Path, help="folder of LIVEFB, or of a part of it, as further photos")
    parser.add_argument("--leave-out", choices=["ss01", "ss02", "ss03"], help="a source to train without")
    parser.add_argument("--unseen", help="another data set to report on, for instance livefb=LIVEFB")
    parser.add_argument("--interval-from", type=Path, nargs="+", help="result.json of runs with unseen sources")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was cut off")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument(
        "--learning-rate", type=float, default=2e-4, help="of the backbone; the head has five times this"
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--frozen-blocks", type=int, default=5, help="stem and first blocks that stay as they are")
    parser.add_argument("--max-steps", type=int, default=-1, help="steps, for a short try")
    parser.add_argument("--every", type=int, default=3, help="one photo in so many has distorted versions")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def scores_of(checkpoint: Path, photos: Any) -> np.ndarray:
    return np.array([score.score for score in Scorer.from_pretrained(checkpoint).stream(photos["image"])])


def mean_score(teachers: list[Path], photos: Any, folder: Path) -> np.ndarray:
    """The mean score of the teachers; each one's are kept in the folder, since they take minutes."""
    digests, scores = [content_digest(image) for image in photos["image"]], []
    folder.mkdir(parents=True, exist_ok=True)
    for teacher in teachers:
        scorer = Scorer.from_pretrained(teacher, backend="auto")
        file = folder / f"scores-{Hasher.hash([scorer.fingerprint, digests])}.npy"
        if not file.exists():
            np.save(file, [score.score for score in scorer.stream(photos["image"])])
        scores.append(np.load(file))
    return np.mean(scores, 0)


def mean_of_weights(checkpoints: list[Path]) -> DPIQAStudent:
    """The student to start from."""
    students = [DPIQAStudent.from_pretrained(path) for path in checkpoints]
    average = AveragedModel(students[0])
    for student in students:
        average.update_parameters(student)
    return average.module.to(memory_format=torch.channels_last)


def agreement(scores: np.ndarray, photos: Any) -> dict[str, float]:
    """SRCC and RMSE."""
    report = correlation_report(scores, photos["mos"][:], resamples=0)
    return {name: report[name].value for name in ("srcc", "rmse")}


def quantiles_of_distance(scores: np.ndarray, photos: Any) -> list[float]:
    """Quantiles, in percent, of the distance between score and MOS."""
    return np.quantile(np.abs(scores - np.array(photos["mos"][:])), np.linspace(0, 1, 101)).round(5).tolist()


def unseen_half_width(results: list[Path], coverage: float) -> float:
    """Half the width of an interval that covers this share of an unseen source's photos; sources count alike."""
    distances = [values for path in results for values in json.loads(path.read_text())["unseen_distances"].values()]
    return round(float(np.quantile(np.concatenate(distances), coverage)), 5)


def calibrate(
    checkpoint: Path, trained_on: Any, validation: Any, scores: np.ndarray, arguments: argparse.Namespace
) -> None:
    """Writes percentiles of train scores and the interval into the checkpoint's configuration."""
    sample = trained_on.shuffle(seed=arguments.seed).select(range(min(CALIBRATION_PHOTOS, len(trained_on))))
    config = DPIQAStudentConfig.from_pretrained(checkpoint)
    fit_calibration(config, scores_of(checkpoint, sample), scores, np.array(validation["mos"][:]))
    if arguments.interval_from:
        config.interval_half_width = unseen_half_width(arguments.interval_from, config.interval_coverage)
    config.save_pretrained(checkpoint)


def train(student: DPIQAStudent, photos: Any, arguments: argparse.Namespace) -> list[Any]:
    """Trains in place and returns the log; goes on with what is there of it if told to."""
    output = arguments.output / "trainer"
    started = arguments.resume and any(output.glob("checkpoint-*"))
    resumed_from = prepare_output(output, overwrite=False, resume="last" if started else None)
    training = DPIQATwinTrainingArguments(
        output_dir=str(output),
        num_train_epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        head_learning_rate=5 * arguments.learning_rate,
        **TRAINING,
        max_steps=arguments.max_steps,
        group_plcc_weight=1.0,
        warmup_steps=0.1,
        per_device_train_batch_size=arguments.batch_size,
        dataloader_persistent_workers=True,
        save_steps=100,
        save_total_limit=1,
        seed=arguments.seed,
    )
    trainer = DPIQATwinTrainer(model=student, args=training, train_dataset=photos)
    trainer.train(resume_from_checkpoint=resumed_from)
    return trainer.state.log_history


def main(arguments: argparse.Namespace) -> None:
    splits = load_iqa_splits("biq2021", arguments.data, split_by="scene")
    rows = splits["train"].select_columns(COLUMNS)
    if arguments.livefb:
        rows = concatenate_datasets([rows, load_iqa_dataset(f"livefb={arguments.livefb}").select_columns(COLUMNS)])
    validation = splits["validation"].filter(lambda group: group != arguments.leave_out, input_columns="group")
    is_left_out = np.array(rows["group"][:]) == arguments.leave_out
    kept = np.flatnonzero(~is_left_out)
    unseen_sources = {}
    if arguments.leave_out:
        unseen_sources[arguments.leave_out] = rows.select(np.flatnonzero(is_left_out))
    if arguments.unseen:
        unseen_sources[arguments.unseen.partition("=")[0]] = load_iqa_dataset(arguments.unseen)

    versions = arguments.versions or arguments.output / "versions"
    taught = mean_score(arguments.teachers, rows, versions)
    mean, std = float(taught[kept].mean()), float(taught[kept].std())
    processor = make_processor(SIZE)
    # Versions are made of all photos, so that runs can share them.
    standardised = with_mos(rows, (taught - mean) / std)
    photos = TwinPhotos(standardised, processor, versions, every=arguments.every, num_workers=2)
    set_seed(arguments.seed)
    student = mean_of_weights(arguments.start or arguments.teachers)
    rescale_scores(student, 1 / std, -mean / std)
    student.freeze_early_layers(arguments.frozen_blocks)
    log = train(student, Subset(photos, kept.tolist()), arguments)
    rescale_scores(student, std, mean)
    checkpoint = arguments.output / "checkpoint"
    student.half().save_pretrained(checkpoint)
    processor.save_pretrained(checkpoint)

    def figures(photos: Any, scores: np.ndarray) -> dict[str, dict[str, float]]:
        taught = mean_score(arguments.teachers, photos, versions)
        return {"teachers": agreement(taught, photos), "student": agreement(scores, photos)}

    scores = scores_of(checkpoint, validation)
    result: dict[str, Any] = {
        "arguments": {name: str(value) for name, value in vars(arguments).items()},
        "photos": {"train": len(kept), "validation": len(validation)},
        "validation": figures(validation, scores),
    }
    calibrate(checkpoint, rows.select(kept), validation, scores, arguments)
    result["interval_half_width"] = DPIQAStudentConfig.from_pretrained(checkpoint).interval_half_width
    result["unseen"], result["unseen_distances"] = {}, {}
    for source, unseen in unseen_sources.items():
        scores = scores_of(checkpoint, unseen)
        result["unseen"][source] = figures(unseen, scores)
        result["unseen_distances"][source] = quantiles_of_distance(scores, unseen)
    (arguments.output / "result.json").write_text(json.dumps(result | {"log": log}, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(make_parser().parse_args())
