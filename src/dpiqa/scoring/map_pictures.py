"""The picture of a quality map that is written to a file: twice over its photo, each time with its colour scale."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from .colours import BAD, GOOD, MIDDLING
from .quality_maps import overlay, own_range

_MIN_WIDTH = 330  # of a picture with its legend
_FONT_SIZE, _BAR, _MARGIN = 15, 14, 12
_INK = "#1b1d1f"


def map_picture(photo: Image.Image, quality_map: np.ndarray, limits: tuple[float, float]) -> Image.Image:
    """Lays a quality map over its photo on two scales, side by side.

    Args:
        photo: RGB photo.
        quality_map: (rows, columns) local qualities in units of the score.
        limits: Scores at the ends of the left picture's colours, the same for all photos of a checkpoint. Those of the
            right picture's are the least and the greatest value of this map.

    Returns:
        An RGB image: the two pictures, and a legend below each.
    """
    left = _with_legend(overlay(photo, quality_map, limits), limits, "bad", "good", "the same for every photo")
    own = own_range(quality_map)
    right = _with_legend(overlay(photo, quality_map, own), own, "low", "high", "within this photo")
    both = Image.new("RGB", (left.width + _MARGIN + right.width, left.height), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + _MARGIN, 0))
    return both


def _with_legend(
    picture: Image.Image, limits: tuple[float, float], worst: str, best: str, meaning: str
) -> Image.Image:
    """A picture above its colour scale, with the scores at the ends of it."""
    font = ImageFont.load_default(_FONT_SIZE)
    height = 3 * _MARGIN + _BAR + _FONT_SIZE
    sheet = Image.new("RGB", (max(picture.width, _MIN_WIDTH), picture.height + height), "white")
    sheet.paste(picture, ((sheet.width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    top = picture.height + _MARGIN
    low, high = (f"{limit:.2f}" for limit in limits)
    start = _MARGIN + round(draw.textlength("0.00 bad  ", font))
    end = sheet.width - _MARGIN - round(draw.textlength("  good 0.00", font))
    sheet.paste(_ramp((end - start, _BAR)), (start, top))
    draw.rectangle((start - 1, top - 1, end, top + _BAR), outline=_INK)
    draw.text((start - 6, top), f"{low} {worst}", _INK, font, anchor="rt")
    draw.text((end + 6, top), f"{best} {high}", _INK, font, anchor="lt")
    draw.text((sheet.width / 2, top + _BAR + _MARGIN), meaning, _INK, font, anchor="mt")
    return sheet


def _ramp(size: tuple[int, int]) -> Image.Image:
    places = np.linspace(0, 2, size[0])
    colours = np.array([ImageColor.getrgb(colour) for colour in (BAD, MIDDLING, GOOD)])
    row = np.stack([np.interp(places, [0, 1, 2], channel) for channel in colours.T], axis=1)
    return Image.fromarray(np.broadcast_to(row.round().astype(np.uint8), (size[1], *row.shape)).copy())
