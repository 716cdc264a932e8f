"""Image quality as a training loss."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel
from transformers.image_utils import PILImageResampling

from ..checkpoints import bundled_checkpoint
from ..models.image_processing_dpiqa import DPIQAImageProcessor

if TYPE_CHECKING:
    from ..models.modeling_dpiqa_student import DPIQAStudent

# An image in training may leave [0, 1] a little; one in bytes leaves it by far.
_FARTHEST = 10.0
_MODES = {PILImageResampling.BILINEAR: "bilinear", PILImageResampling.BICUBIC: "bicubic"}


class QualityLoss(nn.Module):
    """1 - score as a training loss. Gradients reach the images, so minimising the loss raises their score.

    The model is frozen: gradients pass through it to the images, and its weights are never trained, even after
    `train()` or when an optimiser is given its parameters. Use this loss together with one
    for fidelity: an image that is free to become anything becomes what fools the model.

    Args:
        model: A student, which is frozen and put into eval mode; or a folder or Hub id of one; None takes the student
            inside the package.
        processor: Its image processor; None takes the one of the checkpoint.
        reduction: "mean" over the batch, or "none".

    Raises:
        ValueError: When the model is not a student, comes in memory without its processor, or is prepared in a way
            that has no differentiable counterpart.

    Example:
        >>> quality_loss = QualityLoss()
        >>> loss = F.l1_loss(restored, target) + 0.05 * quality_loss(restored)
        >>> loss.backward()
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        model: DPIQAStudent | str | os.PathLike[str] | None = None,
        processor: DPIQAImageProcessor | None = None,
        *,
        reduction: Literal["mean", "none"] = "mean",
    ):
        super().__init__()
        if reduction not in ("mean", "none"):
            raise ValueError(f"Expected reduction 'mean' or 'none', got {reduction!r}.")
        network: Any = model
        if not isinstance(model, nn.Module):
            source = bundled_checkpoint() if model is None else model
            processor = processor or DPIQAImageProcessor.from_pretrained(source)
            network = AutoModel.from_pretrained(source, dtype=torch.float32)
        if network.config.model_type != "dpiqa-student":
            # A teacher's autoencoder runs without gradients, so that half of its gradient would be missing.
            raise ValueError(f"Expected a student, got a model of the kind {network.config.model_type!r}.")
        if processor is None:
            raise ValueError("A model in memory needs its processor: QualityLoss(model, processor).")
        if processor.do_resize and processor.resample not in _MODES:
            raise ValueError(f"Expected a bilinear or bicubic processor, got resample={processor.resample}.")
        self.model = network.eval().requires_grad_(False)
        self.reduction = reduction
        self.size = (processor.size["height"], processor.size["width"]) if processor.do_resize else None
        self.mode = _MODES.get(processor.resample, "bilinear")
        mean, std = (processor.image_mean, processor.image_std) if processor.do_normalize else ((0.0,) * 3, (1.0,) * 3)
        # The processor scales bytes before it normalises; images here are bytes / 255.
        scale = 255 * (processor.rescale_factor if processor.do_rescale else 1)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) / scale, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) / scale, persistent=False)

    def train(self, mode: bool = True) -> QualityLoss:
        """Leaves the model in eval mode."""
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Computes the loss of a batch of images.

        Args:
            images: (batch, 3, height, width) floats in [0, 1], RGB; any size. Values outside are not clipped.

        Returns:
            1 - score, lower is better, about 0 for the best photos and 1 for the worst: a scalar, or (batch,) with
            `reduction="none"`.

        Raises:
            ValueError: When the shape or the type is another one, or values are those of bytes, 0 to 255.
        """
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(
                f"Expected floats of shape (batch, 3, height, width), got {images.dtype} {tuple(images.shape)}."
            )
        # Under torch.compile a look at the values would break the graph.
        if not torch.compiler.is_compiling() and images.numel() and images.detach().abs().amax() > _FARTHEST:
            low, high = images.detach().aminmax()
            raise ValueError(f"Expected values in [0, 1], found {low:.4g} to {high:.4g}: divide bytes by 255.")
        pixels = images.float()
        if self.size is not None and pixels.shape[2:] != self.size:
            pixels = F.interpolate(pixels, self.size, mode=self.mode, align_corners=False, antialias=True)
        loss = 1 - self.model((pixels - self.mean) / self.std).score
        return loss.mean() if self.reduction == "mean" else loss


__all__ = ["QualityLoss"]
