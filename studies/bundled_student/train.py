"""Trains the bundled student: the one before it learns the order of distorted versions and where damage is.

    python studies/bundled_student/train.py --data BIQ2021 --livefb LIVEFB --start STUDENT --output runs/student

`--start` is the bundled student of commit 513db1c. On photos it keeps to its own scores; on distorted versions of them
it learns their order and where the damage is. No opinion score is learnt. The saved weights lie between those at the
start and those at the end, where `--share` says. With `--resume` a run that is through is saved with another share.
The scenes that the start has not seen are held out: they calibrate the interval.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import concatenate_datasets
from datasets.fingerprint import Hasher
from held_out import held_out_photos
from torch.utils.data import Subset
from transformers import set_seed

from dpiqa import DPIQAImageProcessor, DPIQAStudent, DPIQAStudentConfig, Scorer
from dpiqa.data import load_iqa_dataset, load_iqa_splits
from dpiqa.data.images import content_digest
from dpiqa.evaluation.metrics import rmse, srcc
from dpiqa.models.calibration import fit_calibration
from dpiqa.scoring.devices import pick_device
from dpiqa.scoring.frozen_teacher import inference_dtype
from dpiqa.training.resume import prepare_output
from dpiqa.training.twin_trainer import DPIQATwinTrainer, DPIQATwinTrainingArguments
from dpiqa.training.twins import TwinPhotos

CALIBRATION_PHOTOS = 2000
COLUMNS = ["image", "name", "mos", "group"]


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--livefb", type=Path, required=True, help="folder of LIVEFB, or of a part of it")
    parser.add_argument("--start", type=Path, required=True, help="checkpoint of the student that goes on")
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoint and the log")
    parser.add_argument("--versions", type=Path, help="folder of the distorted versions, which several runs can share")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was cut off")
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument(
        "--learning-rate", type=float, default=2e-4, help="of the backbone; the head has five times this"
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--frozen-blocks", type=int, default=5, help="stem and first blocks that stay as they are")
    parser.add_argument("--max-steps", type=int, default=-1, help="steps, for a short try")
    parser.add_argument("--every", type=int, default=3, help="one photo in so many has distorted versions")
    parser.add_argument("--share", type=float, default=0.8, help="of the trained weights in the saved ones")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def scores_of(checkpoint: Path, photos: Any) -> np.ndarray:
    return np.array([score.score for score in Scorer.from_pretrained(checkpoint).stream(photos["image"])])


def scores_of_start(start: Path, photos: Any, folder: Path) -> np.ndarray:
    """Its scores are kept in the folder, since they take minutes."""
    digests = [content_digest(image) for image in photos["image"]]
    file = folder / f"scores-{Hasher.hash([Scorer.from_pretrained(start).fingerprint, digests])}.npy"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(file, scores_of(start, photos))
    return np.load(file)


def rescale_scores(student: DPIQAStudent, factor: float, offset: float) -> None:
    """Maps scores linearly; the weights of the positions sum to one, so the quality readout takes it all."""
    with torch.no_grad():
        student.head.quality.weight.mul_(factor)
        student.head.quality.bias.mul_(factor).add_(offset)


def move_back(student: DPIQAStudent, start: DPIQAStudent, share: float) -> None:
    """Keeps this share of how far each weight has come from the start."""
    with torch.no_grad():
        for weight, before in zip(student.parameters(), start.parameters(), strict=True):
            weight.lerp_(before, 1 - share)


def agreement(scores: np.ndarray, photos: Any) -> dict[str, float]:
    mos = photos["mos"][:]
    return {"srcc": srcc(scores, mos), "rmse": rmse(scores, mos)}


def calibrate(checkpoint: Path, trained_on: Any, held_out: Any, scores: np.ndarray, seed: int) -> float:
    """Writes percentiles of train scores and the interval into the checkpoint; returns half the interval's width."""
    sample = trained_on.shuffle(seed=seed).select(range(min(CALIBRATION_PHOTOS, len(trained_on))))
    config = DPIQAStudentConfig.from_pretrained(checkpoint)
    fit_calibration(config, scores_of(checkpoint, sample), scores, np.array(held_out["mos"][:]))
    config.save_pretrained(checkpoint)
    return config.interval_half_width


