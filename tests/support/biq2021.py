"""A small folder in the format of the BIQ2021 release."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter


def make_release(root: Path, photos: list[Image.Image], train: int, test: int) -> Path:
    """Crops of photos, more blurred the lower the MOS; three subsets; file names in two cases as released."""
    rng = np.random.default_rng(0)
    (root / "Images").mkdir(parents=True)
    for split, count, columns in (("Train", train, ",,"), ("Test", test, "")):
        lines = ["Image Name,MOS" + columns]
        for index in range(count):
            photo, mos = photos[index % len(photos)], rng.uniform()
            left, top = rng.integers(0, photo.width - 128), rng.integers(0, photo.height - 128)
            crop = photo.crop((left, top, left + 128, top + 128)).filter(ImageFilter.GaussianBlur(6 * (1 - mos)))
            name = f"ss0{index % 3 + 1} ({split}{index})"
            crop.save(root / "Images" / f"{name}.{'JPG' if index % 2 else 'jpg'}")
            lines.append(f"{name}.jpg,{mos:.4f}{columns}")
        (root / f"{split} (Images and MOS).csv").write_text("\n".join(lines) + "\n")
    return root
