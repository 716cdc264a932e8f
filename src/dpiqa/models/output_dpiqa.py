"""What every dpiqa model returns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput


@dataclass
class DPIQAOutput(ModelOutput):
    """Output of a teacher or a student.

    Args:
        loss (`torch.Tensor` of shape `()`, *optional*):
            Mean squared error between score and MOS; present when labels were given.
        score (`torch.Tensor` of shape `(batch,)`):
            Quality in units of MOS normalised to [0, 1], higher is better. A regression: values slightly outside
            [0, 1] are possible.
        feature_map (`torch.Tensor` of shape `(batch, channels, size, size)`):
            Non-negative map that distillation compares between teacher and student; 8x64x64 by default.
        quality_map (`torch.Tensor` of shape `(batch, height / 32, width / 32)`, *optional*):
            Local quality in units of the score (pooled head only). The score is a weighted mean of it.
        hidden_states (`tuple[torch.Tensor]`, *optional*):
            Output of the stem and of every block, when asked for.
    """

    loss: torch.Tensor | None = None
    score: torch.Tensor | None = None
    feature_map: torch.Tensor | None = None
    quality_map: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None


__all__ = ["DPIQAOutput"]
