"""Distillation of a teacher into a student, with the teacher run once per photo."""

from __future__ import annotations

import os
from typing import Any

import torch
from transformers import PreTrainedConfig

from ..models.image_processing_dpiqa import DPIQAImageProcessor
from ..models.modeling_dpiqa import DPIQAModel
from ..scoring.fingerprint import fingerprint
from ..scoring.frozen_teacher import freeze_for_inference
from .losses import training_losses
from .photo_cache import PhotoCache
from .trainer import DPIQATrainer

# What a configuration holds beside the network: where it came from, and what is made of its scores.
_NO_INFLUENCE = {*PreTrainedConfig().to_dict(), "score_quantiles", "interval_half_width", "interval_coverage"}


class TeacherTargets(PhotoCache):
    """A teacher's feature map of every photo: `teacher_feature_map` (channels, size, size), float16.

    The key is the SHA-256 of the teacher's weights and configuration, its processor's settings and the type that it
    ran in.

    Args:
        teacher: A teacher; a copy of it is frozen for inference.
        processor: The teacher's own processor.
        folder: Where to keep the files.
        dtype: The number type of the copy; None takes [`dpiqa.scoring.frozen_teacher.inference_dtype`].
    """

    names = ("teacher_feature_map",)

    def __init__(
        self,
        teacher: DPIQAModel,
        processor: DPIQAImageProcessor,
        folder: str | os.PathLike[str],
        *,
        dtype: torch.dtype | None = None,
    ):
        self.teacher = freeze_for_inference(teacher, dtype=dtype)
        settings = {name: value for name, value in teacher.config.to_dict().items() if name not in _NO_INFLUENCE}
        key = fingerprint(teacher, settings, processor.to_dict(), str(self.teacher.dtype))
        super().__init__(folder, key, processor)

    def compute(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        output = self.teacher(pixel_values.to(self.teacher.device, self.teacher.dtype))
        return {"teacher_feature_map": output.feature_map.half()}


class DPIQADistillationTrainer(DPIQATrainer):
    """[`DPIQATrainer`] for a student, whose training photos bring `teacher_feature_map` from [`TeacherTargets`].

    The loss is MSE + margin ranking + feature map, each with its weight from the arguments (DP-IQA, section 3.4: there
    is no term for the teacher's score). Validation photos need no teacher.
    """

    takes_feature_maps = True

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if model.training and "teacher_feature_map" not in inputs:
            raise ValueError(
                "The training photos have no teacher_feature_map: give their PhotoDataset cache=TeacherTargets(...)."
            )
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def losses(self, output: Any, inputs: Any) -> dict[str, torch.Tensor]:
        if "teacher_feature_map" not in inputs:
            return super().losses(output, inputs)
        return training_losses(
            output.score,
            inputs["labels"],
            self.args.loss_weights,
            groups=inputs.get("group"),
            feature_map=output.feature_map,
            teacher_feature_map=inputs["teacher_feature_map"],
        )


__all__ = ["DPIQADistillationTrainer", "TeacherTargets"]
