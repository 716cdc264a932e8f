"""`dpiqa convert`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .terminal import sentence, visible


class Kind(StrEnum):
    """Which of the published models a file holds."""

    teacher = "teacher"
    student = "student"


def convert(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CKPT", exists=True, dir_okay=False, help="The authors' .pth file.")
    ],
    kind: Annotated[Kind, typer.Option(help="Which of the two models it is.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the checkpoint.")],
    prompt_embeddings: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="File of the teacher's prompt embeddings (.safetensors, .npy or .pt). Without it they are "
            "computed with --text-model.",
        ),
    ] = None,
    text_model: Annotated[
        str, typer.Option(help="Folder or Hub id of the CLIP that the prompt embeddings come from.")
    ] = "openai/clip-vit-large-patch14",
    config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A config.json, for sizes other than the published ones."),
    ] = None,
) -> None:
    """Turn a checkpoint of the published DP-IQA code into one of dpiqa.

    The teacher's prompt embeddings are not in the authors' files. A teacher gives its scores only with those that it
    was trained with: the projected text features of CLIP ViT-L/14 for the 1,485 published prompts.
    """
    from transformers.utils import logging

    from ..hub.convert import convert_checkpoint
    from ..models.configuration_dpiqa import DPIQAConfig, DPIQAStudentConfig

    logging.disable_progress_bar()
    config_class = DPIQAConfig if kind is Kind.teacher else DPIQAStudentConfig
    try:
        model = convert_checkpoint(
            checkpoint,
            kind.value,
            output,
            prompt_embeddings=prompt_embeddings,
            text_model=text_model,
            config=None if config is None else config_class.from_pretrained(config),
        )
    except ValueError as error:
        raise typer.BadParameter(sentence(error)) from None
    except OSError as error:
        raise typer.BadParameter(
            f"{sentence(error)} The teacher's prompt embeddings come from --prompt-embeddings, or from a CLIP "
            "checkpoint that --text-model can reach."
        ) from None
    print(visible(f"{output}: {kind.value} with {model.num_parameters():,} parameters"))
