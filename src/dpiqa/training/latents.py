"""The autoencoder's latents, computed once for the training of a teacher."""

from __future__ import annotations

import os

import torch

from ..models.image_processing_dpiqa import DPIQAImageProcessor
from ..models.modeling_dpiqa import DPIQAModel
from ..scoring.fingerprint import fingerprint
from .photo_cache import PhotoCache


class AutoencoderLatents(PhotoCache):
    """The scaled `latents` (channels, height, width) of every photo, in the autoencoder's type.

    The autoencoder is not trained and has half of a teacher's multiplications: with its latents in the training
    batches, [`dpiqa.DPIQATrainer`] trains the same teacher without running it. The key is the SHA-256 of its weights,
    its configuration and the processor's settings, so that teachers that share it share the files.

    Args:
        teacher: The teacher that is to be trained.
        processor: Its processor.
        folder: Where to keep the files.

    Raises:
        ValueError: When the teacher's latents are sampled anew in every step.
    """

    names = ("latents",)

    def __init__(self, teacher: DPIQAModel, processor: DPIQAImageProcessor, folder: str | os.PathLike[str]):
        config = teacher.config
        if config.latent_sampling == "sample":
            raise ValueError(
                'A teacher with latent_sampling="sample" takes other latents in every step, so there is nothing to '
                'keep: set it to "mode", or train without AutoencoderLatents.'
            )
        self.teacher = teacher
        settings = (config.autoencoder_type, config.autoencoder_config, config.pixel_range, processor.to_dict())
        super().__init__(folder, fingerprint(teacher.autoencoder, *settings), processor)

    def compute(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        weight = next(self.teacher.autoencoder.parameters())
        return {"latents": self.teacher.encode(pixel_values.to(weight.device, weight.dtype))}


__all__ = ["AutoencoderLatents"]
