"""KADID-10k's 25 kinds of distortion: what each does to pixels, and how strong it is at five levels.

The kinds are those of Lin, Hosu and Saupe (KADID-10k, QoMEX 2019). The strengths are ours: level 1 is hardly visible,
level 5 severe, and they are not calibrated against opinion scores. Pillow and SciPy do the work.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from scipy import ndimage

from .pixels import Distortion, from_pil, through_file, to_pil

LEVELS = 5
_GREY = np.array([0.299, 0.587, 0.114])


def _gaussian_blur(pixels: np.ndarray, sigma: float, _: np.random.Generator) -> np.ndarray:
    return from_pil(to_pil(pixels).filter(ImageFilter.GaussianBlur(sigma)))


def _lens_blur(pixels: np.ndarray, radius: float, _: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[-np.ceil(radius) : np.ceil(radius) + 1, -np.ceil(radius) : np.ceil(radius) + 1]
    disk = (x**2 + y**2 <= radius**2).astype(np.float32)
    return ndimage.convolve(pixels, (disk / disk.sum())[..., None], mode="nearest")


def _motion_blur(pixels: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    line = np.zeros((int(length) | 1, int(length) | 1), np.float32)
    line[len(line) // 2] = 1
    kernel = ndimage.rotate(line, rng.uniform(0, 180), reshape=False, order=1).clip(0)
    return ndimage.convolve(pixels, (kernel / kernel.sum())[..., None], mode="nearest")


def _in_ycbcr(pixels: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Changes the two colour channels, (height, width, 2) in [0, 1], of Pillow's YCbCr."""
    ycbcr = np.asarray(to_pil(pixels).convert("YCbCr"), np.float32) / 255
    changed = np.concatenate([ycbcr[..., :1], change(ycbcr[..., 1:])], axis=2)
    planes = [
        Image.fromarray(plane) for plane in np.moveaxis((changed.clip(0, 1) * 255).round().astype(np.uint8), 2, 0)
    ]
    return from_pil(Image.merge("YCbCr", planes).convert("RGB"))


def _color_diffusion(pixels: np.ndarray, sigma: float, _: np.random.Generator) -> np.ndarray:
    return _in_ycbcr(pixels, lambda colour: ndimage.gaussian_filter(colour, (sigma, sigma, 0)))


