"""Fine-tune a student on your own rated photos."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ...checkpoints import bundled_checkpoint
from ...evaluation.report import Result
from ...models.configuration_dpiqa import DPIQAStudentConfig
from ...models.image_processing_dpiqa import DPIQAImageProcessor
from ...models.modeling_dpiqa_student import DPIQAStudent
from ..arguments import HIDDEN_IN_HELP, SHORT_HELP, DPIQATrainingArguments
from ..photo_dataset import PhotoDataset
from ..run import KEEP_BEST_EPOCH, Run, naming
from ..run_arguments import RunArguments
from ..script_parser import ScriptParser
from ..trainer import DPIQATrainer

DESCRIPTION = (
    "Fine-tune a student on photos with opinion scores. The epoch with the best SRCC on validation photos is kept. "
    "Other validation photos give the interval. The test photos are scored once, at the end, with the student as it "
    "was before training and as it is then."
)


@dataclass
class StudentArguments(RunArguments):
    """The photos and the student to start from."""

    model: str | None = field(
        default=None, metadata={"help": "folder or Hub id of the student to start from; the bundled one if not given"}
    )
    frozen_blocks: int = field(
        default=5,
        metadata={
            "help": "number of first blocks that are not trained, and neither are the stem and all depthwise filters; "
            "-1 trains everything"
        },
    )


def make_parser(prog: str | None = None) -> ScriptParser:
    """The command line of this script."""
    parser = ScriptParser(
        [StudentArguments, DPIQATrainingArguments],
        help_texts=SHORT_HELP,
        hidden=HIDDEN_IN_HELP,
        prog=prog,
        description=DESCRIPTION,
    )
    parser.set_defaults(
        **KEEP_BEST_EPOCH,
        logging_strategy="epoch",
        output_dir="my-student",
        num_train_epochs=10,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=16,
        learning_rate=5e-5,
        head_learning_rate=5e-4,
        lr_scheduler_type="cosine",
        plcc_weight=0.5,
    )
    return parser


def main(arguments: StudentArguments, training: DPIQATrainingArguments) -> list[Result]:
    """Fine-tunes and returns the figures on the test photos, before and after."""
    model = arguments.model or str(bundled_checkpoint())
    with naming("--model", model):
        config = DPIQAStudentConfig.from_pretrained(model)
    run = Run.start(arguments, training, coverage=config.interval_coverage)
    with naming("--model", model):
        student = DPIQAStudent.from_pretrained(model, dtype=torch.float32)
        processor = DPIQAImageProcessor.from_pretrained(model)
    student.config.check_size(processor.size["height"], processor.size["width"])
    # A few hundred photos say too little about the statistics of a batch.
    student.config.freeze_batch_norm = True
    if arguments.frozen_blocks >= 0:
        student.freeze_early_layers(arguments.frozen_blocks)
    student.to(memory_format=torch.channels_last)
    trainer = DPIQATrainer(
        model=student,
        args=training,
        train_dataset=PhotoDataset(run.splits["train"], processor, augmentations=arguments.augmentations),
        eval_dataset=PhotoDataset(run.selection, processor),
    )
    run.train(trainer)
    start = "the bundled student" if arguments.model is None else f"`{model}`"
    return run.finish(trainer, processor, start=start, before=model)
