"""Pretrains a small latent diffusion model, in the layout of Stable Diffusion.

    python studies/small_prior/pretrain.py --data BIQ2021 --livefb LIVEFB --taesd taesd.safetensors --output runs/prior

The autoencoder is TAESD, which stays as it is. The UNet learns to remove noise from random crops of the latents of
photos. Its context has two rows: the sentence embedding of no text, and that of a caption. The caption of a rated
photo has a quality word that follows from the MOS, that of other photos says "a photo", and one caption in ten is left
out.

OUTPUT becomes a folder that `DPIQAModel.from_stable_diffusion` reads (`vae/`, `unet/`, `scheduler/`), with the prompt
embeddings of a teacher beside them. `log.jsonl` has the loss on photos of held-out scenes. Started again, a run that
was cut off goes on from its last state.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from parts import (
    GRID,
    QUALITIES,
    encode_sentences,
    load_autoencoder,
    load_photos,
    make_processor,
    make_scheduler,
    make_unet,
    untrained_teacher,
)
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from tqdm import tqdm

from dpiqa.training.latents import AutoencoderLatents

# The caption of each quality, the caption of photos without a MOS, and no caption.
CAPTIONS = [*(f"a photo which is of {quality} quality" for quality in QUALITIES), "a photo", ""]
UNRATED, NO_CAPTION = len(QUALITIES), len(QUALITIES) + 1
DROPPED = 0.1


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--livefb", type=Path, help="folder of LIVEFB, or of a part of it, as further photos")
    parser.add_argument("--taesd", type=Path, required=True, help="weights of TAESD")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--latents", type=Path, help="folder of latents, which teachers share; OUTPUT/latents")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--crop", type=int, default=24, help="side of the crops, of 32 latents")
    parser.add_argument("--log-every", type=int, default=100, help="steps between logs, which also save the state")
    parser.add_argument("--held-out", type=int, default=256, help="photos of held-out scenes to measure the loss on")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def encode_photos(cache: AutoencoderLatents, rows: Any) -> torch.Tensor:
    """(photos, 4, 32, 32) latents in half precision, computed where they are not known yet."""
    files = [path for (path,) in cache.fill(rows, batch_size=16)]
    return torch.stack([load_file(path)["latents"].half() for path in files])


def captions_of(mos: np.ndarray, edges: np.ndarray) -> torch.Tensor:
    """Index of the caption of each photo; `edges` are the MOS between the qualities."""
    return torch.from_numpy(np.where(np.isnan(mos), UNRATED, np.searchsorted(edges, mos)))


class Photos:
    """Latents and captions, from which batches are drawn: each follows from seed and step alone."""

    def __init__(self, latents: torch.Tensor, captions: torch.Tensor, crop: int, seed: int):
        self.latents, self.captions, self.crop, self.seed = latents, captions, crop, seed

    def batch(self, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Generator]:
        """(size, 4, crop, crop) latents, the captions, and a generator for what else the step draws."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        rows = torch.randint(len(self.latents), (size,), generator=generator)
        corners = torch.randint(self.latents.shape[-1] - self.crop + 1, (size, 2), generator=generator)
        mirrored = torch.rand(size, generator=generator) < 0.5
        crops = []
        for row, (top, left), mirror in zip(rows, corners, mirrored, strict=True):
            crop = self.latents[row, :, top : top + self.crop, left : left + self.crop].float()
            crops.append(crop.flip(-1) if mirror else crop)
        captions = self.captions[rows].clone()
        captions[torch.rand(size, generator=generator) < DROPPED] = NO_CAPTION
        return torch.stack(crops), captions, generator


