r"""Trains a teacher on photos with opinion scores, from a Stable Diffusion or from another teacher.

    python examples/train_teacher.py --preset koniq --data koniq10k --root KonIQ-10k \
        --stable_diffusion stable-diffusion-v1-5/stable-diffusion-v1-5 --output_dir teacher
    python examples/train_teacher.py --data photos.csv --mos_range 1 5 --model teacher --lora_rank 16 --output_dir lora

The autoencoder runs once per photo: its latents are kept in `--cache`. The epoch with the best SRCC on the validation
split is kept; the test split is scored once, at the end. It takes transformers' TrainingArguments as
well; `--config run.yaml` reads any of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import set_seed

from dpiqa import DPIQAImageProcessor, DPIQAModel
from dpiqa.data.schema import SPLITS
from dpiqa.evaluation.report import Result
from dpiqa.training.arguments import PRESETS, DPIQATrainingArguments, published
from dpiqa.training.latents import AutoencoderLatents
from dpiqa.training.lora import BASE, add_lora
from dpiqa.training.photo_dataset import PhotoDataset
from dpiqa.training.run import KEEP_BEST_EPOCH, RunArguments, finish, train
from dpiqa.training.script_parser import ScriptParser
from dpiqa.training.trainer import DPIQATrainer


@dataclass
class TeacherArguments(RunArguments):
    """The photos, and what the teacher starts from."""

    model: str | None = field(default=None, metadata={"help": "folder or Hub id of a teacher to go on from"})
    stable_diffusion: str | None = field(
        default=None, metadata={"help": "or folder or Hub id of a Stable Diffusion in diffusers' format"}
    )
    text_model: str = field(
        default="openai/clip-vit-large-patch14",
        metadata={"help": "CLIP for its prompts (Stable Diffusion 2 takes an OpenCLIP ViT-H/14)"},
    )
    image_size: int = field(default=512, metadata={"help": "side in pixels of its input"})
    lora_rank: int = field(default=0, metadata={"help": "above 0: train low-rank updates of the UNet, not the UNet"})
    cache: str | None = field(default=None, metadata={"help": "folder of latents (default: output_dir/latents)"})


def make_parser() -> ScriptParser:
    presets = {preset: published(preset, "teacher") for preset in PRESETS}
    description = __doc__.splitlines()[0]
    parser = ScriptParser([TeacherArguments, DPIQATrainingArguments], presets=presets, description=description)
    parser.set_defaults(**KEEP_BEST_EPOCH, output_dir="teacher", **published("koniq", "teacher"))
    return parser


def starting_teacher(arguments: TeacherArguments, output: Path) -> tuple[DPIQAModel, DPIQAImageProcessor]:
    """The teacher to train, in float32, and its processor."""
    if (arguments.model is None) == (arguments.stable_diffusion is None):
        raise ValueError("Expected one of --model and --stable_diffusion.")
    if arguments.model is not None:
        # In full, as low-rank updates remember where their teacher is.
        source = Path(arguments.model).resolve() if Path(arguments.model).is_dir() else arguments.model
        teacher = DPIQAModel.from_pretrained(source, dtype=torch.float32)
        return teacher, DPIQAImageProcessor.from_pretrained(source)
    teacher = DPIQAModel.from_stable_diffusion(
        arguments.stable_diffusion, text_model=arguments.text_model, image_size=arguments.image_size
    )
    if arguments.lora_rank:
        # The updates belong to these weights, decoder and adapters included, so they have to be kept.
        teacher.save_pretrained(output / BASE)
        teacher = DPIQAModel.from_pretrained(output / BASE)
    return teacher, DPIQAImageProcessor(size={"height": arguments.image_size, "width": arguments.image_size})


def main(arguments: TeacherArguments, training: DPIQATrainingArguments) -> list[Result]:
    set_seed(training.seed)
    splits = arguments.load()
    by_split = {split: splits[split] for split in SPLITS}
    output = Path(training.output_dir)
    with training.main_process_first(desc="teacher"):
        teacher, processor = starting_teacher(arguments, output)
    teacher.to(training.device)
    cache = None
    if teacher.config.latent_sampling == "mode":
        cache = AutoencoderLatents(teacher, processor, arguments.cache or output / "latents")
    with training.main_process_first(desc="latents"):
        photos = {
            split: PhotoDataset(
                rows,
                processor,
                augmentations=arguments.augmentations if split == "train" else ("original",),
                cache=cache,
                num_workers=training.dataloader_num_workers,
            )
            for split, rows in by_split.items()
        }
    trainer = DPIQATrainer(
        model=add_lora(teacher, rank=arguments.lora_rank) if arguments.lora_rank else teacher,
        args=training,
        train_dataset=photos["train"],
        eval_dataset=photos["validation"],
    )
    train(trainer)
    start = f"`{arguments.model or arguments.stable_diffusion}`"
    return finish(trainer, photos, splits, arguments, start=start)


if __name__ == "__main__":
    main(*make_parser().parse_args_into_dataclasses())
