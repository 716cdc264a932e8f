"""Arguments of the trainers: those of transformers, and what the method adds."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import torch
from transformers import TrainingArguments

from ..scoring.frozen_teacher import inference_dtype

logger = logging.getLogger(__name__)

# Learning rate times 0.2 at these epochs, as published for each data set (METHOD: released code).
_DROPS = {
    "teacher": {"clive": [10.0], "koniq": [5.0], "livefb": [2.0], "spaq": [5.0]},
    "student": {"clive": [10.0, 25.0], "koniq": [5.0], "livefb": [4.0], "spaq": [6.0]},
}
PRESETS = tuple(_DROPS["teacher"])
# What `--help` of a training command shows of transformers' arguments; `--help-all` shows the others as well.
SHORT_HELP = {
    "output_dir": "folder for the model",
    "num_train_epochs": "passes over the training photos",
    "max_steps": "steps in place of epochs, when above 0",
    "per_device_train_batch_size": "photos in a step, on each device",
    "gradient_accumulation_steps": "batches whose gradients make one step",
    "learning_rate": "learning rate; a head or decoder may have its own",
    "lr_scheduler_type": "schedule of the learning rate: constant, linear, cosine, ...",
    "weight_decay": "weight decay of AdamW",
    "bf16": "compute in bfloat16 where it is precise enough",
    "seed": "seed of everything but the splits",
    "dataloader_num_workers": "processes that open photos; 0 opens them between the steps",
    "report_to": "where losses and figures are logged: tensorboard, trackio, wandb, ...",
    "resume_from_checkpoint": "checkpoint of a run that was cut off; last takes the newest in the output folder",
}
HIDDEN_IN_HELP = {argument.name for argument in fields(TrainingArguments)} - SHORT_HELP.keys()


@dataclass
class DPIQATrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments`, with the method's own.

    Defaults that differ from transformers': `remove_unused_columns=False` and `label_names=["labels"]` (the data are
    images), `metric_for_best_model="srcc"` with `greater_is_better=True`, a `learning_rate` of 1e-4, constant but for
    `learning_rate_drops`, and `max_grad_norm=0` (no clipping, as published). AdamW without weight decay, which is the
    default, is Adam, as published. Without an accelerator `use_cpu` is on and `dataloader_pin_memory` off.
    """

    _argument_group_name = "training"

    output_dir: str | None = field(
        default=None, metadata={"help": SHORT_HELP["output_dir"], "aliases": ["--output", "-o"]}
    )

    remove_unused_columns: bool = field(default=False, metadata={"help": "off: columns are made from images"})
    label_names: list[str] | None = field(
        default_factory=lambda: ["labels"], metadata={"help": "names of the label columns"}
    )
    metric_for_best_model: str | None = field(
        default="srcc", metadata={"help": "figure on validation photos that chooses the epoch"}
    )
    greater_is_better: bool | None = field(
        default=True, metadata={"help": "whether the higher of two figures is the better one"}
    )
    learning_rate: float = field(default=1e-4, metadata={"help": SHORT_HELP["learning_rate"]})
    lr_scheduler_type: str = field(default="constant", metadata={"help": SHORT_HELP["lr_scheduler_type"]})
    max_grad_norm: float = field(default=0.0, metadata={"help": "norm that gradients are clipped to; 0 never clips"})
    head_learning_rate: float | None = field(
        default=None,
        metadata={"help": "learning rate of a student's head or a teacher's decoder; --learning-rate if not given"},
    )
    learning_rate_drops: list[float] = field(
        default_factory=list, metadata={"help": "epochs after which the learning rate is multiplied by 0.2"}
    )
    mse_weight: float = field(default=1.0, metadata={"help": "weight of the squared error of the score"})
    ranking_weight: float = field(default=0.0, metadata={"help": "weight of the margin ranking loss"})
    plcc_weight: float = field(default=0.0, metadata={"help": "weight of 1 - PLCC over the batch"})
    group_plcc_weight: float = field(
        default=0.0, metadata={"help": "weight of 1 - PLCC inside each group of the batch (column `group`)"}
    )
    feature_map_weight: float = field(
        default=0.0, metadata={"help": "weight of the distance to the teacher's feature map, in distillation"}
    )

    def __post_init__(self) -> None:
        unfit = [name for name in ("remove_unused_columns", "bf16_full_eval", "fp16_full_eval") if getattr(self, name)]
        if unfit:
            raise ValueError(f"{', '.join(unfit)}: columns are made from images, and scores are read in float32.")
        if not any(self.loss_weights.values()):
            weights = ", ".join(f"{name}_weight" for name in self.loss_weights)
            raise ValueError(f"All loss weights are 0, so there is nothing to learn: set one of {weights}.")
        if not torch.accelerator.is_available():
            self.use_cpu, self.dataloader_pin_memory = True, False
        super().__post_init__()
        if self.bf16 and inference_dtype(self.device) is not torch.bfloat16:
            logger.warning(
                "This %s has no instructions for bfloat16: PyTorch computes in it many times slower than in float32. "
                "Leave out bf16.",
                {"cpu": "CPU", "cuda": "GPU"}.get(self.device.type, self.device.type),
            )

    @property
    def loss_weights(self) -> dict[str, float]:
        """For [`dpiqa.training.losses.training_losses`]."""
        return {
            "mse": self.mse_weight,
            "ranking": self.ranking_weight,
            "plcc": self.plcc_weight,
            "group_plcc": self.group_plcc_weight,
            "feature_map": self.feature_map_weight,
        }

    @classmethod
    def from_preset(
        cls, preset: str, kind: Literal["teacher", "student"], output_dir: str, **kwargs: Any
    ) -> DPIQATrainingArguments:
        """Makes arguments from [`published`] hyperparameters.

        Args:
            preset: "clive", "koniq", "livefb" or "spaq".
            kind: "teacher" or "student".
            output_dir: Where checkpoints go.
            **kwargs: What wins over the preset.

        Raises:
            ValueError: When there is no such preset or kind.
        """
        return cls(output_dir=output_dir, **(published(preset, kind) | kwargs))


