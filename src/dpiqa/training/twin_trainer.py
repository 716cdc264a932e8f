"""Training of a student on photos with opinion scores and on their distorted versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from ..models.output_dpiqa import DPIQAOutput
from .arguments import DPIQATrainingArguments
from .trainer import DPIQATrainer
from .twin_losses import damage_map_loss, non_photo_loss, version_ranking_loss
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
    non_photo_weight: float = field(
        default=1.0, metadata={"help": "weight of pictures that are no photos scoring below the worst tenth of photos"}
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
        pictures = [inputs["pixel_values"]]
        if "versions" in inputs:
            pictures.append(inputs["versions"].flatten(0, 1))
        if "non_photos" in inputs:
            pictures.append(inputs["non_photos"])
        return model(pixel_values=torch.cat(pictures))

    def losses(self, output: Any, inputs: Any) -> dict[str, torch.Tensor]:
        photos, twins = len(inputs["labels"]), len(inputs.get("levels", ()))
        score, versions, non_photos = output.score.tensor_split([photos, photos + 3 * twins])
        losses = super().losses(DPIQAOutput(score=score), inputs)
        total, args = losses["loss"], self.args
        if twins:
            levels, is_local = inputs["levels"], inputs["is_local"]
            weak, strong, _ = versions.unflatten(0, (twins, 3)).unbind(1)
            losses["version_ranking"] = version_ranking_loss(score[:twins], weak, strong, levels, args.level_fall)
            total = total + args.version_ranking_weight * losses["version_ranking"]
            if is_local.any():
                damaged = output.quality_map[photos : photos + 3 * twins].unflatten(0, (twins, 3))[:, 2]
                maps = (output.quality_map[:twins][is_local], damaged[is_local])
                region, level = inputs["region"][is_local], levels[is_local, 1]
                losses["damage_map"] = damage_map_loss(*maps, region, level, args.level_fall)
                total = total + args.damage_map_weight * losses["damage_map"]
        if len(non_photos):
            losses["non_photo"] = non_photo_loss(non_photos, inputs["labels"])
            total = total + args.non_photo_weight * losses["non_photo"]
        return losses | {"loss": total}


__all__ = ["DPIQATwinTrainer", "DPIQATwinTrainingArguments"]
