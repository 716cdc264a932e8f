"""Fine-tunes a student on your own photos: a table of `path,mos` becomes a checkpoint that `dpiqa score` takes.

    python examples/finetune_student.py --data photos.csv --mos_range 1 5 --output_dir my-student
    dpiqa score photos/ --model my-student

The table is split by itself (or by its column `split`): the epoch with the best SRCC on the validation part is kept;
that part also calibrates the 90 % interval. The test part is scored at the end, with the student as it was before and
as it is now. It takes transformers' TrainingArguments as well; `--config run.yaml` reads any of them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch
from transformers import set_seed

from dpiqa import DPIQAImageProcessor, DPIQAStudent, bundled_checkpoint
from dpiqa.data.schema import SPLITS
from dpiqa.evaluation.report import Result
from dpiqa.training.arguments import DPIQATrainingArguments
from dpiqa.training.photo_dataset import PhotoDataset
from dpiqa.training.run import KEEP_BEST_EPOCH, RunArguments, finish, train
from dpiqa.training.script_parser import ScriptParser
from dpiqa.training.trainer import DPIQATrainer


@dataclass
class FineTuningArguments(RunArguments):
    """The photos and the student to start from."""

    model: str = field(default=str(bundled_checkpoint()), metadata={"help": "folder or Hub id of a student"})
    frozen_blocks: int = field(
        default=5, metadata={"help": "stay as they are, with the stem and all depthwise filters; -1 trains everything"}
    )


def make_parser() -> ScriptParser:
    parser = ScriptParser([FineTuningArguments, DPIQATrainingArguments], description=__doc__.splitlines()[0])
    parser.set_defaults(
        **KEEP_BEST_EPOCH,
        logging_strategy="epoch",
        output_dir="finetuned-student",
        num_train_epochs=10,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=16,
        learning_rate=5e-5,
        head_learning_rate=5e-4,
        lr_scheduler_type="cosine",
        plcc_weight=0.5,
    )
    return parser


def main(arguments: FineTuningArguments, training: DPIQATrainingArguments) -> list[Result]:
    set_seed(training.seed)
    splits = arguments.load()
    by_split = {split: splits[split] for split in SPLITS}
    processor = DPIQAImageProcessor.from_pretrained(arguments.model)
    student = DPIQAStudent.from_pretrained(arguments.model, dtype=torch.float32)
    before = copy.deepcopy(student)
    # A few hundred photos say too little about the statistics of a batch.
    student.config.freeze_batch_norm = True
    if arguments.frozen_blocks >= 0:
        student.freeze_early_layers(arguments.frozen_blocks)
    student.to(memory_format=torch.channels_last)
    photos = {
        split: PhotoDataset(
            rows, processor, augmentations=arguments.augmentations if split == "train" else ("original",)
        )
        for split, rows in by_split.items()
    }
    trainer = DPIQATrainer(
        model=student, args=training, train_dataset=photos["train"], eval_dataset=photos["validation"]
    )
    train(trainer)
    return finish(trainer, photos, splits, arguments, start=f"`{arguments.model}`", before=before)


if __name__ == "__main__":
    main(*make_parser().parse_args_into_dataclasses())
