"""Fine-tunes the bundled student on your own rated photos, in Python.

    python examples/finetune_student.py photos.csv --mos-range 1 5

`dpiqa train student` does the same and more: it calibrates the interval, compares with the student as it was, and
writes results and a model card.
"""

import torch
import typer

from dpiqa import (
    DPIQAImageProcessor,
    DPIQAStudent,
    DPIQATrainer,
    DPIQATrainingArguments,
    PhotoDataset,
    Scorer,
    bundled_checkpoint,
)
from dpiqa.data import load_iqa_splits
from dpiqa.evaluation.metrics import srcc


def main(
    table: str, output: str = "my-student", mos_range: tuple[float, float] = (0, 1), epochs: int = 10, model: str = ""
) -> None:
    """Fine-tunes a student on a table of `path,mos`."""
    try:
        splits = load_iqa_splits(table, mos_range=mos_range)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    start = model or bundled_checkpoint()
    processor = DPIQAImageProcessor.from_pretrained(start)
    student = DPIQAStudent.from_pretrained(start, dtype=torch.float32)
    # A few hundred photos say little about the statistics of a batch, and about the first layers.
    student.config.freeze_batch_norm = True
    student.freeze_early_layers(5)

    trainer = DPIQATrainer(
        model=student,
        args=DPIQATrainingArguments(
            output,
            num_train_epochs=epochs,
            per_device_train_batch_size=16,
            learning_rate=5e-5,
            head_learning_rate=5e-4,
            lr_scheduler_type="cosine",
            plcc_weight=0.5,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
        ),
        train_dataset=PhotoDataset(splits["train"], processor),
        eval_dataset=PhotoDataset(splits["validation"], processor),
    )
    trainer.train()
    student.config.score_range = splits.mos_range
    # They belong to the photos of the bundled student; see dpiqa.models.calibration.fit_calibration for new ones.
    student.config.score_quantiles = student.config.interval_half_width = None
    trainer.save_model(output)
    processor.save_pretrained(output)

    test = splits["test"]
    scores = [score.score for score in Scorer.from_pretrained(output).stream(test["image"])]
    print(f"SRCC on {len(test)} test photos: {srcc(scores, test['mos'][:]):.3f}. The model is in {output}.")


if __name__ == "__main__":
    typer.run(main)
