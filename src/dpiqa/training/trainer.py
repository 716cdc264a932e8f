"""Training of teachers and students on photos with opinion scores, on transformers' `Trainer`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import EvalPrediction, Trainer, TrainerCallback

from ..evaluation.metrics import plcc, rmse, srcc
from .losses import training_losses

_HEADS = ("head.", "decoder.")
_DROP_FACTOR = 0.2


class DPIQATrainer(Trainer):
    """`transformers.Trainer` with the method's losses, metrics and learning rates.

    Takes what `Trainer` takes, with [`dpiqa.DPIQATrainingArguments`] and
    [`dpiqa.PhotoDataset`]; a teacher also with `latents` of [`dpiqa.AutoencoderLatents`] in its
    photos. Evaluation reports SRCC, PLCC and RMSE; the losses are logged by name.

    With several processes, or gradient accumulation, MSE and feature map losses are those of one large batch; margin
    ranking and PLCC compare the photos of one forward pass only.
    """

    takes_feature_maps = False

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("compute_metrics", score_metrics)
        self.optimizer: Any = None
        self.lr_scheduler: Any = None
        super().__init__(*args, **kwargs)
        if self.args.feature_map_weight and not self.takes_feature_maps:
            raise ValueError("feature_map_weight is for distillation: use DPIQADistillationTrainer.")
        self.add_callback(_AugmentationOfTheEpoch(self.train_dataset))
        self._loss_sums: dict[str, torch.Tensor] = defaultdict(lambda: torch.zeros((), device=self.args.device))
        self._loss_count = 0

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        output = self.forward(model, inputs)
        losses = self.losses(output, inputs)
        if model.training:
            self._loss_count += 1
            for name, loss in losses.items():
                if name != "loss":
                    self._loss_sums[name] += loss.detach()
        return (losses["loss"], {"score": output.score}) if return_outputs else losses["loss"]

    def forward(self, model: Any, inputs: Any) -> Any:
        """The model's output for a batch."""
        return model(**{name: inputs[name] for name in ("pixel_values", "latents") if name in inputs})

    def losses(self, output: Any, inputs: Any) -> dict[str, torch.Tensor]:
        """Losses of a batch by name; see [`dpiqa.training.losses.training_losses`]."""
        weights = self.args.loss_weights | {"feature_map": 0.0}
        # A student may learn from feature maps alone, and validation photos have none.
        weights = weights if any(weights.values()) else {"mse": 1.0}
        return training_losses(output.score, inputs["labels"], weights, groups=inputs.get("group"))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self._loss_count and "loss" in logs:
            for name, total in self._loss_sums.items():
                logs[f"{name}_loss"] = self.accelerator.gather(total / self._loss_count).mean().item()
            self._loss_sums.clear()
            self._loss_count = 0
        super().log(logs, start_time)

    def create_optimizer(self, model: Any = None) -> Any:
        if self.optimizer is None:
            model = self.model if model is None else model
            # The prefix is peft's.
            names = [(name.removeprefix("base_model.model."), p) for name, p in model.named_parameters()]
            head = [p for name, p in names if p.requires_grad and name.startswith(_HEADS)]
            backbone = [p for name, p in names if p.requires_grad and not name.startswith(_HEADS)]
            rate = self.args.learning_rate if self.args.head_learning_rate is None else self.args.head_learning_rate
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args, model)
            groups = [{"params": backbone}, {"params": head, "lr": rate}]
            decay = self.args.weight_decay
            self.optimizer = optimizer_class([g for g in groups if g["params"]], **options, weight_decay=decay)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is not None:
            return self.lr_scheduler
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        if self.args.learning_rate_drops:
            if not isinstance(scheduler, LambdaLR):
                raise ValueError(
                    f"learning_rate_drops do not go with lr_scheduler_type={self.args.lr_scheduler_type}."
                )
            steps_per_epoch = math.ceil(len(self.get_train_dataloader()) / self.args.gradient_accumulation_steps)
            drops = [epoch * steps_per_epoch for epoch in self.args.learning_rate_drops]
            scheduler.lr_lambdas = [_with_drops(base, drops) for base in scheduler.lr_lambdas]
        return scheduler

    def free_memory(self) -> None:
        """Gives back what weights, gradients and optimiser occupy, once the model is saved and training over.

        The configuration, the names and shapes of the weights, and the log stay.
        """
        self.model_wrapped = self.model.to("meta")
        self.optimizer = self.lr_scheduler = None
        self.accelerator.free_memory()


def _with_drops(base: Callable[[int], float], drops: Sequence[float]) -> Callable[[int], float]:
    return lambda step: base(step) * _DROP_FACTOR ** sum(step >= drop for drop in drops)


class _AugmentationOfTheEpoch(TrainerCallback):
    """Tells the training photos the epoch; accelerate's loader does not when there are several processes."""

    def __init__(self, photos: Any):
        self.photos = photos
        while hasattr(self.photos, "dataset"):  # of a torch Subset
            self.photos = self.photos.dataset

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if hasattr(self.photos, "set_epoch"):
            self.photos.set_epoch(int(state.epoch))


def score_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """SRCC, PLCC and RMSE for best-model tracking: 0 for constant scores, the worst for scores that are not finite."""
    scores, mos = np.asarray(prediction.predictions).ravel(), np.asarray(prediction.label_ids).ravel()
    if not np.isfinite(scores).all():
        return {"srcc": -1.0, "plcc": -1.0, "rmse": float("inf")}
    return {"srcc": srcc(scores, mos), "plcc": plcc(scores, mos), "rmse": rmse(scores, mos)}
