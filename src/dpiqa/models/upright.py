"""Decoded pixels of any kind as upright 8-bit sRGB."""

from __future__ import annotations

import contextlib
import io

from PIL import Image, ImageCms

from .arrays import deep_grey_to_rgb
from .decoding import is_negative, is_unsigned

# EXIF orientation (tag 0x0112) to what turns the pixels upright.
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Those that swap width and height.
TURNED = (5, 6, 7, 8)


def orientation(image: Image.Image) -> int:
    """EXIF orientation. Pillow decodes a PNG for it: ask no PNG that is not decoded yet."""
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # Pillow's EXIF parser raises nearly anything on broken EXIF, which must not cost the photo.
        return 1


def to_rgb(original: Image.Image) -> Image.Image:
    """Converts a loaded PIL image of any mode to upright 8-bit sRGB, transparency over white."""
    transpose = _TRANSPOSE.get(orientation(original))
    image = original if transpose is None else original.transpose(transpose)
    profile = image.info.get("icc_profile")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return deep_grey_to_rgb(image, unsigned=is_unsigned(original), negative=is_negative(original))
    if image.has_transparency_data:
        rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        image = Image.new("RGBA", image.size, "white")
        image.alpha_composite(rgba)
        image = image.convert("RGB")
    elif image.mode in ("1", "P", "HSV", "YCbCr"):
        image = image.convert("RGB")
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return _profile_to_srgb(image, profile)
    return image if image.mode == "RGB" else image.convert("RGB")


def _profile_to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.getOpenProfile(io.BytesIO(profile))
    if image.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
        return image
    converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return image if converted is None else converted
