"""Distils a teacher into a small student, in Python.

    python examples/distill_student.py koniq10k=/data/KonIQ-10k --teacher my-teacher --backbone efficientnet-b0

`dpiqa train distill` does the same and more: ImageNet weights, calibration, results and a model card.
"""

from typing import Annotated

import typer

from dpiqa import (
    DPIQADistillationTrainer,
    DPIQAImageProcessor,
    DPIQAModel,
    DPIQAStudent,
    DPIQAStudentConfig,
    DPIQATrainingArguments,
    PhotoDataset,
    TeacherTargets,
)
from dpiqa.data import load_iqa_splits


def main(
    data: Annotated[str, typer.Argument(metavar="NAME=FOLDER", help="Released set and its folder, or a table.")],
    teacher: str = "my-teacher",
    backbone: str = "efficientnet-b7",
    image_size: int = 512,
    preset: str = "koniq",
    epochs: int = 30,
    output: str = "my-student",
) -> None:
    """Trains a student with random weights on opinion scores and on the teacher's feature maps."""
    try:
        splits = load_iqa_splits(data)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    model = DPIQAModel.from_pretrained(teacher)
    # The teacher runs once per photo, and its feature maps are kept. It may see the photos at another size.
    feature_maps = TeacherTargets(model, DPIQAImageProcessor.from_pretrained(teacher), f"{output}/feature-maps")
    maps = {"feature_channels": model.config.feature_channels, "feature_size": model.config.feature_size}
    student = DPIQAStudent(DPIQAStudentConfig.from_backbone(backbone, image_size=image_size, head="pooled", **maps))
    processor = DPIQAImageProcessor(size={"height": image_size, "width": image_size})

    trainer = DPIQADistillationTrainer(
        model=student,
        args=DPIQATrainingArguments.from_preset(
            preset,
            "student",
            output,
            num_train_epochs=epochs,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
        ),
        train_dataset=PhotoDataset(splits["train"], processor, cache=feature_maps),
        eval_dataset=PhotoDataset(splits["validation"], processor),
    )
    trainer.train()
    student.config.score_range = splits.mos_range
    trainer.save_model(output)
    processor.save_pretrained(output)
    print(f"The student is in {output}: dpiqa score photos/ --model {output}")


if __name__ == "__main__":
    typer.run(main)
