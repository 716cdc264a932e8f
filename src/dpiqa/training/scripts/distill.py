"""Distil a teacher into a small student."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from transformers import EfficientNetConfig

from ...evaluation.report import Result
from ...models.configuration_dpiqa import DPIQAConfig, DPIQAStudentConfig
from ...models.image_processing_dpiqa import DPIQAImageProcessor
from ...models.modeling_dpiqa import DPIQAModel
from ...models.modeling_dpiqa_student import DPIQAStudent
from ..arguments import HIDDEN_IN_HELP, PRESETS, SHORT_HELP, DPIQATrainingArguments, published, recipe
from ..distillation import DPIQADistillationTrainer, TeacherTargets
from ..lora import is_lora, load_teacher
from ..photo_dataset import PhotoDataset
from ..run import KEEP_BEST_EPOCH, Run, naming
from ..run_arguments import RunArguments
from ..script_parser import ScriptParser

DESCRIPTION = (
    "Distil a teacher into a student, on photos with opinion scores. The student starts from --efficientnet, "
    "--backbone or --model. The teacher runs once per photo, as its feature maps are kept. The epoch with the best "
    "SRCC on validation photos is kept, other validation photos give the interval, and the test photos are scored "
    "once, at the end."
)


@dataclass
class DistillationArguments(RunArguments):
    """The photos, the teacher, and what the student starts from."""

    teacher: str = field(
        default="my-teacher", metadata={"help": "folder or Hub id of a trained teacher, or folder of low-rank updates"}
    )
    model: str | None = field(default=None, metadata={"help": "folder or Hub id of a student to go on from"})
    efficientnet: str | None = field(
        default=None,
        metadata={"help": "folder or Hub id of an EfficientNet to start from, such as google/efficientnet-b7"},
    )
    backbone: str | None = field(
        default=None,
        metadata={"help": "backbone to start from with random weights: efficientnet-b0 .. -b7, -lite0 .. -lite2"},
    )
    head: Literal["spatial", "pooled"] = field(
        default="spatial", metadata={"help": "spatial as published; pooled takes any size and has a quality map"}
    )
    image_size: int = field(default=512, metadata={"help": "side in pixels of the student's input"})
    cache: str | None = field(
        default=None, metadata={"help": "folder of feature maps; OUTPUT/feature-maps if not given"}
    )


def make_parser(prog: str | None = None) -> ScriptParser:
    """The command line of this script."""
    parser = ScriptParser(
        [DistillationArguments, DPIQATrainingArguments],
        presets={preset: published(preset, "student") for preset in PRESETS},
        help_texts=SHORT_HELP,
        hidden=HIDDEN_IN_HELP,
        prog=prog,
        description=DESCRIPTION,
    )
    parser.set_defaults(**KEEP_BEST_EPOCH, output_dir="my-student", **recipe("student"))
    return parser


def starting_student(
    arguments: DistillationArguments, teacher: DPIQAModel
) -> tuple[DPIQAStudent, DPIQAImageProcessor]:
    """The student to train, with a feature map like the teacher's, and its processor.

    Raises:
        OSError: When there is no such model.
        ValueError: When the feature map of a given student is not like the teacher's.
    """
    maps = {name: getattr(teacher.config, name) for name in ("feature_channels", "feature_size")}
    if arguments.model:
        student = DPIQAStudent.from_pretrained(arguments.model, dtype=torch.float32)
        its_maps = {name: getattr(student.config, name) for name in maps}
        if its_maps != maps:
            raise ValueError(f"The student's feature map is not like the teacher's: expected {maps}, got {its_maps}.")
        return student, DPIQAImageProcessor.from_pretrained(arguments.model)
    options = {"head": arguments.head, "image_size": arguments.image_size, **maps}
    size = {"height": arguments.image_size, "width": arguments.image_size}
    if arguments.backbone:
        # Statistics of random weights change fast; the configuration's momentum is for fine-tuning.
        config = DPIQAStudentConfig.from_backbone(arguments.backbone, batch_norm_momentum=0.1, **options)
        return DPIQAStudent(config), DPIQAImageProcessor(size=size)
    student = DPIQAStudent.from_efficientnet(str(arguments.efficientnet), **options)
    processor = DPIQAImageProcessor.from_efficientnet(str(arguments.efficientnet), image_size=arguments.image_size)
    return student, processor


def _coverage(arguments: DistillationArguments) -> float:
    """The share of photos that the student's interval is to cover; reads configurations, no weights.

    Raises:
        OSError: When the teacher, or what the student starts from, is not there.
    """
    if not is_lora(arguments.teacher):
        with naming("--teacher", arguments.teacher):
            DPIQAConfig.from_pretrained(arguments.teacher)
    with naming("--model or --efficientnet", arguments.model or arguments.efficientnet):
        if arguments.model:
            return DPIQAStudentConfig.from_pretrained(arguments.model).interval_coverage
        if arguments.efficientnet:
            EfficientNetConfig.from_pretrained(arguments.efficientnet)
    return DPIQAStudentConfig().interval_coverage


def main(arguments: DistillationArguments, training: DPIQATrainingArguments) -> list[Result]:
    """Distils and returns the figures on the test photos.

    Raises:
        ValueError: When there is not one thing to start from, and as [`dpiqa.training.run.Run.start`].
    """
    starts = (arguments.model, arguments.efficientnet, arguments.backbone)
    if sum(start is not None for start in starts) != 1:
        raise ValueError("Expected one of --model, --efficientnet and --backbone for the student to start from.")
    run = Run.start(arguments, training, coverage=_coverage(arguments))
    with naming("--teacher", arguments.teacher):
        teacher = load_teacher(arguments.teacher).to(training.device)
        teacher_processor = DPIQAImageProcessor.from_pretrained(arguments.teacher)
    with naming("--model or --efficientnet", arguments.model or arguments.efficientnet):
        student, processor = starting_student(arguments, teacher)
    # Before the feature maps of all photos: what is wrong here would be found only after them.
    student.config.check_size(processor.size["height"], processor.size["width"])
    folder = arguments.cache or run.output / "feature-maps"
    feature_maps = TeacherTargets(teacher, teacher_processor, folder)
    train_set = PhotoDataset(
        run.splits["train"],
        processor,
        augmentations=arguments.augmentations,
        cache=feature_maps,
        num_workers=training.dataloader_num_workers,
    )
    # The teacher has said everything: its memory is the student's.
    del teacher, feature_maps
    trainer = DPIQADistillationTrainer(
        model=student,
        args=training,
        train_dataset=train_set,
        eval_dataset=PhotoDataset(run.selection, processor),
    )
    run.train(trainer)
    start = arguments.model or arguments.efficientnet or f"{arguments.backbone} with random weights"
    return run.finish(trainer, processor, start=f"`{start}`, distilled from the teacher `{arguments.teacher}`")
