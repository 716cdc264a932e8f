"""Does the prior help? Teachers that start from it, from random weights, and without one part at a time.

    python studies/small_prior/teachers.py --data BIQ2021 --prior runs/prior --output runs/teachers

All teachers have one budget. The epoch with the best SRCC on photos of held-out scenes is kept. What `rows.jsonl`
holds already is not run again, and a run that was cut off goes on after its last epoch. Two processes can share a
folder when they train different teachers (`--starts`, `--seeds`). With `--test` every teacher scores BIQ2021's
official test split, once, at the end of its training.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from parts import make_processor, untrained_teacher
from transformers import set_seed

from dpiqa import DPIQAModel
from dpiqa.data import load_iqa_splits
from dpiqa.training.arguments import DPIQATrainingArguments
from dpiqa.training.augmentations import AUGMENTATIONS
from dpiqa.training.latents import AutoencoderLatents
from dpiqa.training.photo_dataset import PhotoDataset
from dpiqa.training.resume import newest_whole_checkpoint
from dpiqa.training.trainer import DPIQATrainer


def from_random_weights(prior: Path) -> DPIQAModel:
    """The same teacher with a UNet that has seen nothing."""
    teacher = untrained_teacher(prior)
    fresh = DPIQAModel(teacher.config)
    teacher.unet.load_state_dict(fresh.unet.state_dict())
    return teacher


def with_frozen_unet(teacher: DPIQAModel) -> DPIQAModel:
    teacher.unet.requires_grad_(False)
    return teacher


def without_text_adapter(prior: Path) -> DPIQAModel:
    """The context stays what the text model said."""
    teacher = untrained_teacher(prior)
    torch.nn.init.zeros_(teacher.text_adapter.gamma)
    teacher.text_adapter.requires_grad_(False)
    return teacher


def without_image_adapter(prior: Path) -> DPIQAModel:
    """All its maps are zero, and stay so."""
    teacher = untrained_teacher(prior)
    for parameter in teacher.image_adapter.parameters():
        torch.nn.init.zeros_(parameter)
    teacher.image_adapter.requires_grad_(False)
    return teacher


def one_level(prior: Path, level: int) -> DPIQAModel:
    """The decoder reads one up block; `level` 0 is the last one, with the most positions."""
    teacher = untrained_teacher(prior)
    teacher.decoder.register_forward_pre_hook(
        lambda _, inputs: ([map if place == level else map * 0 for place, map in enumerate(inputs[0])],)
    )
    return teacher


STARTS: dict[str, Callable[[Path], DPIQAModel]] = {
    "prior": untrained_teacher,
    "random": from_random_weights,
    "frozen-unet": lambda prior: with_frozen_unet(untrained_teacher(prior)),
    "no-text-adapter": without_text_adapter,
    "no-image-adapter": without_image_adapter,
    **{f"level-{level}": lambda prior, level=level: one_level(prior, level) for level in range(3)},
    **{f"timestep-{step}": lambda prior, step=step: untrained_teacher(prior, timestep=step) for step in (50, 200)},
    "random-frozen-unet": lambda prior: with_frozen_unet(from_random_weights(prior)),
}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--prior", type=Path, required=True, help="output of pretrain.py")
    parser.add_argument("--latents", type=Path, help="folder of latents; PRIOR/latents")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--photos", type=int, default=3000, help="photos of the train split")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--augmentations", nargs="+", choices=AUGMENTATIONS, default=["original"])
    parser.add_argument("--learning-rate", type=float, default=2e-4, help="of the UNet")
    parser.add_argument("--head-learning-rate", type=float, default=1e-3, help="of the decoder")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--test", action="store_true", help="score the official test split too")
    return parser


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| teacher | held-out scenes | test |", "|---|---|---|"]
    for start in dict.fromkeys(row["start"] for row in rows):
        cells = []
        for split in ("validation", "test"):
            values = [row[split] for row in rows if row["start"] == start and split in row]
            spread = f" +- {np.std(values, ddof=1):.3f}" if len(values) > 1 else " (one run)"
            cells.append(f"{np.mean(values):.3f}{spread}" if values else "-")
        lines.append(f"| {start} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: argparse.Namespace) -> None:
    torch.backends.mkldnn.conv.fp32_precision = "bf16"  # for the autoencoder, on CPUs that have it
    splits = load_iqa_splits("biq2021", arguments.data, split_by="scene")
    # In the order of the labels, which is random.
    photos = {"train": splits["train"].select(range(min(arguments.photos, len(splits["train"]))))}
    photos["validation"] = splits["validation"]
    if arguments.test:
        photos["test"] = splits["test"]
    processor = make_processor()
    teacher = untrained_teacher(arguments.prior)
    teacher.autoencoder.to(memory_format=torch.channels_last)
    cache = AutoencoderLatents(teacher, processor, arguments.latents or arguments.prior / "latents")
    sets = {
        name: PhotoDataset(
            rows, processor, augmentations=arguments.augmentations if name == "train" else ["original"], cache=cache
        )
        for name, rows in photos.items()
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    results = arguments.output / "rows.jsonl"

    def read_rows() -> list[dict[str, Any]]:
        return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []

    for seed, start in itertools.product(arguments.seeds, arguments.starts):
        if any((row["start"], row["seed"]) == (start, seed) for row in read_rows()):
            continue
        set_seed(seed)
        output = arguments.output / f"{start}-{seed}"
        trainer = DPIQATrainer(
            model=STARTS[start](arguments.prior).to(memory_format=torch.channels_last),
            args=DPIQATrainingArguments(
                output_dir=str(output),
                num_train_epochs=arguments.epochs,
                learning_rate=arguments.learning_rate,
                head_learning_rate=arguments.head_learning_rate,
                lr_scheduler_type="cosine",
                warmup_steps=0.05,
                max_grad_norm=1.0,
                plcc_weight=0.5,
                per_device_train_batch_size=arguments.batch_size,
                per_device_eval_batch_size=arguments.batch_size,
                eval_strategy="epoch",
                save_strategy="epoch",
                save_total_limit=1,
                load_best_model_at_end=True,
                logging_steps=25,
                bf16=True,
                disable_tqdm=True,
                report_to="none",
                seed=seed,
            ),
            train_dataset=sets["train"],
            eval_dataset=sets["validation"],
        )
        try:
            checkpoint = str(newest_whole_checkpoint(output))
        except FileNotFoundError:  # at the first start, or when the first of them was cut off
            checkpoint = None
        trainer.train(resume_from_checkpoint=checkpoint)
        row = {"start": start, "seed": seed}
        row |= {name: trainer.evaluate(sets[name])["eval_srcc"] for name in sets if name != "train"}
        trainer.save_model(str(output / "best"))
        processor.save_pretrained(output / "best")
        print(json.dumps(row), flush=True)
        with results.open("a") as file:
            file.write(json.dumps(row) + "\n")
    print(table(read_rows()))


if __name__ == "__main__":
    main(make_parser().parse_args())
