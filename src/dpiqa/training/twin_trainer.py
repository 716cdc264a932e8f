"""Training of a student on photos with opinion scores and on their distorted versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from ..models.output_dpiqa import DPIQAOutput
from .arguments import DPIQATrainingArguments
from .trainer import DPIQATrainer
from .twin_losses import damage_map_loss, version_ranking_loss
from .twins import collate_twins


@dataclass
class DPIQATwinTrainingArguments(DPIQATrainingArguments):
    """[`DPIQATrainingArguments`], with the weights of what distorted versions teach."""

    version_ranking_weight: float = field(
        default=1.0, metadata={"help": "weight of the order of a photo and its distorted versions"}
    )
    damage_map_weight: float = field(
        default=1.0, metadata={"help": "weight of the fall of the quality map inside a damaged region, and only there"}
    )
    level_fall: float = field(
        default=0.15, metadata={"help": "least fall of the score from one level of a distortion to the next"}
    )


class DPIQATwinTrainer(DPIQATrainer):
    """[`DPIQATrainer`] for a student with a pooled head, on [`dpiqa.training.twins.TwinPhotos`].

    Raises:
        ValueError: When the model has another head, and so no quality map.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("data_collator", collate_twins)
        super().__init__(*args, **kwargs)
        if getattr(self.model.config, "head", None) != "pooled":
            raise ValueError("Distorted versions are for students with the pooled head, which have a quality map.")

    def forward(self, model: Any, inputs: Any) -> Any:
        if "versions" not in inputs:
            return super().forward(model, inputs)
        return model(pixel_values=torch.cat([inputs["pixel_values"], inputs["versions"].flatten(0, 1)]))

    def losses(self, output: Any, inputs: Any) -> dict[str, torch.Tensor]:
        count = len(inputs["labels"])
        losses = super().losses(DPIQAOutput(score=output.score[:count]), inputs)
        if "versions" not in inputs:
            return losses
        levels, is_local, slope = inputs["levels"], inputs["is_local"], self.args.level_fall
        twins = len(levels)
        weak, strong, _ = output.score[count:].unflatten(0, (twins, 3)).unbind(1)
        ranking = version_ranking_loss(output.score[:twins], weak, strong, levels, slope)
        total = losses["loss"] + self.args.version_ranking_weight * ranking
        losses["version_ranking"] = ranking
        if is_local.any():
            damaged = output.quality_map[count:].unflatten(0, (twins, 3))[:, 2]
            maps = (output.quality_map[:twins][is_local], damaged[is_local])
            region, level = inputs["region"][is_local], levels[is_local, 1]
            losses["damage_map"] = damage_map_loss(*maps, region, level, slope)
            total = total + self.args.damage_map_weight * losses["damage_map"]
        return losses | {"loss": total}


__all__ = ["DPIQATwinTrainer", "DPIQATwinTrainingArguments"]
