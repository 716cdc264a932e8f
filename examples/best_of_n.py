"""Draws N samples from a diffusers pipeline and keeps the one with the best score.

    python examples/best_of_n.py stable-diffusion-v1-5/stable-diffusion-v1-5 --prompt "a lighthouse at dusk" -n 8

Works with every pipeline that returns images: give a prompt where it takes one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from dpiqa import Scorer


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pipeline", help="folder or Hub id of a diffusers pipeline")
    parser.add_argument("--prompt", help="for pipelines that take one")
    parser.add_argument("-n", "--samples", type=int, default=8)
    parser.add_argument("--steps", type=int, default=30, help="denoising steps")
    parser.add_argument("--seed", type=int, default=0, help="of the first sample; the others count up")
    parser.add_argument("--model", help="folder or Hub id of a student or a teacher (default: the bundled student)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, default=Path("runs/best_of_n"))
    return parser


def main(arguments: argparse.Namespace) -> list[float]:
    """Returns the scores in the order of the seeds."""
    pipeline = DiffusionPipeline.from_pretrained(arguments.pipeline).to(arguments.device)
    prompt = {} if arguments.prompt is None else {"prompt": arguments.prompt}
    arguments.output.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed in range(arguments.seed, arguments.seed + arguments.samples):
        generator = torch.Generator().manual_seed(seed)
        image = pipeline(**prompt, num_inference_steps=arguments.steps, generator=generator).images[0]
        paths.append(arguments.output / f"seed_{seed}.png")
        image.save(paths[-1])

    scores = [result.score for result in Scorer.from_pretrained(arguments.model)(paths)]
    for score, path in sorted(zip(scores, paths, strict=True), reverse=True):
        print(f"{score:.3f}  {path}")
    return scores


if __name__ == "__main__":
    main(make_parser().parse_args())
