"""Scoring one photo with the full-size teacher: what each step brings over a plain diffusers forward, in one run.

The baseline does what the published code does for every photo: float32, the text adapter and the keys and values of
all 1,485 prompts computed again, every map resized before its convolution, the UNet's output convolution included.
Weights are random, Stable Diffusion 1.5's shapes are real. Every step is a process of its own and they take turns, so
that a busy machine slows all alike; times are medians. Peak memory is the process's high-water mark while it scores,
weights included. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import nn
from torch.nn import functional as F

from dpiqa import DPIQAConfig, DPIQAModel, inference

PARTS = ("autoencoder", "image_adapter", "unet", "decoder")


def make_teacher(dtype: torch.dtype, *, complete_unet: bool = False) -> DPIQAModel:
    """A teacher with Stable Diffusion 1.5's shapes and random weights that keep activations in range."""
    torch.manual_seed(0)
    with torch.device("meta"):
        model = DPIQAModel(DPIQAConfig())
        if complete_unet:
            hooks = [block._forward_hooks for block in model.unet.up_blocks]
            model.unet = UNet2DConditionModel(**model.config.unet_config)
            for block, hook in zip(model.unet.up_blocks, hooks, strict=True):
                block._forward_hooks = hook
    model.to(dtype).to_empty(device="cpu")
    for module in model.modules():
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if tensor.ndim >= 2:
                tensor.data.normal_(std=1 / math.sqrt(tensor[0].numel()))
            else:
                tensor.data.fill_(1.0 if name == "weight" else 1e-4)
    return model.eval()


class PlainDecoder(nn.Module):
    """The decoder with every map resized before its convolution."""

    def __init__(self, decoder: nn.Module):
        super().__init__()
        self.decoder = decoder

    def forward(self, features: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        resized = [F.interpolate(feature, size=(64, 64), mode="bicubic", align_corners=False) for feature in features]
        return self.decoder(resized)


def plain(dtype: torch.dtype, memory_format: torch.memory_format) -> nn.Module:
    model = make_teacher(dtype, complete_unet=True)
    model.decoder = PlainDecoder(model.decoder)
    return model.to(memory_format=memory_format)


def frozen(*, blocked: bool) -> nn.Module:
    if not blocked:
        inference._attention = F.scaled_dot_product_attention
    model = make_teacher(torch.bfloat16).to(memory_format=torch.channels_last)
    return inference.freeze_for_inference(model, dtype=torch.bfloat16)


def compiled() -> nn.Module:
    torch._inductor.config.freezing = True
    return torch.compile(frozen(blocked=True), fullgraph=True)


STEPS: dict[str, tuple[torch.dtype, Callable[[], nn.Module]]] = {
    "published": (torch.float32, lambda: plain(torch.float32, torch.contiguous_format)),
    "bfloat16, channels last": (torch.bfloat16, lambda: plain(torch.bfloat16, torch.channels_last)),
    "convolution before resize": (
        torch.bfloat16,
        lambda: make_teacher(torch.bfloat16).to(memory_format=torch.channels_last),
    ),
    "constants folded": (torch.bfloat16, lambda: frozen(blocked=False)),
    "attention in blocks": (torch.bfloat16, lambda: frozen(blocked=True)),
}
COMPILED = {"torch.compile": (torch.bfloat16, compiled)}


def serve(step: str, pipe: Connection) -> None:
    """Scores one photo per message, answers with the seconds; None ends it and is answered with the peak in bytes."""
    dtype, make = (STEPS | COMPILED)[step]
    model = make()
    pixels = torch.rand(1, 3, 512, 512).to(dtype).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        model(pixels)
        reset_peak()
        pipe.send("ready")
        while pipe.recv() is not None:
            start = time.perf_counter()
            model(pixels)
            pipe.send(time.perf_counter() - start)
    pipe.send(peak())


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    status = Path("/proc/self/status").read_text().split()
    return 1024 * int(status[status.index("VmHWM:") + 1])


def matmul_peak(dtype: torch.dtype) -> float:
    """The best of several square matrix products, in FLOP per second."""
    a, b = torch.randn(2, 2048, 2048).to(dtype).unbind()
    best = math.inf
    for _ in range(20):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * 2048**3 / best


def teacher_flop() -> int:
    """Of the folded teacher for one photo, counted on the meta device."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        model = DPIQAModel(DPIQAConfig()).eval()
        model.text_adapter.forward = lambda: torch.zeros(1485, 768)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 3, 512, 512))
    per_prompt = sum(
        linear.weight.numel()
        for name, linear in model.unet.named_modules()
        if name.endswith(("attn2.to_k", "attn2.to_v"))
    )
    return counter.get_total_flops() - 2 * 1485 * per_prompt


def main(rounds: int, with_compile: bool) -> None:
    context = multiprocessing.get_context("spawn")
    steps = list(STEPS | COMPILED if with_compile else STEPS)
    pipes, processes = {}, []
    for step in steps:
        pipes[step], theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(step, theirs), daemon=True))
        processes[-1].start()
        pipes[step].recv()  # one after the other: a process that warms up would slow the rest
    peaks = []
    seconds: dict[str, list[float]] = {step: [] for step in steps}
    for _ in range(rounds):
        for step in steps:
            pipes[step].send(step)
            seconds[step].append(pipes[step].recv())
        peaks.append(matmul_peak(torch.bfloat16))
    memory = {}
    for step in steps:
        pipes[step].send(None)
        memory[step] = pipes[step].recv()
    for process in processes:
        process.join()

    medians = {step: statistics.median(times) for step, times in seconds.items()}
    baseline = medians["published"]
    print(f"{'step':28}{'seconds':>9}{'speedup':>9}{'peak GB':>9}")
    for step in steps:
        print(f"{step:28}{medians[step]:9.2f}{baseline / medians[step]:9.2f}{memory[step] / 1e9:9.2f}")
    last = steps[-1]
    table = {step: {"seconds": round(medians[step], 2), "peak_gb": round(memory[step] / 1e9, 2)} for step in steps}
    result = {
        "speedup": round(baseline / medians[last], 2),
        "memory_ratio": round(memory["published"] / memory[last], 2),
        "steps": table,
        "share_of_peak": round(teacher_flop() / medians[last] / statistics.median(peaks), 2),
        "matmul_gflops": round(statistics.median(peaks) / 1e9),
        "teacher_gflop": round(teacher_flop() / 1e9),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="One more step: torch.compile, which takes minutes.")
    arguments = parser.parse_args()
    main(arguments.rounds, arguments.compile)
