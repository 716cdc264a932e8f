"""From numbers of any type to 8-bit images, a few rows at a time: the copies are never as large as the photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

_PIXELS_OF_A_BAND = 1 << 20


def array_to_pil(source: Any) -> Image.Image:
    """Checks a NumPy array (channels last) or a torch tensor (channels first) and makes an 8-bit PIL image of it."""
    is_tensor = hasattr(source, "detach")
    if not is_tensor and not isinstance(source, np.ndarray):
        raise TypeError(
            f"Expected a path, bytes, file, PIL image, NumPy array or tensor, got {type(source).__name__}."
        )
    shape = tuple(source.shape)
    layout = "(channels, height, width)" if is_tensor else "(height, width, channels)"
    if not (len(shape) == 2 or (len(shape) == 3 and shape[0 if is_tensor else 2] in (1, 3, 4))) or 0 in shape:
        raise ValueError(
            f"Expected one image of shape (height, width) or {layout} with 1, 3 or 4 channels, got {shape}."
        )
    if is_tensor:
        source = source.detach().cpu()
        array = (source.float() if source.is_floating_point() else source).numpy()
        array = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    else:
        array = source
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype.newbyteorder("=") == np.uint16:
        array = _in_bands(array, lambda values: np.round(values / 257))
    elif np.issubdtype(array.dtype, np.floating):
        bands = list(_bands(array.shape))
        bad = sum(np.count_nonzero(~np.isfinite(array[rows])) for rows in bands)
        if bad:
            raise ValueError(f"Expected finite values, found {bad} NaN or infinite.")
        least, most = array.min(), array.max()
        if least < -1e-3 or most > 1 + 1e-3:
            raise ValueError(f"Expected float values in [0, 1], found [{least:.4g}, {most:.4g}].")
        array = _in_bands(array, lambda values: np.round(values.clip(0, 1) * 255))
    elif array.dtype != np.uint8:
        raise ValueError(f"Expected uint8, uint16 or float values, found {array.dtype}.")
    return Image.fromarray(np.ascontiguousarray(array))


def deep_grey_to_rgb(image: Image.Image, *, unsigned: bool = False, negative: bool = False) -> Image.Image:
    """Scales 16-bit and 32-bit integer or float greyscale to 8 bits by the full scale that its values call for.

    Args:
        image: A picture of mode "I", "F" or "I;16" in any byte order.
        unsigned: Whether the values of mode "I" are unsigned.
        negative: Whether 0 is white.

    Raises:
        ValueError: When a value is negative or not finite.
    """
    bands = list(_bands((image.height, image.width)))
    most = 0.0
    for rows in bands:
        values = _grey(image, rows, unsigned)
        if not np.isfinite(values).all() or values.min() < 0:
            raise ValueError("greyscale values must be finite and not negative")
        most = max(most, float(values.max()))
    scales = (1.0, 255.0, 65535.0, 2.0**32 - 1) if image.mode == "F" else (65535.0, 2.0**31 - 1, 2.0**32 - 1)
    full_scale = next((scale for scale in scales if most <= scale), most)
    rgb = Image.new("RGB", image.size)
    for rows in bands:
        grey = np.round(_grey(image, rows, unsigned) * (255 / full_scale)).astype(np.uint8)
        grey = 255 - grey if negative else grey
        rgb.paste(Image.fromarray(grey).convert("RGB"), (0, rows.start))
    return rgb


def _grey(image: Image.Image, rows: slice, unsigned: bool) -> np.ndarray:
    values = np.asarray(image.crop((0, rows.start, image.width, rows.stop)))
    return (values.view(np.uint32) if unsigned else values).astype(np.float64)


def _in_bands(array: np.ndarray, to_bytes: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    scaled = np.empty(array.shape, np.uint8)
    for rows in _bands(array.shape):
        scaled[rows] = to_bytes(array[rows])
    return scaled


def _bands(shape: tuple[int, ...]) -> Iterator[slice]:
    height, width = shape[:2]
    step = max(1, _PIXELS_OF_A_BAND // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))
