"""What a file is, by its header: whether it is a photo that can be read, and the errors that say why not."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from PIL import Image, UnidentifiedImageError

from .decoding import own_pixel_limit

DEFAULT_MAX_PIXELS = 200_000_000
MIN_SIDE = 32
# Photographs only: Pillow's other readers (EPS runs Ghostscript, for one) stay shut.
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "TGA", "AVIF", "HEIF", "JXL")


class _Plugin(NamedTuple):
    format: str  # Pillow's name for it
    magic: tuple[bytes, ...]
    install: str


# Formats that take a plugin package, by their first bytes or, after four, their ISO media brand.
_PLUGINS = {
    "HEIC": _Plugin("HEIF", (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"), "pillow-heif"),
    "JPEG XL": _Plugin("JXL", (b"\xff\x0a", b"\x00\x00\x00\x0cJXL "), "pillow-jxl-plugin"),
    "AVIF": _Plugin("AVIF", (b"ftypavif", b"ftypavis"), "a Pillow of version 11.3 or newer"),
}


class ImageError(ValueError):
    """A source that cannot be scored, with the reason in plain words.

    Attributes:
        source: Name of the file, or the kind of object.
        reason: What was expected, what was found, what to do.
    """

    def __init__(self, source: str, reason: str):
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


class CorruptImageError(ImageError):
    """Not an image, an empty file, or one whose data are damaged or cut short."""


class ImageTooLargeError(ImageError):
    """More pixels than `max_pixels`; known from the header, before decoding."""


class ImageTooSmallError(ImageError):
    """A side shorter than 32 pixels."""


class UnsupportedImageError(ImageError):
    """A format that the installed Pillow cannot read; the reason names what to install."""


def read_header(file: BinaryIO, name: str, formats: Sequence[str] | None) -> Image.Image:
    """Opens an image without decoding it.

    Args:
        file: A seekable file of bytes.
        name: What errors call it.
        formats: Formats to read, by Pillow's names; None reads all that dpiqa knows.

    Raises:
        CorruptImageError: When it is empty, damaged or no image.
        UnsupportedImageError: When the installed Pillow cannot read its format.
    """
    file.seek(0)
    head = file.read(32)
    file.seek(0)
    if not head:
        raise CorruptImageError(name, "the file is empty.")
    _load_plugin(head)
    readable = [kind for kind in _readable_formats() if formats is None or kind in formats]
    try:
        with own_pixel_limit():
            return Image.open(file, formats=readable)
    except UnidentifiedImageError:
        raise _unidentified(name, head, formats) from None
    except MemoryError:
        raise
    except Exception as error:  # on damaged data Pillow's readers raise nearly anything
        raise CorruptImageError(name, f"the header is damaged ({error}).") from error


def check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """Refuses images that are too large or too small to score.

    Args:
        size: Width and height in pixels.
        name: What errors call the image.
        max_pixels: The most pixels.

    Raises:
        ImageTooLargeError: When it has more pixels.
        ImageTooSmallError: When a side is under 32 pixels.
    """
    width, height = size
    if width * height > max_pixels:
        raise ImageTooLargeError(
            name, f"{width}x{height} is more than the {max_pixels:,} pixels allowed (max_pixels)."
        )
    if min(size) < MIN_SIDE:
        raise ImageTooSmallError(name, f"{width}x{height} pixels; both sides must have at least {MIN_SIDE}.")


def _readable_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _load_plugin(head: bytes) -> None:
    kind = _plugin_kind(head)
    if kind == "HEIC" and importlib.util.find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
    elif kind == "JPEG XL" and importlib.util.find_spec("pillow_jxl"):
        importlib.import_module("pillow_jxl")


def _plugin_kind(head: bytes) -> str | None:
    for kind, plugin in _PLUGINS.items():
        if head.startswith(plugin.magic) or head[4:].startswith(plugin.magic):
            return kind
    return None


def _unidentified(name: str, head: bytes, formats: Sequence[str] | None) -> ImageError:
    kind = _plugin_kind(head)
    if kind is not None and _PLUGINS[kind].format not in _readable_formats():
        return UnsupportedImageError(name, f"this Pillow cannot read {kind} images: install {_PLUGINS[kind].install}.")
    if head[:2] in (b"II", b"MM") and formats is None:
        return UnsupportedImageError(
            name,
            "a TIFF of a kind that Pillow cannot read, or a damaged one. Save it with 8 bits a channel, or as a PNG.",
        )
    return CorruptImageError(
        name,
        "not an image, or a damaged one, or none of the formats that are read "
        f"({', '.join(formats) if formats else 'JPEG, PNG, WebP, TIFF, ...'}).",
    )
