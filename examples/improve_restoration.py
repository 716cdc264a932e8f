"""Trains a small restoration network with and without `QualityLoss` and compares the scores.

    python examples/improve_restoration.py --output runs/restoration

Degrades photographs (scikit-learn's two, or those of --photos) by blur and noise, trains the same network twice to
undo it, once on the L1 distance alone and once with the quality loss beside it, and writes the pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import sklearn.datasets
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from dpiqa import QualityLoss, open_image
from dpiqa.scoring.image_files import find_images

SIDE = 320


class Restorer(nn.Sequential):
    """Three convolutions that predict what is missing; the identity at the start."""

    def __init__(self, width: int = 32):
        super().__init__(
            nn.Conv2d(3, width, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 3, 3, padding=1),
        )
        nn.init.zeros_(self[-1].weight)
        nn.init.zeros_(self[-1].bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images + super().forward(images)).clamp(0, 1)


def load_photos(folder: Path | None) -> torch.Tensor:
    """(photos, 3, 320, 320) in [0, 1]."""
    if folder is None:
        photos = [Image.fromarray(image) for image in sklearn.datasets.load_sample_images().images]
    else:
        photos = [open_image(path, cover=(SIDE, SIDE)) for path in find_images([str(folder)]).paths]
    arrays = [np.asarray(photo.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for photo in photos]
    return torch.from_numpy(np.stack(arrays)).movedim(-1, 1) / 255


def degrade(photos: torch.Tensor) -> torch.Tensor:
    """Blur and white noise."""
    blurred = F.interpolate(F.interpolate(photos, scale_factor=0.5, mode="bilinear", antialias=True), photos.shape[2:])
    return (blurred + 0.04 * torch.randn_like(blurred)).clamp(0, 1)


def train(degraded: torch.Tensor, photos: torch.Tensor, loss: QualityLoss, weight: float, steps: int) -> torch.Tensor:
    """Trains a restorer on L1 + weight * quality loss and returns what it makes of the degraded photos."""
    torch.manual_seed(0)
    restorer = Restorer()
    optimizer = torch.optim.AdamW(restorer.parameters(), lr=2e-3)
    for _ in range(steps):
        restored = restorer(degraded)
        objective = F.l1_loss(restored, photos) + (weight * loss(restored) if weight else 0)
        optimizer.zero_grad()
        objective.backward()
        optimizer.step()
    with torch.no_grad():
        return restorer(degraded)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="folder of sharp photos (default: scikit-learn's two)")
    parser.add_argument("--model", help="folder or Hub id of a student (default: the bundled one)")
    parser.add_argument("--weight", type=float, default=0.05, help="of the quality loss; L1 has 1")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--output", type=Path, default=Path("runs/restoration"))
    return parser


def main(arguments: argparse.Namespace) -> dict[str, float]:
    """Returns the mean score of each set of pictures."""
    torch.manual_seed(0)
    photos = load_photos(arguments.photos)
    degraded = degrade(photos)
    loss = QualityLoss(arguments.model)
    results = {
        "original": photos,
        "degraded": degraded,
        "restored with L1": train(degraded, photos, loss, 0, arguments.steps),
        "restored with L1 and QualityLoss": train(degraded, photos, loss, arguments.weight, arguments.steps),
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    scores = {}
    for name, images in results.items():
        with torch.no_grad():
            scores[name] = 1 - loss(images).item()
        print(f"{scores[name]:.3f}  {name} (L1 {F.l1_loss(images, photos).item():.4f})")
        for index, image in enumerate(images):
            array = (image.movedim(0, -1) * 255).round().byte().numpy()
            Image.fromarray(array).save(arguments.output / f"{index}_{name.replace(' ', '_')}.png")
    return scores


if __name__ == "__main__":
    main(make_parser().parse_args())