def published(preset: str, kind: Literal["teacher", "student"]) -> dict[str, Any]:
    """The published hyperparameters for a data set (DP-IQA, section 4.1 and the released code).

    Args:
        preset: "clive", "koniq", "livefb" or "spaq".
        kind: Teacher (Adam 1e-5, batches of 12, 15 epochs, MSE and margin ranking) or student (Adam 1e-4, batches
            of 24, 30 epochs, MSE, margin ranking and feature maps).

    Raises:
        ValueError: When there is no such preset or kind.
    """
    if kind not in _DROPS or preset not in PRESETS:
        raise ValueError(
            f"Unknown preset {preset!r} for {kind!r}: expected {', '.join(PRESETS)} for teacher or student."
        )
    return recipe(kind) | {"lr_scheduler_type": "constant", "learning_rate_drops": _DROPS[kind][preset]}


def recipe(kind: Literal["teacher", "student"]) -> dict[str, Any]:
    """What the published hyperparameters of all data sets have in common, with a cosine schedule in place of drops.

    The drops belong to the size of a data set: on another one they would come too early or too late.

    Args:
        kind: "teacher" or "student".
    """
    teacher = kind == "teacher"
    return {
        "learning_rate": 1e-5 if teacher else 1e-4,
        "lr_scheduler_type": "cosine",
        "per_device_train_batch_size": 12 if teacher else 24,
        "num_train_epochs": 15 if teacher else 30,
        "ranking_weight": 1.0,
        "feature_map_weight": 0.0 if teacher else 1.0,
    }


__all__ = ["HIDDEN_IN_HELP", "PRESETS", "SHORT_HELP", "DPIQATrainingArguments", "published", "recipe"]