def contexts(captions: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
    """(batch, 2, width): no text, and the caption. With one row alone, attention would have nothing to choose."""
    return torch.stack([embeddings[NO_CAPTION].expand(len(captions), -1), embeddings[captions]], dim=1)


@torch.no_grad()
def held_out_losses(
    unet: Any, scheduler: Any, latents: torch.Tensor, captions: torch.Tensor, embeddings: torch.Tensor
) -> dict[str, float]:
    """Mean squared error of the predicted noise, by caption and by the third of the noise schedule.

    Noise and steps are the same at every call, and for all captions.
    """
    device = next(unet.parameters()).device
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(latents.shape, generator=generator)
    steps = torch.randint(scheduler.config.num_train_timesteps, (len(latents),), generator=generator)
    noisy = scheduler.add_noise(latents.float(), noise, steps)
    third = steps * 3 // scheduler.config.num_train_timesteps
    contexts_of = {
        "loss": captions,
        "loss, other quality": (captions + 2) % len(QUALITIES),
        "loss, no caption": torch.full_like(captions, NO_CAPTION),
    }
    result = {}
    for name, given in contexts_of.items():
        errors = []
        for part in torch.arange(len(latents)).split(64):
            inputs = noisy[part], steps[part], contexts(given[part], embeddings)
            with torch.autocast(device.type, torch.bfloat16):
                predicted = unet(*(tensor.to(device) for tensor in inputs)).sample
            errors.append((predicted.float().cpu() - noise[part]).pow(2).mean(dim=(1, 2, 3)))
        error = torch.cat(errors)
        result[name] = error.mean().item()
        if name == "loss":
            for number, amount in enumerate(("little", "some", "much")):
                result[f"loss, {amount} noise"] = error[third == number].mean().item()
    return result


def states_in(folder: Path) -> list[Path]:
    """The saved states of the training, the last one last."""
    return sorted(folder.glob("checkpoint_*"), key=lambda path: int(path.name.rpartition("_")[2]))


def save_state(accelerator: Accelerator, folder: Path, step: int) -> None:
    """Saves the state of the training, whole or not at all, and then removes those before it."""
    before = states_in(folder)
    accelerator.save_state(str(folder / "unfinished"))
    os.replace(folder / "unfinished", folder / f"checkpoint_{step}")
    for state in before:
        shutil.rmtree(state)


def save_part(part: Any, folder: Path) -> None:
    """Saves a part of the prior over an older one, every file whole or not at all."""
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    part.save_pretrained(unfinished)
    for path in unfinished.iterdir():
        os.replace(path, folder / path.name)
    unfinished.rmdir()


def main(arguments: argparse.Namespace) -> None:
    output = arguments.output
    states = states_in(output / "checkpoints")
    torch.backends.mkldnn.conv.fp32_precision = "bf16"  # for the autoencoder, on CPUs that have it
    autoencoder, scheduler = load_autoencoder(arguments.taesd), make_scheduler()
    torch.manual_seed(arguments.seed)
    unet = make_unet()
    # At every start, as the one before may have been cut off here. What the latents are computed by is that of the
    # teachers, so that they share them.
    autoencoder.save_pretrained(output / "vae")
    scheduler.save_pretrained(output / "scheduler")
    save_file({"prompt_embeddings": encode_sentences(list(GRID))}, output / "prompt_embeddings.safetensors")
    if not states:
        unet.save_pretrained(output / "unet")
    teacher = untrained_teacher(output)
    teacher.autoencoder.to(memory_format=torch.channels_last)
    cache = AutoencoderLatents(teacher, make_processor(), arguments.latents or output / "latents")
    train_rows, held_out_rows = load_photos(arguments.data, arguments.livefb)
    held_out_rows = held_out_rows.select(range(min(arguments.held_out, len(held_out_rows))))
    mos = np.array(train_rows["mos"][:])
    edges = np.nanquantile(mos, np.linspace(0, 1, len(QUALITIES) + 1)[1:-1])
    photos = Photos(encode_photos(cache, train_rows), captions_of(mos, edges), arguments.crop, arguments.seed)
    held_out = encode_photos(cache, held_out_rows), captions_of(np.array(held_out_rows["mos"][:]), edges)
    embeddings = encode_sentences(CAPTIONS)

    optimizer = torch.optim.AdamW(unet.parameters(), arguments.learning_rate, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, arguments.steps // 20, arguments.steps)
    average = EMAModel(unet.parameters(), decay=0.999, use_ema_warmup=True, power=2 / 3)
    accelerator = Accelerator(mixed_precision="bf16")
    unet, optimizer, schedule = accelerator.prepare(unet, optimizer, schedule)
    average.to(accelerator.device)
    accelerator.register_for_checkpointing(average)
    first = 0
    if states:
        accelerator.load_state(str(states[-1]))
        first = schedule.scheduler.last_epoch
    losses = []
    for step in tqdm(range(first, arguments.steps), initial=first, total=arguments.steps):
        latents, captions, generator = photos.batch(step, arguments.batch_size)
        noise = torch.randn(latents.shape, generator=generator)
        times = torch.randint(scheduler.config.num_train_timesteps, (len(latents),), generator=generator)
        noisy = scheduler.add_noise(latents, noise, times).to(accelerator.device, memory_format=torch.channels_last)
        context = contexts(captions, embeddings).to(accelerator.device)
        predicted = unet(noisy, times.to(accelerator.device), context).sample
        loss = F.mse_loss(predicted.float(), noise.to(accelerator.device))
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        average.step(unet.parameters())
        losses.append(loss.item())
        if (step + 1) % arguments.log_every == 0 or step + 1 == arguments.steps:
            average.store(unet.parameters())
            average.copy_to(unet.parameters())
            figures = held_out_losses(unet, scheduler, *held_out, embeddings)
            save_part(accelerator.unwrap_model(unet), output / "unet")
            average.restore(unet.parameters())
            save_state(accelerator, output / "checkpoints", step + 1)
            line = {"step": step + 1, "train loss": float(np.mean(losses)), **figures}
            losses = []
            with (output / "log.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(make_parser().parse_args())
