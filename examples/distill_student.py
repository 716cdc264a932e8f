r"""Distils a teacher into a small student.

    python examples/distill_student.py --preset koniq --data koniq10k --root KonIQ-10k --teacher teacher \
        --efficientnet google/efficientnet-b7 --output_dir student

The teacher runs once per photo: its feature maps are kept in `--cache`. The epoch with the best SRCC on the validation
split is kept; the test split is scored once, at the end. It takes transformers' TrainingArguments as
well; `--config run.yaml` reads any of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from transformers import set_seed

from dpiqa import DPIQAImageProcessor, DPIQAModel, DPIQAStudent, DPIQAStudentConfig
from dpiqa.data.schema import SPLITS
from dpiqa.evaluation.report import Result
from dpiqa.training.arguments import PRESETS, DPIQATrainingArguments, published
from dpiqa.training.distillation import DPIQADistillationTrainer, TeacherTargets
from dpiqa.training.lora import load_teacher
from dpiqa.training.photo_dataset import PhotoDataset
from dpiqa.training.run import KEEP_BEST_EPOCH, RunArguments, finish, train
from dpiqa.training.script_parser import ScriptParser


@dataclass
class DistillationArguments(RunArguments):
    """The photos, the teacher, and what the student starts from."""

    teacher: str = field(
        default="teacher", metadata={"help": "a trained teacher: folder, Hub id, or folder of updates"}
    )
    efficientnet: str | None = field(
        default=None, metadata={"help": "folder or Hub id of an EfficientNet, such as google/efficientnet-b7"}
    )
    student: str | None = field(default=None, metadata={"help": "or folder or Hub id of a student to go on from"})
    backbone: str | None = field(
        default=None,
        metadata={"help": "or one with random weights: efficientnet-b0 .. -b7, efficientnet-lite0 .. -lite2"},
    )
    head: Literal["spatial", "pooled"] = field(
        default="spatial", metadata={"help": "spatial as published; pooled takes any size and has a quality map"}
    )
    image_size: int = field(default=512, metadata={"help": "side in pixels of the student's input"})
    cache: str | None = field(default=None, metadata={"help": "folder of feature maps (default: output_dir/targets)"})


def make_parser() -> ScriptParser:
    presets = {preset: published(preset, "student") for preset in PRESETS}
    description = __doc__.splitlines()[0]
    parser = ScriptParser([DistillationArguments, DPIQATrainingArguments], presets=presets, description=description)
    parser.set_defaults(**KEEP_BEST_EPOCH, output_dir="student", **published("koniq", "student"))
    return parser


def starting_student(
    arguments: DistillationArguments, teacher: DPIQAModel
) -> tuple[DPIQAStudent, DPIQAImageProcessor]:
    """The student to train, with a feature map like the teacher's, and its processor."""
    if sum(start is not None for start in (arguments.efficientnet, arguments.student, arguments.backbone)) != 1:
        raise ValueError("Expected one of --efficientnet, --student and --backbone.")
    maps = {name: getattr(teacher.config, name) for name in ("feature_channels", "feature_size")}
    if arguments.student:
        student = DPIQAStudent.from_pretrained(arguments.student, dtype=torch.float32)
        if {name: getattr(student.config, name) for name in maps} != maps:
            raise ValueError(f"The student's feature map is not like the teacher's: expected {maps}.")
        return student, DPIQAImageProcessor.from_pretrained(arguments.student)
    options = {"head": arguments.head, "image_size": arguments.image_size, **maps}
    size = {"height": arguments.image_size, "width": arguments.image_size}
    if arguments.backbone:
        config = DPIQAStudentConfig.from_backbone(arguments.backbone, **options)
        return DPIQAStudent(config), DPIQAImageProcessor(size=size)
    student = DPIQAStudent.from_efficientnet(arguments.efficientnet, **options)
    # The mean and standard deviation that its weights were trained on.
    trained = DPIQAImageProcessor.from_pretrained(arguments.efficientnet)
    norm = {"do_normalize": True, "image_mean": trained.image_mean, "image_std": trained.image_std}
    return student, DPIQAImageProcessor(size=size, **norm)


def main(arguments: DistillationArguments, training: DPIQATrainingArguments) -> list[Result]:
    set_seed(training.seed)
    splits = arguments.load()
    by_split = {split: splits[split] for split in SPLITS}
    teacher = load_teacher(arguments.teacher).to(training.device)
    student, processor = starting_student(arguments, teacher)
    folder = arguments.cache or Path(training.output_dir) / "targets"
    targets = TeacherTargets(teacher, DPIQAImageProcessor.from_pretrained(arguments.teacher), folder)
    del teacher
    photos = {split: PhotoDataset(rows, processor) for split, rows in by_split.items() if split != "train"}
    with training.main_process_first(desc="targets"):
        photos["train"] = PhotoDataset(
            by_split["train"],
            processor,
            augmentations=arguments.augmentations,
            cache=targets,
            num_workers=training.dataloader_num_workers,
        )
    del targets
    trainer = DPIQADistillationTrainer(
        model=student, args=training, train_dataset=photos["train"], eval_dataset=photos["validation"]
    )
    train(trainer)
    start = arguments.student or arguments.efficientnet or f"{arguments.backbone} with random weights"
    start = f"`{start}`, distilled from the teacher `{arguments.teacher}`"
    return finish(trainer, photos, splits, arguments, start=start)


if __name__ == "__main__":
    main(*make_parser().parse_args_into_dataclasses())
