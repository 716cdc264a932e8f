"""What distillation costs when the teacher runs once: epochs against plain training and against the published loop.

Three loops train the same student on the same photos, in turns, so that a busy machine slows all alike; times are
medians of epochs after the first. "plain" has no teacher. "cached" reads the teacher's feature maps, computed before.
"published" runs the teacher in every step. The teacher here is a small one. For the full size, the published models'
shapes with random weights, single steps are timed at 512x512 and an epoch is extrapolated: the student's step, and the
teacher's forward or the reading of its feature map. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sklearn.datasets
import torch
from bench_teacher import make_teacher
from PIL import Image
from safetensors.torch import load_file
from transformers import TrainerCallback

from dpiqa import DPIQAConfig, DPIQAImageProcessor, DPIQAModel, DPIQAStudent, DPIQAStudentConfig
from dpiqa.data import load_iqa_dataset
from dpiqa.training.arguments import DPIQATrainingArguments
from dpiqa.training.distillation import DPIQADistillationTrainer, TeacherTargets
from dpiqa.training.photo_dataset import PhotoDataset
from dpiqa.training.trainer import DPIQATrainer

SIZE = 256
BATCH = 8


def make_photos(folder: Path, count: int) -> Any:
    """Crops of scikit-learn's two photographs as JPEGs with made-up MOS."""
    originals = [Image.fromarray(image) for image in sklearn.datasets.load_sample_images().images]
    rows = ["path,mos,split"]
    for index in range(count):
        left, top = 3 * (index // 2), index // 2
        originals[index % 2].crop((left, top, left + 400, top + 300)).save(folder / f"{index}.jpg", quality=92)
        rows.append(f"{index}.jpg,{index / count},train")
    (folder / "photos.csv").write_text("\n".join(rows) + "\n")
    return load_iqa_dataset(folder / "photos.csv", split="train")


def small_teacher() -> DPIQAModel:
    return DPIQAModel(DPIQAConfig.small(image_size=SIZE, feature_size=64)).eval()


class PublishedTrainer(DPIQADistillationTrainer):
    """Runs the teacher in every step."""

    def __init__(self, *args: Any, teacher: DPIQAModel, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.teacher = teacher

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            teacher_feature_map = self.teacher(inputs["pixel_values"]).feature_map
        return super().compute_loss(model, inputs | {"teacher_feature_map": teacher_feature_map}, *args, **kwargs)


class EpochTimes(TrainerCallback):
    """Seconds of every epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def later_epochs(trainer_class: Callable[..., DPIQATrainer], photos: PhotoDataset, folder: Path) -> list[float]:
    """Seconds of the epochs after the first."""
    torch.manual_seed(0)
    config = DPIQAStudentConfig.from_backbone("efficientnet-lite0", image_size=SIZE, freeze_batch_norm=True)
    arguments = DPIQATrainingArguments(
        output_dir=str(folder),
        num_train_epochs=3,
        per_device_train_batch_size=BATCH,
        ranking_weight=1.0,
        feature_map_weight=0.0 if trainer_class is DPIQATrainer else 1.0,
        save_strategy="no",
        disable_tqdm=True,
        logging_strategy="no",
    )
    times = EpochTimes()
    trainer_class(model=DPIQAStudent(config), args=arguments, train_dataset=photos, callbacks=[times]).train()
    return times.seconds[1:]


def fastest(step: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def full_size(cached: Path) -> dict[str, float]:
    """Seconds per photo of the published models' steps at 512x512."""
    pixels = torch.rand(1, 3, 512, 512)
    teacher_feature_map = load_file(cached)["teacher_feature_map"][None]
    student = DPIQAStudent(DPIQAStudentConfig()).train()
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-4)

    def train_student() -> None:
        output = student(pixels)
        loss = (output.score - 0.5).square().mean() + (
            output.feature_map - teacher_feature_map.float()
        ).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    seconds = {"student_step": fastest(train_student, 3), "cache_read": fastest(lambda: load_file(cached), 100)}
    teacher = make_teacher(torch.float32)
    with torch.no_grad():
        seconds["teacher_forward"] = fastest(lambda: teacher(pixels), 2)
    return seconds


def main(photos: int, rounds: int) -> None:
    epochs: dict[str, list[float]] = {"plain": [], "cached": [], "published": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = make_photos(folder, photos)
        processor = DPIQAImageProcessor(size={"height": SIZE, "width": SIZE})
        torch.manual_seed(0)
        teacher = small_teacher()
        plain = PhotoDataset(rows, processor)
        start = time.perf_counter()
        feature_maps = TeacherTargets(teacher, processor, folder / "feature-maps", dtype=torch.float32)
        cached = PhotoDataset(rows, processor, cache=feature_maps)
        filling = time.perf_counter() - start
        files = list((folder / "feature-maps").rglob("*.safetensors"))

        def published(**kwargs: Any) -> DPIQATrainer:
            return PublishedTrainer(teacher=teacher, **kwargs)

        for _ in range(rounds):
            epochs["plain"] += later_epochs(DPIQATrainer, plain, folder / "run")
            epochs["cached"] += later_epochs(DPIQADistillationTrainer, cached, folder / "run")
            epochs["published"] += later_epochs(published, plain, folder / "run")
        size = statistics.mean(path.stat().st_size for path in files)
        full = full_size(files[0])

    seconds = {loop: statistics.median(times) for loop, times in epochs.items()}
    print(f"small: {photos} photos at {SIZE}x{SIZE}, batches of {BATCH}; filling the cache took {filling:.1f} s")
    for loop, median in seconds.items():
        print(f"{loop:12}{median:8.2f} s an epoch{median / seconds['plain']:8.2f} of plain")
    step = full["student_step"]
    print("full size, one photo:", ", ".join(f"{name} {value:.4f} s" for name, value in full.items()))
    result = {
        "epoch_cost_over_plain": round(seconds["cached"] / seconds["plain"], 3),
        "speedup_over_published": round(seconds["published"] / seconds["cached"], 2),
        "cache_bytes_per_image": round(size),
        "full_size_epoch_cost_over_plain": round((step + full["cache_read"]) / step, 3),
        "full_size_speedup_over_published": round((step + full["teacher_forward"]) / (step + full["cache_read"]), 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.photos, arguments.rounds)