def _color_shift(pixels: np.ndarray, distance: float, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    shifted = pixels.copy()
    shifted[..., 1] = ndimage.shift(
        pixels[..., 1], (distance * np.sin(angle), distance * np.cos(angle)), mode="nearest"
    )
    return shifted


def _color_quantization(pixels: np.ndarray, colours: float, _: np.random.Generator) -> np.ndarray:
    return from_pil(to_pil(pixels).quantize(int(colours), dither=Image.Dither.NONE).convert("RGB"))


def _saturation(pixels: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    return from_pil(ImageEnhance.Color(to_pil(pixels)).enhance(factor))


def _color_saturation_2(pixels: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    return _in_ycbcr(pixels, lambda colour: (colour - 0.5) * factor + 0.5)


def _jpeg2000(pixels: np.ndarray, ratio: float, _: np.random.Generator) -> np.ndarray:
    return through_file(pixels, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True)


def _jpeg(pixels: np.ndarray, quality: float, _: np.random.Generator) -> np.ndarray:
    return through_file(pixels, "JPEG", quality=int(quality))


def _white_noise(pixels: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    return pixels + sigma * rng.standard_normal(pixels.shape, np.float32)


def _colour_noise(pixels: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    return _in_ycbcr(pixels, lambda colour: colour + sigma * rng.standard_normal(colour.shape, np.float32))


def _impulse_noise(pixels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    draw = rng.random(pixels.shape, np.float32)
    return np.where(draw < share / 2, 0, np.where(draw > 1 - share / 2, 1, pixels))


def _multiplicative_noise(pixels: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    return pixels * (1 + sigma * rng.standard_normal(pixels.shape, np.float32))


def _denoise(pixels: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    noisy = to_pil(np.clip(_white_noise(pixels, sigma, rng), 0, 1))
    return from_pil(noisy.filter(ImageFilter.MedianFilter(5)))


def _brighten(pixels: np.ndarray, gamma: float, _: np.random.Generator) -> np.ndarray:
    return pixels**gamma


def _mean_shift(pixels: np.ndarray, offset: float, _: np.random.Generator) -> np.ndarray:
    return pixels + offset


def _jitter(pixels: np.ndarray, distance: float, rng: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    offset = distance * rng.uniform(-1, 1, (2, height, width))
    y, x = np.mgrid[:height, :width] + offset.round().astype(int)
    return pixels[y.clip(0, height - 1), x.clip(0, width - 1)]


def _patches(
    pixels: np.ndarray, count: float, rng: np.random.Generator, fill: Callable[[int, int, int], np.ndarray]
) -> np.ndarray:
    result, side = pixels.copy(), max(8, min(pixels.shape[:2]) // 24)
    for _ in range(int(count)):
        top, left = (int(rng.integers(0, length - side)) for length in pixels.shape[:2])
        result[top : top + side, left : left + side] = fill(top, left, side)
    return result


def _non_eccentricity_patch(pixels: np.ndarray, count: float, rng: np.random.Generator) -> np.ndarray:
    def neighbour(top: int, left: int, side: int) -> np.ndarray:
        y = int(np.clip(top + rng.integers(-side, side + 1), 0, pixels.shape[0] - side))
        x = int(np.clip(left + rng.integers(-side, side + 1), 0, pixels.shape[1] - side))
        return pixels[y : y + side, x : x + side]

    return _patches(pixels, count, rng, neighbour)


def _color_block(pixels: np.ndarray, count: float, rng: np.random.Generator) -> np.ndarray:
    return _patches(pixels, count, rng, lambda *_: rng.random(3, np.float32))


def _pixelate(pixels: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    photo = to_pil(pixels)
    small = photo.resize([max(1, round(length / factor)) for length in photo.size], Image.Resampling.BOX)
    return from_pil(small.resize(photo.size, Image.Resampling.NEAREST))


def _quantization(pixels: np.ndarray, levels: float, _: np.random.Generator) -> np.ndarray:
    return np.round(pixels * (levels - 1)) / (levels - 1)


def _high_sharpen(pixels: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    return pixels + amount * (pixels - ndimage.gaussian_filter(pixels, (2, 2, 0)))


def _contrast(pixels: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    mean = (pixels @ _GREY).mean()
    return (pixels - mean) * factor + mean


DISTORTIONS: dict[str, tuple[Distortion, tuple[float, float, float, float, float]]] = {
    "gaussian blur": (_gaussian_blur, (0.7, 1.2, 2, 3.5, 6)),
    "lens blur": (_lens_blur, (1, 2, 3.5, 5.5, 8)),
    "motion blur": (_motion_blur, (3, 7, 11, 17, 25)),
    "color diffusion": (_color_diffusion, (2, 4, 8, 14, 24)),
    "color shift": (_color_shift, (1, 3, 6, 9, 14)),
    "color quantization": (_color_quantization, (64, 32, 16, 8, 4)),
    "color saturation 1": (_saturation, (0.7, 0.5, 0.3, 0.15, 0)),
    "color saturation 2": (_color_saturation_2, (1.4, 1.8, 2.4, 3.2, 5)),
    "jpeg2000": (_jpeg2000, (16, 32, 64, 120, 240)),
    "jpeg": (_jpeg, (43, 30, 18, 9, 4)),
    "white noise": (_white_noise, (0.03, 0.06, 0.1, 0.16, 0.26)),
    "white noise in color": (_colour_noise, (0.03, 0.06, 0.1, 0.16, 0.26)),
    "impulse noise": (_impulse_noise, (0.005, 0.015, 0.04, 0.09, 0.2)),
    "multiplicative noise": (_multiplicative_noise, (0.06, 0.12, 0.2, 0.32, 0.5)),
    "denoise": (_denoise, (0.05, 0.1, 0.16, 0.24, 0.36)),
    "brighten": (_brighten, (0.8, 0.65, 0.5, 0.38, 0.27)),
    "darken": (_brighten, (1.25, 1.6, 2.1, 2.9, 4)),
    "mean shift": (_mean_shift, (0.06, 0.12, 0.19, 0.27, 0.37)),
    "jitter": (_jitter, (1, 2, 3, 4.5, 7)),
    "non-eccentricity patch": (_non_eccentricity_patch, (20, 40, 70, 110, 170)),
    "pixelate": (_pixelate, (2, 3, 4, 6, 9)),
    "quantization": (_quantization, (16, 11, 8, 6, 4)),
    "color block": (_color_block, (2, 5, 9, 15, 25)),
    "high sharpen": (_high_sharpen, (1, 2, 3.5, 6, 12)),
    "contrast change": (_contrast, (0.8, 0.65, 0.5, 0.36, 0.22)),
}
"""What makes each kind, and its strength at the five levels."""
