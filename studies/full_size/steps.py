"""Trains the full-size teacher for a few steps, from random weights of Stable Diffusion 1.5's shapes.

    python studies/full_size/steps.py --weights bfloat16 --activation-checkpointing
    python studies/full_size/steps.py --weights float32 --lora-rank 16 --activation-checkpointing

The steps are those of `dpiqa train teacher`: [`dpiqa.DPIQATrainer`] on photos of noise, with latents of noise in
place of those that the command keeps, unless `--no-latents` lets the autoencoder run in every step. Weights in float32
are computed with in bfloat16, as `--bf16` does it. The last line is one JSON object: seconds of each step, gigabytes
that last from step to step, and the most that the process (on a GPU: PyTorch) held at a time.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import TrainerCallback, set_seed

from dpiqa import DPIQAConfig, DPIQAModel, DPIQATrainer, DPIQATrainingArguments
from dpiqa.training.lora import add_lora
from dpiqa.training.script_parser import ScriptParser


def make_parser() -> ScriptParser:
    parser = ScriptParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", choices=["float32", "bfloat16"], default="bfloat16", help="type of the weights")
    parser.add_argument("--activation-checkpointing", action="store_true", help="compute activations again")
    parser.add_argument("--lora-rank", type=int, default=0, help="rank of low-rank updates; 0 trains the UNet")
    parser.add_argument("--no-latents", action="store_true", help="run the autoencoder in every step")
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2)
    return parser


class Noise(Dataset):
    """Photos of noise with ratings, and latents of noise where they are given a shape."""

    def __init__(self, photos: int, image_size: int, latents: tuple[int, ...] | None):
        self.photos = photos
        self.image_size = image_size
        self.latents = latents

    def __len__(self) -> int:
        return self.photos

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(index)
        item = {
            "pixel_values": torch.rand(3, self.image_size, self.image_size, generator=generator),
            "labels": torch.rand((), generator=generator),
        }
        return item if self.latents is None else item | {"latents": torch.randn(self.latents, generator=generator)}


class Meter(TrainerCallback):
    """Seconds and losses of the steps; seconds also of all cores, which other programs do not prolong."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.core_seconds: list[float] = []
        self.losses: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.start, self.core_start = time.perf_counter(), time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
        self.seconds.append(time.perf_counter() - self.start)
        self.core_seconds.append(time.process_time() - self.core_start)

    def on_log(self, _: Any, state: Any, control: Any, logs: dict[str, float], **__: Any) -> None:
        if "loss" in logs:
            self.losses.append(float(logs["loss"]))


def random_teacher(config: DPIQAConfig, weights: torch.dtype) -> DPIQAModel:
    """A teacher of random weights, made in their type."""
    set_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(weights)
    try:
        teacher = DPIQAModel(config)
    finally:
        torch.set_default_dtype(default)
    teacher.decoder.mlp.float()  # as in a checkpoint of any type
    return teacher


def peak() -> int:
    """Bytes: the most that PyTorch held on an accelerator, else the most that the process held in memory."""
    if torch.accelerator.is_available():
        return torch.accelerator.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def lasting_bytes(trainer: DPIQATrainer) -> int:
    """Of weights, gradients and the optimiser's states."""
    tensors = [*trainer.model.parameters(), *trainer.model.buffers()]
    # A step ends with the gradients gone; they had the size of what is trained.
    gradients = [parameter for parameter in trainer.model.parameters() if parameter.requires_grad]
    states = [value for state in trainer.optimizer.state.values() for value in state.values()]
    return sum(tensor.numel() * tensor.element_size() for tensor in [*tensors, *gradients, *states])


def main(arguments: Any, config: DPIQAConfig | None = None) -> dict[str, Any]:
    """Trains and prints; `config` is for teachers of another size."""
    config = config or DPIQAConfig(image_size=arguments.image_size)
    weights = getattr(torch, arguments.weights)
    teacher = random_teacher(config, weights)
    side = arguments.image_size // config.latent_stride
    latents = None if arguments.no_latents else (teacher.unet.config.in_channels, side, side)
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder:
        trainer = DPIQATrainer(
            model=add_lora(teacher, rank=arguments.lora_rank) if arguments.lora_rank else teacher,
            args=DPIQATrainingArguments.from_preset(
                "koniq",
                "teacher",
                folder,
                max_steps=arguments.steps,
                per_device_train_batch_size=arguments.batch_size,
                activation_checkpointing=arguments.activation_checkpointing,
                bf16=weights == torch.float32,
                logging_steps=1,
                save_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=Noise(arguments.steps * arguments.batch_size, arguments.image_size, latents),
            callbacks=[meter],
        )
        trainer.train()
    row = {
        **vars(arguments),
        "trained_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "seconds": [round(seconds, 1) for seconds in meter.seconds],
        "core_seconds": [round(seconds, 1) for seconds in meter.core_seconds],
        "losses": [round(loss, 4) for loss in meter.losses],
        "lasting_gb": round(lasting_bytes(trainer) / 1e9, 2),
        "peak_gb": round(peak() / 1e9, 2),
        "device": str(trainer.args.device),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(row))
    return row


if __name__ == "__main__":
    main(make_parser().parse_args())
