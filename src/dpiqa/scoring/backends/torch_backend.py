"""PyTorch: the reference, on any device, for students and teachers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from transformers.utils import logging

from ...models.image_processing_dpiqa import DPIQAImageProcessor
from ...models.modeling_dpiqa_student import DPIQAStudent
from ...models.photo_reader import PhotoReader
from ..devices import pick_device, pick_dtype
from ..fingerprint import fingerprint
from ..folded_student import fold_student
from ..forks import prepare_after_fork
from ..pixel_network import PixelNetwork
from .backend import Backend

if TYPE_CHECKING:
    from ...models.modeling_dpiqa import DPIQAModel

# On an accelerator; a core of a CPU is fastest with one photo, whose activations stay in its cache.
_STUDENT_BATCH, _TEACHER_BATCH = 16, 4
# What of a configuration no score depends on.
_NOT_IN_FINGERPRINT = frozenset(
    "_name_or_path architectures auto_map custom_pipelines dtype transformers_version score_range score_quantiles "
    "interval_half_width interval_coverage".split()
)


class TorchBackend(Backend):
    """Computes with PyTorch.

    Args:
        model: A student or a teacher, which is put into eval mode; a copy of it is made that only scores (see
            [`dpiqa.scoring.folded_student.fold_student`] and [`dpiqa.freeze_for_inference`]).
        processor: The checkpoint's image processor.
        device: "auto" takes cuda, then mps, then cpu.
        dtype: See [`dpiqa.scoring.devices.pick_dtype`].
    """

    name = "torch"

    def __init__(
        self,
        model: DPIQAStudent | DPIQAModel,
        processor: DPIQAImageProcessor,
        *,
        device: str | torch.device = "auto",
        dtype: str = "auto",
    ):
        self._device = pick_device(device)
        self._dtype = pick_dtype(dtype, model.config.model_type, self._device)
        prepare_after_fork(self._device)
        self.config = model.config
        self.source = model.name_or_path or "memory"
        self.reader = PhotoReader.from_settings(processor.settings())
        self.device = str(self._device)
        self.dtype = str(self._dtype).removeprefix("torch.")
        on_cpu = self._device.type == "cpu"
        self.model: DPIQAStudent | DPIQAModel
        network: torch.nn.Module
        if isinstance(model, DPIQAStudent):
            self.model = model.eval()
            # Folded in float32, whatever the weights are in.
            network = fold_student(model).to(self._device, self._dtype, memory_format=torch.channels_last)
            self.batch_size = 1 if on_cpu else _STUDENT_BATCH
            self.parallel = on_cpu
        else:
            from ..frozen_teacher import freeze_for_inference

            network = self.model = freeze_for_inference(model, device=self._device, dtype=self._dtype)
            self.batch_size = 1 if on_cpu else _TEACHER_BATCH
            self.parallel = False
        self._network = PixelNetwork(network, self.reader, self._dtype).to(self._device)

    @classmethod
    def from_pretrained(
        cls,
        folder: Path,
        model_type: str,
        *,
        device: str | torch.device = "auto",
        dtype: str = "auto",
        source: str | os.PathLike[str] | None = None,
    ) -> TorchBackend:
        """Loads a folder with a checkpoint of this `model_type`, which came from `source`."""
        picked = pick_device(device)
        # A teacher in its final type from the start: its weights then exist only once.
        loaded_in = torch.float32 if model_type == "dpiqa-student" else pick_dtype(dtype, model_type, picked)
        prepare_after_fork(picked)
        with _without_weights_bar():
            model = _class_of(model_type).from_pretrained(folder, dtype=loaded_in, local_files_only=True)
        model = model.to(memory_format=torch.channels_last)
        processor = DPIQAImageProcessor.from_pretrained(folder, local_files_only=True)
        backend = cls(model, processor, device=picked, dtype=dtype)
        backend.source = os.fspath(source or folder)
        return backend

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        prepare_after_fork(self._device)
        batch = torch.from_numpy(pixels)
        if self._device.type == "cuda":
            batch = batch.pin_memory()
        scores, *maps = self._network(batch.to(self._device, non_blocking=True))
        return scores.double().cpu().numpy(), maps[0].cpu().numpy() if maps else None

    @cached_property
    def fingerprint(self) -> str:
        """See [`Backend.fingerprint`]; takes about a second per gigabyte of weights."""
        config = _what_scores_follow_from(self.config.to_dict())
        return fingerprint(self.model, config, self.reader.settings(), str(self._dtype))

    def prepare_worker(self) -> None:
        # PyTorch sets a thread up when it is first used there, and would undo the limit if that came later.
        torch.get_num_threads()
        # Of this thread alone: `torch.set_num_threads` would slow down everything else that the process computes.
        threadpool_limits(1, user_api="openmp")


def _class_of(model_type: str) -> type[DPIQAStudent] | type[DPIQAModel]:
    if model_type == "dpiqa-student":
        return DPIQAStudent
    from ...models.modeling_dpiqa import DPIQAModel

    return DPIQAModel


def _what_scores_follow_from(config: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _what_scores_follow_from(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in _NOT_IN_FINGERPRINT
    }


@contextmanager
def _without_weights_bar() -> Iterator[None]:
    """Keeps transformers' bar for reading weights off the terminal, not the bars of downloads."""
    hook = logging.set_tqdm_hook(lambda factory, args, kwargs: logging.EmptyTqdm(*args, **kwargs))
    try:
        yield
    finally:
        logging.set_tqdm_hook(hook)


__all__ = ["TorchBackend"]
