"""A teacher's cross-attention to its prompts: kept while it scores a photo, and added up by word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn
from torch.nn import functional as F

from ..models.modeling_dpiqa import DPIQAModel
from ..models.prompts import PromptGrid


@dataclass(frozen=True)
class WordAttention:
    """How a photo's attention is shared out among the words of one kind, such as the qualities.

    Attributes:
        words: The words, in the order of the grid.
        maps: (words, rows, columns) float32, the share in [0, 1] that each word has of the attention at each place.
            The shares of a place sum to 1.
    """

    words: tuple[str, ...]
    maps: np.ndarray

    @property
    def emphasis(self) -> np.ndarray:
        """(words,): how far a word's share in the whole photo is above an equal share; 0.1 is a tenth above it."""
        return self.maps.mean(axis=(1, 2)) * len(self.words) - 1

    @property
    def relative_maps(self) -> np.ndarray:
        """(words, rows, columns): how far a word's share at a place is above its share in the whole photo."""
        whole = self.maps.mean(axis=(1, 2), keepdims=True)
        return self.maps / np.maximum(whole, np.finfo(np.float32).tiny) - 1


@dataclass(frozen=True)
class PromptAttention:
    """The attention to the prompts of a grid, added up along its three axes."""

    qualities: WordAttention
    scenes: WordAttention
    distortions: WordAttention

    @classmethod
    def by_word(cls, attention: torch.Tensor, grid: PromptGrid) -> PromptAttention:
        """Adds up attention to prompts.

        Args:
            attention: (prompts, rows, columns) shares, in the order of the grid.
            grid: The words behind the prompts.
        """
        axes = (grid.qualities, grid.scenes, grid.distortions)
        shares = attention.unflatten(0, tuple(map(len, axes)))
        sums = (shares.sum((1, 2)), shares.sum((0, 2)), shares.sum((0, 1)))
        return cls(*(WordAttention(tuple(words), maps.numpy()) for words, maps in zip(axes, sums, strict=True)))


@contextmanager
def watch_cross_attention(teacher: DPIQAModel) -> Iterator[list[torch.Tensor]]:
    """Keeps the attention of every cross-attention of a teacher, for the length of a block.

    The attention is computed beside what the teacher computes, which stays as it is.

    Args:
        teacher: A teacher that was frozen for inference, which scores one photo inside the block.

    Yields:
        A list that fills as the teacher scores, with one tensor per cross-attention: (prompts, rows, columns) float32
        on the CPU, the mean over the heads. The attention of a place sums to 1.
    """
    kept: list[torch.Tensor] = []
    handles = []
    for transformer in teacher.unet.modules():
        if isinstance(transformer, Transformer2DModel):
            # Inside, places stand in one row: only the transformer is told how many rows and columns they make.
            size: list[int] = []
            handles.append(transformer.register_forward_pre_hook(partial(_note_size, size)))
            for module in transformer.modules():
                if isinstance(module, Attention) and module.is_cross_attention:
                    handles.append(module.register_forward_pre_hook(partial(_keep_attention, kept, size)))
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def mean_attention(layers: Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean over layers, each resized to the finest of them.

    Args:
        layers: (prompts, rows_i, columns_i) each, as [`watch_cross_attention`] keeps them.

    Returns:
        (prompts, rows, columns).
    """
    finest = max((tuple(layer.shape[1:]) for layer in layers), key=np.prod)
    total = torch.zeros(len(layers[0]), *finest)
    for layer in layers:
        total += F.interpolate(layer[None], size=finest, mode="bilinear", align_corners=False)[0]
    return total / len(layers)


def attention_weights(attention: Attention, tokens: torch.Tensor) -> torch.Tensor:
    """(1, places, channels) -> (prompts, places) float32 of a folded cross-attention, the mean over its heads."""
    query = attention.head_to_batch_dim(attention.to_q(tokens))
    # In float32 whatever the teacher is in: what tells words apart are small differences.
    weights = attention.get_attention_scores(query.float(), attention.folded_key.float())
    return weights.mean(0).T


def _note_size(size: list[int], transformer: nn.Module, args: Any) -> None:
    size[:] = args[0].shape[-2:]


def _keep_attention(kept: list[torch.Tensor], size: list[int], attention: Attention, args: Any) -> None:
    kept.append(attention_weights(attention, args[0]).unflatten(1, tuple(size)).cpu())


__all__ = ["PromptAttention", "WordAttention", "attention_weights", "mean_attention", "watch_cross_attention"]
