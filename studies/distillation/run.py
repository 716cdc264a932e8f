"""Does distillation help? A small teacher, and students trained with and without its feature maps.

    python studies/distillation/run.py --data BIQ2021 --taesd taesd.safetensors --output runs/study

Trains a teacher on BIQ2021's train split, small enough for a CPU: the tiny autoencoder of Stable Diffusion (TAESD) and
a narrow UNet from random weights; `--teacher` takes a trained one, such as those of `studies/small_prior`. Then
students of random weights, under one budget, with and without the feature map loss, for several seeds. The epoch with
the best SRCC on the validation split (a tenth of train, whole scenes) is kept; each model scores the test split once,
at its end. What `rows.jsonl` holds already is not run again: other settings need another folder. Two processes can
share a folder when they train different models, as with `--feature-map-weights 0` and `--feature-map-weights 1`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file
from transformers import set_seed

from dpiqa import DPIQAConfig, DPIQAImageProcessor, DPIQAModel, DPIQAStudent, DPIQAStudentConfig
from dpiqa.data import load_iqa_splits
from dpiqa.training.arguments import DPIQATrainingArguments
from dpiqa.training.distillation import DPIQADistillationTrainer, TeacherTargets
from dpiqa.training.latents import AutoencoderLatents
from dpiqa.training.photo_dataset import PhotoDataset
from dpiqa.training.script_parser import ScriptParser
from dpiqa.training.trainer import DPIQATrainer

# A quarter of BIQ2021's photos, which JPEG decodes at that scale; a feature map as large as the latents, as published.
SIZE, FEATURE_SIZE = 128, 16


def make_parser() -> ScriptParser:
    parser = ScriptParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--teacher", type=Path, help="a trained teacher; without one, one is trained")
    parser.add_argument("--taesd", type=Path, help="weights of TAESD; random ones when not given")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=10000, help="photos of the train split, for the teacher")
    parser.add_argument("--student-photos", type=int, default=2000, help="the first of them, for the students")
    parser.add_argument("--teacher-epochs", type=float, default=8)
    parser.add_argument("--teacher-learning-rate", type=float, default=2e-4)
    parser.add_argument("--student-epochs", type=float, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--feature-map-weights", type=float, nargs="+", default=[0.0, 1.0])
    return parser


def small_teacher(taesd: Path | None) -> DPIQAModel:
    teacher = DPIQAModel(DPIQAConfig.small(image_size=SIZE, feature_size=FEATURE_SIZE))
    if taesd is not None:
        weights = {name: value.float() for name, value in load_file(taesd).items()}
        teacher.autoencoder.load_state_dict({name: weights[name] for name in teacher.autoencoder.state_dict()})
    return teacher


def small_student() -> DPIQAStudent:
    backbone = {"width_coefficient": 0.5, "depth_coefficient": 0.5, "hidden_dim": 640, "hidden_act": "relu6"}
    config = DPIQAStudentConfig(
        efficientnet_config=backbone,
        squeeze_excite=False,
        batch_norm_momentum=0.1,
        head="spatial",
        hidden_size=128,
        image_size=SIZE,
        feature_size=FEATURE_SIZE,
    )
    return DPIQAStudent(config)


def train(
    model: Any,
    trainer_class: Any,
    train_set: Any,
    validation: Any,
    output: Path,
    epochs: float,
    seed: int,
    **options: Any,
) -> DPIQATrainer:
    """Trains, keeps the epoch that is best on validation, and returns the trainer with that model."""
    arguments = DPIQATrainingArguments(
        output_dir=str(output),
        num_train_epochs=epochs,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        lr_scheduler_type="cosine",
        warmup_steps=50,
        logging_steps=25,
        max_grad_norm=1.0,
        ranking_weight=1.0,
        bf16=True,
        disable_tqdm=True,
        seed=seed,
        **options,
    )
    trainer = trainer_class(model=model, args=arguments, train_dataset=train_set, eval_dataset=validation)
    trainer.train()
    return trainer


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The last row of each model and seed: a teacher whose run ended before it was saved is trained again."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return list({(row["model"], row["seed"]): row for row in rows}.values())


def main(arguments: argparse.Namespace) -> None:
    loaded = load_iqa_splits("biq2021", arguments.data, split_by="scene")
    splits = {split: loaded[split] for split in ("train", "validation", "test")}
    # In the order of the labels, which is random.
    splits["train"] = splits["train"].select(range(min(arguments.photos, len(splits["train"]))))
    processor = DPIQAImageProcessor(size={"height": SIZE, "width": SIZE})
    held_out = {split: PhotoDataset(splits[split], processor) for split in ("validation", "test")}
    rows = arguments.output / "rows.jsonl"
    batches = {
        "per_device_train_batch_size": arguments.batch_size,
        "per_device_eval_batch_size": arguments.batch_size,
    }

    def report(name: str, seed: int, trainer: DPIQATrainer, photos: dict[str, PhotoDataset]) -> None:
        figures = {split: trainer.evaluate(photos[split])["eval_srcc"] for split in ("validation", "test")}
        line = json.dumps({"model": name, "seed": seed, **figures})
        print(line, flush=True)
        with rows.open("a") as file:
            file.write(line + "\n")

    def trained_teacher() -> Path:
        if arguments.teacher:
            return arguments.teacher
        best = arguments.output / "teacher"
        if best.exists():
            return best
        set_seed(0)
        teacher = small_teacher(arguments.taesd)
        latents = AutoencoderLatents(teacher, processor, arguments.output / "latents")
        encoded = {split: PhotoDataset(photos, processor, cache=latents) for split, photos in splits.items()}
        trainer = train(
            teacher,
            DPIQATrainer,
            encoded["train"],
            encoded["validation"],
            arguments.output / "teacher-run",
            arguments.teacher_epochs,
            seed=0,
            learning_rate=arguments.teacher_learning_rate,
            **batches,
        )
        report("teacher", 0, trainer, encoded)
        unfinished = best.with_name("teacher.unfinished")
        processor.save_pretrained(unfinished)
        trainer.save_model(str(unfinished))
        os.replace(unfinished, best)
        return best

    def targets() -> TeacherTargets:
        folder = trained_teacher()
        its_processor = DPIQAImageProcessor.from_pretrained(folder)
        return TeacherTargets(DPIQAModel.from_pretrained(folder), its_processor, arguments.output / "feature-maps")

    few = splits["train"].select(range(min(arguments.student_photos, len(splits["train"]))))
    for seed, weight in itertools.product(arguments.seeds, arguments.feature_map_weights):
        name = f"student, feature map weight {weight:g}"
        if any((row["model"], row["seed"]) == (name, seed) for row in read_rows(rows)):
            continue
        # No teacher is needed without its maps, so that another process can train these students meanwhile.
        feature_maps = targets() if weight else None
        set_seed(seed)
        trainer = train(
            small_student(),
            DPIQADistillationTrainer if weight else DPIQATrainer,
            PhotoDataset(few, processor, cache=feature_maps),
            held_out["validation"],
            arguments.output / f"student-{weight:g}-{seed}",
            arguments.student_epochs,
            seed=seed,
            learning_rate=1e-3,
            # As published; ten times as much and the feature map dies behind its ReLU when it is pulled.
            head_learning_rate=1e-4,
            feature_map_weight=weight,
            **batches,
        )
        report(name, seed, trainer, held_out)

    lines = ["| model | validation SRCC | test SRCC |", "|---|---|---|"]
    done = read_rows(rows)
    for name in sorted({row["model"] for row in done}):
        cells = []
        for split in ("validation", "test"):
            values = [row[split] for row in done if row["model"] == name]
            spread = f" +- {np.std(values, ddof=1):.3f}" if len(values) > 1 else " (one run)"
            cells.append(f"{np.mean(values):.3f}{spread}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    print("\n".join(lines))
    (arguments.output / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(make_parser().parse_args())
