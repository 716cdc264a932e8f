"""Train a teacher, from a Stable Diffusion or from another teacher."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ...evaluation.report import Result
from ...models.configuration_dpiqa import DPIQAConfig
from ...models.image_processing_dpiqa import DPIQAImageProcessor
from ...models.modeling_dpiqa import DPIQAModel
from ..arguments import HIDDEN_IN_HELP, PRESETS, SHORT_HELP, DPIQATrainingArguments, published, recipe
from ..latents import AutoencoderLatents
from ..lora import BASE, add_lora
from ..photo_dataset import PhotoDataset
from ..run import KEEP_BEST_EPOCH, Run, naming
from ..run_arguments import RunArguments
from ..script_parser import ScriptParser
from ..trainer import DPIQATrainer

DESCRIPTION = (
    "Train a teacher on photos with opinion scores, from a Stable Diffusion (--stable-diffusion) or from another "
    "teacher (--model). The autoencoder runs once per photo: its latents are kept. The epoch with the best SRCC on "
    "validation photos is kept, other validation photos give the interval, and the test photos are scored once, at "
    "the end."
)


@dataclass
class TeacherArguments(RunArguments):
    """The photos, and what the teacher starts from."""

    model: str | None = field(default=None, metadata={"help": "folder or Hub id of a teacher to go on from"})
    stable_diffusion: str | None = field(
        default=None,
        metadata={"help": "folder or Hub id of a Stable Diffusion to start from instead, in diffusers' format"},
    )
    text_model: str = field(
        default="openai/clip-vit-large-patch14",
        metadata={"help": "CLIP that encodes the prompts; Stable Diffusion 2 takes an OpenCLIP ViT-H/14"},
    )
    image_size: int = field(default=512, metadata={"help": "side in pixels of the teacher's input"})
    lora_rank: int = field(
        default=0, metadata={"help": "rank of low-rank updates to train in place of the UNet; 0 trains the UNet"}
    )
    cache: str | None = field(default=None, metadata={"help": "folder of latents; OUTPUT/latents if not given"})


def make_parser(prog: str | None = None) -> ScriptParser:
    """The command line of this script."""
    parser = ScriptParser(
        [TeacherArguments, DPIQATrainingArguments],
        presets={preset: published(preset, "teacher") for preset in PRESETS},
        help_texts=SHORT_HELP,
        hidden=HIDDEN_IN_HELP,
        prog=prog,
        description=DESCRIPTION,
    )
    parser.set_defaults(**KEEP_BEST_EPOCH, output_dir="my-teacher", **recipe("teacher"))
    return parser


def starting_teacher(
    arguments: TeacherArguments, output: Path, *, is_first: bool = True
) -> tuple[DPIQAModel, DPIQAImageProcessor]:
    """The teacher to train, in float32, and its processor.

    Args:
        arguments: Of the script.
        output: Folder of the run, where a new teacher is kept that low-rank updates belong to.
        is_first: Whether this process is the first, which writes it; the others read it after that.

    Raises:
        OSError: When there is no such model.
    """
    if arguments.model is not None:
        # In full, as low-rank updates remember where their teacher is.
        source = Path(arguments.model).resolve() if Path(arguments.model).is_dir() else arguments.model
        teacher = DPIQAModel.from_pretrained(source, dtype=torch.float32)
        return teacher, DPIQAImageProcessor.from_pretrained(source)
    processor = DPIQAImageProcessor(size={"height": arguments.image_size, "width": arguments.image_size})
    if not arguments.lora_rank:
        return _new_teacher(arguments), processor
    # The updates belong to these weights, decoder and adapters included, so they have to be kept.
    if is_first:
        _new_teacher(arguments).save_pretrained(output / BASE)
    return DPIQAModel.from_pretrained(output / BASE), processor


def _new_teacher(arguments: TeacherArguments) -> DPIQAModel:
    start = f"--stable-diffusion {arguments.stable_diffusion} or --text-model {arguments.text_model}"
    with naming(start, None):
        return DPIQAModel.from_stable_diffusion(
            str(arguments.stable_diffusion), text_model=arguments.text_model, image_size=arguments.image_size
        )


def main(arguments: TeacherArguments, training: DPIQATrainingArguments) -> list[Result]:
    """Trains and returns the figures on the test photos.

    Raises:
        ValueError: When there is not one thing to start from, and as [`dpiqa.training.run.Run.start`].
    """
    if (arguments.model is None) == (arguments.stable_diffusion is None):
        raise ValueError("Expected one of --model and --stable-diffusion to start from.")
    if arguments.lora_rank < 0:
        raise ValueError(f"Expected a --lora-rank of at least 1, or 0 to train the UNet, got {arguments.lora_rank}.")
    with naming("--model", arguments.model):
        config = DPIQAConfig() if arguments.model is None else DPIQAConfig.from_pretrained(arguments.model)
    run = Run.start(arguments, training, coverage=config.interval_coverage)
    with training.main_process_first(local=False, desc="teacher"):
        teacher, processor = starting_teacher(arguments, run.output, is_first=training.process_index == 0)
    teacher.to(training.device)
    # Before the latents of all photos: what is wrong here would be found only after them.
    teacher.config.check_size(processor.size["height"], processor.size["width"])
    trained = add_lora(teacher, rank=arguments.lora_rank) if arguments.lora_rank else teacher
    cache = None
    if teacher.config.latent_sampling == "mode":
        cache = AutoencoderLatents(teacher, processor, arguments.cache or run.output / "latents")
    options: dict[str, Any] = {"cache": cache, "num_workers": training.dataloader_num_workers}
    train_set = PhotoDataset(run.splits["train"], processor, augmentations=arguments.augmentations, **options)
    selection = PhotoDataset(run.selection, processor, **options)
    trainer = DPIQATrainer(
        model=trained,
        args=training,
        train_dataset=train_set,
        eval_dataset=selection,
    )
    run.train(trainer)
    return run.finish(trainer, processor, start=f"`{arguments.model or arguments.stable_diffusion}`")
