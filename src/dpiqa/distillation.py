"""Distillation of a teacher into a student, with the teacher run once per photo."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .image_processing_dpiqa import DPIQAImageProcessor
from .losses import training_losses
from .modeling_dpiqa import DPIQAModel
from .trainer import DPIQATrainer, QualityDataset

_BATCH = 8


class TeacherTargets:
    """A teacher's feature maps, computed once per photo and kept on disk.

    One safetensors file per photo, named by the photo's content, below a folder named by the teacher's weights and
    configuration and its processor's settings: nothing stale is ever read. Files appear complete or not at all, so a
    killed process loses at most a batch, and several processes may fill one folder.

    Args:
        teacher: A teacher; put into eval mode.
        processor: The teacher's own processor. The student may see other pixels of the same photo.
        folder: Where to keep the targets.

    Attributes:
        computed: Photos that the teacher was run on by this object.
    """

    def __init__(self, teacher: DPIQAModel, processor: DPIQAImageProcessor, folder: str | os.PathLike[str]):
        self.teacher = teacher.eval()
        self.processor = processor
        self.folder = Path(folder) / targets_key(teacher, processor)
        self.computed = 0

    def fill(self, dataset: QualityDataset, rows: Iterable[int] | None = None) -> None:
        """Computes what is missing for a data set, in batches."""
        batch: dict[Path, torch.Tensor] = {}
        for row in range(len(dataset)) if rows is None else rows:
            path = self.path(dataset, row)
            if path not in batch and not _is_complete(path):
                photo = QualityDataset(dataset.rows, self.processor).open(row)
                batch[path] = self.processor(photo, return_tensors="pt")["pixel_values"][0]
            if len(batch) == _BATCH:
                self._compute(batch)
                batch = {}
        self._compute(batch)

    def read(self, dataset: QualityDataset, row: int) -> dict[str, torch.Tensor]:
        """`feature_map` (float16) and `score` of the teacher for a row.

        Raises:
            FileNotFoundError: When [`fill`] has not computed it.
        """
        with safe_open(self.path(dataset, row), "pt") as file:
            return {name: file.get_tensor(name) for name in ("feature_map", "score")}

    def path(self, dataset: QualityDataset, row: int) -> Path:
        """The file of a row's targets."""
        source = dataset.rows[row]["image"]
        content = source["bytes"] or Path(source["path"]).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return self.folder / digest[:2] / f"{digest}.safetensors"

    @torch.no_grad()
    def _compute(self, batch: dict[Path, torch.Tensor]) -> None:
        if not batch:
            return
        pixels = torch.stack(list(batch.values())).to(self.teacher.device, self.teacher.dtype)
        output = self.teacher(pixels)
        for path, feature_map, score in zip(batch, output.feature_map, output.score, strict=True):
            _save_atomically(
                {"feature_map": feature_map.half().cpu().contiguous(), "score": score.float().cpu()}, path
            )
        self.computed += len(batch)


class DistillationDataset(QualityDataset):
    """[`QualityDataset`] with the teacher's `teacher_map` for every photo.

    Args:
        rows: A `datasets.Dataset`.
        processor: The student's.
        targets: The teacher's targets; what is missing is computed here, before training.
    """

    def __init__(self, rows: Any, processor: DPIQAImageProcessor, targets: TeacherTargets):
        super().__init__(rows, processor)
        targets.fill(self)
        # Paths once, and no teacher: the photos are not hashed again, and workers need no copy of the model.
        self.target_paths = [targets.path(self, row) for row in range(len(self))]

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        with safe_open(self.target_paths[index], "pt") as file:
            return super().__getitem__(index) | {"teacher_map": file.get_tensor("feature_map")}


class DPIQADistillationTrainer(DPIQATrainer):
    """[`DPIQATrainer`] for a student whose training photos come with `teacher_map` ([`DistillationDataset`]).

    The loss is MSE + margin ranking + feature map, each with its weight from the arguments (DP-IQA, section 3.4: there
    is no term for the teacher's score). Validation photos need no teacher.
    """

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if model.training and "teacher_map" not in inputs:
            raise ValueError("Training photos have no teacher_map: make the training set a DistillationDataset.")
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def losses(self, output: Any, inputs: Any) -> dict[str, torch.Tensor]:
        if "teacher_map" not in inputs:
            return super().losses(output, inputs)
        return training_losses(
            output.score,
            inputs["labels"],
            self.args.loss_weights,
            feature_map=output.feature_map,
            teacher_map=inputs["teacher_map"],
        )


def targets_key(teacher: DPIQAModel, processor: DPIQAImageProcessor) -> str:
    """Names a teacher: SHA-256 of its weights, its configuration and its processor's settings."""
    digest = hashlib.sha256()
    for name, tensor in sorted(teacher.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    settings = [teacher.config.to_dict(), processor.to_dict()]
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:32]


def _is_complete(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with safe_open(path, "pt") as file:
            return {"feature_map", "score"} <= set(file.keys())
    except SafetensorError:
        return False  # a disk that was full, say: computed again


def _save_atomically(tensors: dict[str, torch.Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    try:
        save_file(tensors, temporary)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
