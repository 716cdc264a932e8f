"""Model cards of checkpoints that were trained here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from transformers import PreTrainedModel
from transformers.modelcard import make_markdown_table, parse_log_history

from ..evaluation.report import Result, to_eval_results, to_markdown

TEMPLATE = Path(__file__).parent / "model_card_template.md"
_HYPERPARAMETERS = (
    "learning_rate",
    "head_learning_rate",
    "lr_scheduler_type",
    "learning_rate_drops",
    "weight_decay",
    "max_grad_norm",
    "num_train_epochs",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "world_size",
    "bf16",
    "seed",
)
_TAGS = ("image-quality-assessment", "blind-image-quality-assessment", "iqa")
# transformers' names of what is logged, and the card's.
_COLUMNS = {name: name for name in ("Training Loss", "Epoch", "Step", "Validation Loss")}
_COLUMNS |= {"Srcc": "SRCC", "Plcc": "PLCC", "Rmse": "RMSE"}


@dataclass
class DPIQAModelCard:
    """What a model card says.

    Attributes:
        name: The name of the checkpoint.
        data: Name of the data set.
        start: What the weights were before training.
        command: The command that trained it.
        licence: The licence of the weights, as the Hub writes it.
        data_licence: The licence of the photos and opinions.
        data_citation: Whom to cite for them.
        intended_use: What the checkpoint is for.
        kind: "teacher" or "student". This and all below is filled in by [`fill`].
        parameters: How many, all told.
        trained_parameters: How many of them were trained.
        image_size: Side in pixels of the square input.
        photos: How many for what: "train", "selection" of the epoch, "calibration" of the interval, "test".
        loss: The weighted losses.
        hyperparameters: By argument.
        training_log: Markdown table of the epochs.
        interval: Half-width and coverage of the calibrated interval, or None.
        is_lora: Whether the checkpoint is low-rank updates of a teacher.
        results: On the test split.
    """

    # Given by the user.
    name: str
    data: str
    start: str
    command: str
    licence: str = "other"
    data_licence: str = "Not stated. Ask whoever holds the rights to the photos and the opinions."
    data_citation: str | None = None
    intended_use: str = "Ranking and filtering photographs like those that it was trained on by how good they look."

    # Filled in.
    kind: str = field(init=False)
    parameters: int = field(init=False)
    trained_parameters: int = field(init=False)
    image_size: int = field(init=False)
    photos: dict[str, int] = field(init=False)
    loss: str = field(init=False)
    hyperparameters: dict[str, Any] = field(init=False)
    training_log: str = field(init=False)
    interval: tuple[float, float] | None = field(init=False)
    is_lora: bool = field(init=False)
    results: list[Result] = field(init=False)

    def fill(self, trainer: Any, photos: dict[str, int], results: Sequence[Result]) -> None:
        """Takes what a finished [`dpiqa.DPIQATrainer`] knows.

        Args:
            trainer: After training and calibration.
            photos: How many for what, as in the attribute.
            results: With `name` as their model.
        """
        config, parameters = trainer.model.config, list(trainer.model.parameters())
        self.kind = "student" if config.model_type == "dpiqa-student" else "teacher"
        self.parameters = sum(p.numel() for p in parameters)
        self.trained_parameters = sum(p.numel() for p in parameters if p.requires_grad)
        self.image_size = config.image_size
        self.photos = dict(photos)
        weights = {name: weight for name, weight in trainer.args.loss_weights.items() if weight}
        self.loss = " + ".join(f"{weight:g} x {name.replace('_', ' ')}" for name, weight in weights.items())
        values = {name: getattr(trainer.args, name) for name in _HYPERPARAMETERS}
        self.hyperparameters = {name: getattr(value, "value", value) for name, value in values.items() if value}
        if trainer.args.max_steps > 0:
            self.hyperparameters["num_train_epochs"] = round(trainer.state.epoch, 2)
        _, lines, _ = parse_log_history(trainer.state.log_history)
        # In one order: that of the entries changes when a run is resumed.
        lines = [{title: line[name] for name, title in _COLUMNS.items() if name in line} for line in lines or ()]
        self.training_log = make_markdown_table(lines).strip() or "No epoch was evaluated."
        half_width = config.interval_half_width
        self.interval = None if half_width is None else (half_width, config.interval_coverage)
        self.is_lora = not isinstance(trainer.model, PreTrainedModel)
        self.results = list(results)

    def to_card(self) -> ModelCard:
        """The card, with its metadata."""
        data = ModelCardData(
            model_name=self.name,
            license=self.licence,
            library_name="dpiqa",
            tags=[*_TAGS, f"dpiqa-{self.kind}"],
            eval_results=to_eval_results(self.results, self.name),
        )
        figures = to_markdown(self.results).strip()
        # With the name again: the template does not see the metadata's.
        return ModelCard.from_template(data, template_path=str(TEMPLATE), **(vars(self) | {"figures": figures}))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes `README.md`."""
        self.to_card().save(Path(folder) / "README.md")


__all__ = ["DPIQAModelCard"]
