"""Pictures that are no photographs: noise, flat colours, gradients, patterns, and pages of text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_LETTERS = np.array(list("eeeeettttaaaoooiiinnnsssrrrhhhldcumfpgwybvk.,0123456789"))


def random_non_photo(size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Draws a picture that is no photograph.

    Args:
        size: Height and width in pixels, at least 16.
        generator: Draws its kind and all else.

    Returns:
        (height, width, 3) uint8.
    """
    kind = _KINDS[generator.integers(len(_KINDS))]
    return np.broadcast_to(kind(size, generator), (*size, 3)).clip(0, 255).round().astype(np.uint8)


def _color(generator: np.random.Generator) -> np.ndarray:
    """Black, white, a grey or a colour."""
    return [np.zeros(3), np.full(3, 255.0), np.full(3, generator.uniform(0, 255)), generator.uniform(0, 255, 3)][
        generator.integers(4)
    ]


def _noise(size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Uniform, or normal about a colour, in grey or in colour, of single pixels or of blocks."""
    block = int(generator.choice([1, 1, 2, 4]))
    shape = (*(-(-side // block) for side in size), int(generator.choice([1, 3])))
    if generator.random() < 0.5:
        noise = generator.uniform(0, 255, shape)
    else:
        noise = _color(generator) + generator.uniform(20, 100) * generator.standard_normal(shape)
    return noise.repeat(block, 0).repeat(block, 1)[: size[0], : size[1]]


def _flat(size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    return _color(generator)


def _gradient(size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """From one colour to another, along any direction."""
    angle = generator.uniform(0, 2 * np.pi)
    rows, columns = (np.linspace(-1, 1, side) for side in size)
    along = rows[:, None] * np.sin(angle) + columns * np.cos(angle)
    share = ((along - along.min()) / np.ptp(along))[..., None]
    return (1 - share) * _color(generator) + share * generator.uniform(0, 255, 3)


def _pattern(size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Stripes or a chessboard in two colours."""
    rows, columns = (np.arange(side) // generator.integers(2, 1 + side // 4) % 2 for side in size)
    inside = (rows[:, None] ^ columns) if generator.random() < 0.5 else np.broadcast_to(columns, size)
    return np.where(inside[..., None], _color(generator), generator.uniform(0, 255, 3))


def _text(size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """A page of words, dark on light or light on dark, drawn larger and brought down to the size."""
    height, width = (int(side * generator.uniform(1, 3)) for side in size)
    paper, ink = (220, 255), (0, 80)
    if generator.random() < 0.3:
        paper, ink = (0, 50), (170, 255)
    blank = tuple(generator.integers(*paper, 3).tolist())
    page = Image.new("RGB", (width, height), blank)
    draw, letter = ImageDraw.Draw(page), int(generator.integers(10, 30))
    font = ImageFont.load_default(letter)
    color = tuple(generator.integers(*ink, 3).tolist())
    margin = int(generator.integers(0, width // 6 + 1))
    for top in range(margin, height - margin, int(letter * generator.uniform(1.2, 2))):
        letters = generator.choice(_LETTERS, int(1.6 * width / letter))
        words = np.where(generator.random(len(letters)) < 0.17, " ", letters)
        line = "".join(words[: generator.integers(1, len(words) + 1)] if generator.random() < 0.2 else words)
        draw.text((margin, top), line, fill=color, font=font)
    page.paste(blank, (width - margin, 0, width, height))
    return np.asarray(page.resize(size[::-1], Image.Resampling.BICUBIC), float)


_KINDS: tuple[Callable[[tuple[int, int], np.random.Generator], np.ndarray], ...] = (
    _noise,
    _flat,
    _gradient,
    _pattern,
    _text,
    _text,
)

__all__ = ["random_non_photo"]
