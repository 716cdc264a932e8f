"""Draws what the small prior knows: samples for each quality word, and photos that it cleans of noise.

python studies/small_prior/pictures.py --data BIQ2021 --prior runs/prior --output pictures
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from parts import LATENT_SIZE, QUALITIES, encode_sentences, load_photos, make_processor
from PIL import Image
from pretrain import CAPTIONS, NO_CAPTION, contexts

from dpiqa import open_image

STEPS, GUIDANCE = 50, 3.0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BIQ2021 release")
    parser.add_argument("--prior", type=Path, required=True, help="output of pretrain.py")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--times", type=int, nargs="+", default=[100, 300, 600], help="steps of noise to clean")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def save_grid(rows: list[torch.Tensor], path: Path) -> None:
    """Saves rows of (columns, 3, height, width) pictures in [-1, 1] as one."""
    grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    pixels = ((grid.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(path)


@torch.inference_mode()
def main(arguments: argparse.Namespace) -> None:
    arguments.output.mkdir(parents=True, exist_ok=True)
    autoencoder = AutoencoderTiny.from_pretrained(arguments.prior / "vae").eval()
    unet = UNet2DConditionModel.from_pretrained(arguments.prior / "unet").eval()
    scheduler = DDIMScheduler.from_pretrained(arguments.prior / "scheduler", clip_sample=False)
    embeddings = encode_sentences(CAPTIONS)
    columns, seed = arguments.columns, torch.Generator().manual_seed(arguments.seed)
    without = contexts(torch.full((columns,), NO_CAPTION), embeddings)

    # The same noise in every row, under each quality word.
    start = torch.randn(columns, 4, LATENT_SIZE, LATENT_SIZE, generator=seed)
    rows = []
    scheduler.set_timesteps(STEPS)
    for quality in range(len(QUALITIES)):
        context, latents = contexts(torch.full((columns,), quality), embeddings), start
        for time in scheduler.timesteps:
            noise = unet(torch.cat([latents, latents]), time, torch.cat([context, without])).sample
            with_caption, without_caption = noise.chunk(2)
            guided = without_caption + GUIDANCE * (with_caption - without_caption)
            latents = scheduler.step(guided, time, latents).prev_sample
        rows.append(autoencoder.decode(latents).sample)
    save_grid(rows, arguments.output / "samples.png")

    _, held_out = load_photos(arguments.data, None)
    processor = make_processor()
    photos = [open_image(image) for image in held_out["image"][:columns]]
    pixels = processor(photos, return_tensors="pt")["pixel_values"] * 2 - 1
    latents = autoencoder.encode(pixels).latents
    rows = [pixels, autoencoder.decode(latents).sample]
    for time in arguments.times:
        times = torch.full((columns,), time)
        noise = torch.randn(latents.shape, generator=seed)
        noisy = scheduler.add_noise(latents, noise, times)
        predicted = unet(noisy, times, without).sample
        share = scheduler.alphas_cumprod[time]
        cleaned = (noisy - (1 - share).sqrt() * predicted) / share.sqrt()
        rows += [autoencoder.decode(noisy).sample, autoencoder.decode(cleaned).sample]
    save_grid(rows, arguments.output / "cleaned.png")


if __name__ == "__main__":
    main(make_parser().parse_args())