def train(student: DPIQAStudent, photos: Any, arguments: argparse.Namespace) -> list[Any]:
    """Trains in place and returns the log; goes on with what is there of it if told to."""
    output = arguments.output / "trainer"
    started = arguments.resume and any(output.glob("checkpoint-*"))
    resumed_from = prepare_output(output, overwrite=False, resume="last" if started else None)
    training = DPIQATwinTrainingArguments(
        output_dir=str(output),
        num_train_epochs=arguments.epochs,
        max_steps=arguments.max_steps,
        per_device_train_batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        head_learning_rate=5 * arguments.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.1,
        weight_decay=0.01,
        mse_weight=3.0,  # the scores at the start are exact
        plcc_weight=0.5,
        group_plcc_weight=1.0,
        bf16=inference_dtype(pick_device()) == torch.bfloat16,
        dataloader_drop_last=True,
        dataloader_num_workers=1,
        dataloader_persistent_workers=True,
        save_steps=50,
        logging_steps=20,
        report_to="none",
        seed=arguments.seed,
    )
    trainer = DPIQATwinTrainer(model=student, args=training, train_dataset=photos)
    trainer.train(resume_from_checkpoint=resumed_from)
    return trainer.state.log_history


def main(arguments: argparse.Namespace) -> None:
    held_out = held_out_photos(arguments.data)
    livefb = load_iqa_dataset(f"livefb={arguments.livefb}")
    biq2021 = load_iqa_splits("biq2021", arguments.data, split_by="scene")["train"]
    rows = concatenate_datasets([photos.select_columns(COLUMNS) for photos in (biq2021, livefb)])
    kept = np.flatnonzero(~np.isin(rows["name"][:], held_out["name"][:]))

    versions = arguments.versions or arguments.output / "versions"
    own = scores_of_start(arguments.start, rows, versions)
    mean, std = float(own[kept].mean()), float(own[kept].std())
    processor = DPIQAImageProcessor.from_pretrained(arguments.start)
    # On standardised scores every loss has the same size. Versions do not depend on what is held out.
    standardised = rows.remove_columns("mos").add_column("mos", ((own - mean) / std).tolist())
    photos = TwinPhotos(standardised, processor, versions, every=arguments.every, num_workers=2)
    set_seed(arguments.seed)
    start, student = (DPIQAStudent.from_pretrained(arguments.start, dtype=torch.float32) for _ in range(2))
    student = student.to(memory_format=torch.channels_last)
    rescale_scores(student, 1 / std, -mean / std)
    student.freeze_early_layers(arguments.frozen_blocks)
    log = train(student, Subset(photos, kept.tolist()), arguments)
    rescale_scores(student, std, mean)
    move_back(student, start, arguments.share)
    checkpoint = arguments.output / "checkpoint"
    student.half().save_pretrained(checkpoint)
    processor.save_pretrained(checkpoint)

    scores = scores_of(checkpoint, held_out)
    of_biq2021 = rows.select(kept[: -len(livefb)])
    result = {
        "arguments": {name: str(value) for name, value in vars(arguments).items()},
        "photos": {"train": len(kept), "held out": len(held_out)},
        "interval_half_width": calibrate(checkpoint, of_biq2021, held_out, scores, arguments.seed),
        "held out": {
            "start": agreement(scores_of_start(arguments.start, held_out, versions), held_out),
            "student": agreement(scores, held_out),
        },
        "livefb": {
            "start": agreement(own[-len(livefb) :], livefb),
            "student": agreement(scores_of(checkpoint, livefb), livefb),
        },
    }
    (arguments.output / "result.json").write_text(json.dumps(result | {"log": log}, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(make_parser().parse_args())
