"""Trains a teacher from a Stable Diffusion on a data set as its authors release it, in Python.

    python examples/train_teacher.py koniq10k=/data/KonIQ-10k --preset koniq

`dpiqa train teacher` does the same and more: low-rank updates, calibration, results and a model card.
"""

from typing import Annotated

import typer

from dpiqa import (
    AutoencoderLatents,
    DPIQAImageProcessor,
    DPIQAModel,
    DPIQATrainer,
    DPIQATrainingArguments,
    PhotoDataset,
)
from dpiqa.data import load_iqa_splits


def main(
    data: Annotated[str, typer.Argument(metavar="NAME=FOLDER", help="Released set and its folder, or a table.")],
    stable_diffusion: str = "stable-diffusion-v1-5/stable-diffusion-v1-5",
    text_model: str = "openai/clip-vit-large-patch14",
    image_size: int = 512,
    preset: str = "koniq",
    epochs: int = 15,
    output: str = "my-teacher",
) -> None:
    """Trains everything but the autoencoder, with the published hyperparameters."""
    try:
        splits = load_iqa_splits(data)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    teacher = DPIQAModel.from_stable_diffusion(stable_diffusion, text_model=text_model, image_size=image_size)
    processor = DPIQAImageProcessor(size={"height": image_size, "width": image_size})
    # The autoencoder is not trained: it runs once per photo, and its latents are kept.
    latents = AutoencoderLatents(teacher, processor, f"{output}/latents")

    trainer = DPIQATrainer(
        model=teacher,
        args=DPIQATrainingArguments.from_preset(
            preset,
            "teacher",
            output,
            num_train_epochs=epochs,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
        ),
        train_dataset=PhotoDataset(splits["train"], processor, cache=latents),
        eval_dataset=PhotoDataset(splits["validation"], processor, cache=latents),
    )
    trainer.train()
    teacher.config.score_range = splits.mos_range
    trainer.save_model(output)
    processor.save_pretrained(output)
    print(f"The teacher is in {output}: dpiqa evaluate --model {output} --data {data} -o results")


if __name__ == "__main__":
    typer.run(main)
