"""Looking inside a teacher while it scores a photo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..models.configuration_dpiqa import DPIQAConfig
from ..models.images import ImageSource, describe, open_image
from ..models.modeling_dpiqa import DPIQAModel
from ..models.prompts import PromptGrid
from ..scoring.score import Score
from ..scoring.scorer import Scorer
from .attention import PromptAttention, mean_attention, watch_cross_attention

_PHOTO_SIDE = 768  # pixels of the photo in the picture, at most


@dataclass(frozen=True)
class Explanation:
    """What a teacher reads in a photo, and what a student says beside it.

    Attributes:
        photo: RGB, upright, at most 768 pixels a side. All arrays below lie over it, stretched to its shape.
        score: The teacher's, the same that its [`Scorer`] gives.
        features: One (channels, rows, columns) float32 array for each up block of the UNet, the first and coarsest
            block first: what the quality feature decoder reads.
        attention: The attention to the prompts by their words, the mean over all cross-attentions; None where the
            words are not known.
        num_prompts: How many prompts there are.
        student_score: The student's, with its `quality_map`.
        photo_name: Name of the photo's file, or the kind of object that it was given as.
        teacher_name: Folder or Hub id of the teacher, or "memory".
    """

    photo: Image.Image
    score: Score
    features: tuple[np.ndarray, ...]
    attention: PromptAttention | None
    num_prompts: int
    student_score: Score
    photo_name: str
    teacher_name: str


def explain_photo(photo: ImageSource, teacher: Scorer, student: Scorer) -> Explanation:
    """Scores a photo and keeps what the teacher's UNet makes of it.

    Args:
        photo: Anything that [`dpiqa.open_image`] takes.
        teacher: A scorer of a teacher, which must not score anything else meanwhile.
        student: A scorer of a student with the pooled head, whose quality map stands beside it.

    Raises:
        ImageError: When the photo cannot be opened (also OSError, ValueError, TypeError: see `open_image`).
        ValueError: When the first model is no teacher, the second has no quality map, or a score is not finite.
    """
    if teacher.config.model_type != DPIQAConfig.model_type:
        raise ValueError(
            f"{teacher.backend.source} is a student: expected a teacher. A student has no UNet and reads no prompts; "
            "what it has to show is its quality map, which `dpiqa score --maps` draws."
        )
    if getattr(student.config, "head", None) != "pooled":
        raise ValueError(f"{student.backend.source} has no quality map: expected a student with the pooled head.")
    shown = open_image(photo, cover=(_PHOTO_SIDE, _PHOTO_SIDE), max_pixels=teacher.max_pixels, formats=teacher.formats)
    shown.thumbnail((_PHOTO_SIDE, _PHOTO_SIDE))
    with watch_cross_attention(teacher.model) as layers, _watch_up_blocks(teacher.model) as features:
        score = teacher(photo)
    grid = _grid_of(teacher.config)
    return Explanation(
        shown,
        score,
        tuple(features),
        None if grid is None else PromptAttention.by_word(mean_attention(layers), grid),
        teacher.config.num_prompts,
        student(photo, return_map=True),
        os.path.basename(describe(photo)),
        teacher.backend.source,
    )


@contextmanager
def _watch_up_blocks(teacher: DPIQAModel) -> Iterator[list[np.ndarray]]:
    features: list[np.ndarray] = []
    handles = [block.register_forward_hook(partial(_keep_features, features)) for block in teacher.unet.up_blocks]
    try:
        yield features
    finally:
        for handle in handles:
            handle.remove()


def _keep_features(features: list[np.ndarray], block: Any, args: Any, output: torch.Tensor) -> None:
    features.append(output[0].float().cpu().numpy())


def _grid_of(config: DPIQAConfig) -> PromptGrid | None:
    """The words behind the rows of the prompt embeddings; None where the configuration does not say them.

    It has no grid for prompts that are a list of sentences, or embeddings from a file. For the text features "tokens"
    a row is a token and no prompt, and the numbers do not fit.
    """
    if config.prompt_grid is None:
        return None
    try:
        grid = PromptGrid(**config.prompt_grid)
        return grid if len(grid) == config.num_prompts else None
    except TypeError:  # of a field that is unknown, or no list of words
        return None


__all__ = ["Explanation", "explain_photo"]
