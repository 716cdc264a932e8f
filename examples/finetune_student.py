"""Fine-tunes a student on your own photos: a table of `path,mos` becomes a checkpoint that `dpiqa score` takes.

    python examples/finetune_student.py --data photos.csv --mos-range 1 5 --output my-student
    dpiqa score photos/ --model my-student

The table is split by itself (or by its column `split`): the epoch with the best SRCC on the validation part is kept;
that part also calibrates the 90 % interval. The test part is scored once before and once after.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from transformers import set_seed

from dpiqa import DPIQAImageProcessor, DPIQAStudent, Scorer, bundled_checkpoint
from dpiqa.calibration import fit_calibration
from dpiqa.data import load_ratings
from dpiqa.data.load import to_dataset
from dpiqa.metrics import correlation_report
from dpiqa.trainer import DPIQATrainer, QualityDataset
from dpiqa.training_arguments import DPIQATrainingArguments


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="a .csv, .jsonl or .parquet file, or the name of a released set")
    parser.add_argument("--root", help="folder of the released set, or where the paths of the table start")
    parser.add_argument("--mos-range", type=float, nargs=2, help="ends of the rating scale (default: 0 1)")
    parser.add_argument("--model", default=str(bundled_checkpoint()), help="student to start from")
    parser.add_argument("--output", type=Path, required=True, help="folder for the new checkpoint")
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=5e-5, help="of the backbone")
    parser.add_argument("--head-learning-rate", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: argparse.Namespace) -> dict[str, float]:
    set_seed(arguments.seed)
    mos_range = tuple(arguments.mos_range) if arguments.mos_range else None
    loaded = load_ratings(arguments.data, arguments.root, mos_range=mos_range, seed=arguments.seed)
    photos = {split: to_dataset(loaded, split) for split in ("train", "validation", "test")}
    student = DPIQAStudent.from_pretrained(arguments.model, dtype=torch.float32)
    # A few hundred photos say too little about the statistics of a batch.
    student.config.freeze_batch_norm = True
    processor = DPIQAImageProcessor.from_pretrained(arguments.model)
    trainer = DPIQATrainer(
        model=student,
        args=DPIQATrainingArguments(
            output_dir=str(arguments.output / "run"),
            num_train_epochs=arguments.epochs,
            per_device_train_batch_size=arguments.batch_size,
            per_device_eval_batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate,
            head_learning_rate=arguments.head_learning_rate,
            lr_scheduler_type="cosine",
            plcc_weight=0.5,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
            logging_steps=5,
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=torch.cuda.is_available(),
            seed=arguments.seed,
        ),
        train_dataset=QualityDataset(photos["train"], processor),
        eval_dataset=QualityDataset(photos["validation"], processor),
    )
    trainer.train()
    trainer.save_model(str(arguments.output))
    processor.save_pretrained(arguments.output)

    after = Scorer.from_pretrained(arguments.output)
    paths = {split: [image["path"] for image in rows["image"]] for split, rows in photos.items()}
    scores = {split: [score.score for score in after.stream(paths[split])] for split in photos}
    fit_calibration(student.config, scores["train"], scores["validation"], photos["validation"]["mos"][:])
    student.config.save_pretrained(arguments.output)
    before = [score.score for score in Scorer.from_pretrained(arguments.model).stream(paths["test"])]
    figures = {"photos": len(photos["train"])}
    for name, values in (("before", before), ("after", scores["test"])):
        report = correlation_report(values, photos["test"]["mos"][:], resamples=0)
        figures |= {f"test_srcc_{name}": report["srcc"].value, f"test_rmse_{name}": report["rmse"].value}
    print(json.dumps(figures, indent=1))
    return figures


if __name__ == "__main__":
    main(make_parser().parse_args())
