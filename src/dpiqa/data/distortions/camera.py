"""What cameras, editors and websites do to photos, beside KADID-10k's kinds: light, sensor noise, halos, second files.

As with [`dpiqa.data.distortions.DISTORTIONS`], level 1 is hardly visible and level 5 severe. Light is computed in
linear intensities, with a gamma of 2.2.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from .pixels import Distortion, from_pil, through_file, to_pil

_GAMMA = 2.2


def _camera_noise(pixels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Noise whose variance grows with the light, alike in neighbours, as demosaicking leaves it."""
    light = pixels**_GAMMA
    noise = ndimage.gaussian_filter(rng.standard_normal(pixels.shape, np.float32), (0.6, 0.6, 0))
    return _displayed(light + strength * np.sqrt(0.15 * light + 0.02) * noise / noise.std())


def _double_jpeg(pixels: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    """A JPEG that was made smaller, larger again, and saved once more at a higher quality."""
    again = _downscale(through_file(pixels, "JPEG", quality=int(quality)), rng.uniform(1.2, 2.2), rng)
    return through_file(again, "JPEG", quality=int(min(95, quality + 25)))


def _haze(pixels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    return pixels * (1 - share) + share * rng.uniform(0.7, 0.95)


def _color_cast(pixels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi) - np.array([0, 2 * np.pi / 3, 4 * np.pi / 3], np.float32)
    return pixels * (1 + strength * np.cos(angle))


def _underexposure(pixels: np.ndarray, stops: float, rng: np.random.Generator) -> np.ndarray:
    """Less light, and the noise of a camera that has little of it."""
    light = pixels**_GAMMA * 2.0**-stops
    noise = 0.01 * stops / 3 * rng.standard_normal(pixels.shape, np.float32)
    return _displayed(light + noise * np.sqrt(light + 0.002))


def _overexposure(pixels: np.ndarray, stops: float, _: np.random.Generator) -> np.ndarray:
    return _displayed(pixels**_GAMMA * 2.0**stops)


def _halo(pixels: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    sigma = rng.uniform(1, 4)
    return pixels + amount * (pixels - ndimage.gaussian_filter(pixels, (sigma, sigma, 0)))


def _downscale(pixels: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    photo = to_pil(pixels)
    small = photo.resize([max(1, round(length / factor)) for length in photo.size], Image.Resampling.BICUBIC)
    return from_pil(small.resize(photo.size, Image.Resampling.BICUBIC))


def _displayed(light: np.ndarray) -> np.ndarray:
    return light.clip(0, 1) ** (1 / _GAMMA)


CAMERA_DISTORTIONS: dict[str, tuple[Distortion, tuple[float, float, float, float, float]]] = {
    "camera noise": (_camera_noise, (0.1, 0.2, 0.35, 0.6, 1.0)),
    "double jpeg": (_double_jpeg, (50, 35, 22, 12, 6)),
    "haze": (_haze, (0.15, 0.3, 0.45, 0.6, 0.75)),
    "color cast": (_color_cast, (0.08, 0.15, 0.25, 0.38, 0.55)),
    "underexposure": (_underexposure, (1, 2, 3, 4, 5.5)),
    "overexposure": (_overexposure, (0.6, 1.1, 1.6, 2.2, 3)),
    "halo": (_halo, (1, 2, 3.5, 6, 10)),
    "downscale": (_downscale, (1.5, 2.2, 3.2, 4.8, 8)),
}
"""What makes each kind, and its strength at the five levels."""
