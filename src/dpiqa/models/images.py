"""Opening any image safely: the one door for files, bytes, arrays and tensors.

Nothing else in the package opens an image file, so that the command line, the pipeline, the Space and the data sets
agree on what a photo's pixels are: upright, sRGB, 8 bits a channel, over white.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from .arrays import array_to_pil, deep_grey_to_rgb
from .decoding import is_negative, is_unsigned, load_whole, own_pixel_limit
from .pixel_budget import PIXEL_BUDGET

if TYPE_CHECKING:
    import torch

# What every entry point takes as one image. A mapping is what a `datasets.Image(decode=False)` column holds, which is
# the `bytes` of a file, or its `path`.
ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | BinaryIO | Mapping[str, Any] | Image.Image | np.ndarray | torch.Tensor"
)

# Names what this file and the image processor make of a photo. Whoever changes their pixels raises it, and all that
# was computed from the old pixels is computed again.
PIXELS_VERSION = 2
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


# All that opening an image can raise; where many are opened these become the error of one row.
OPENING_ERRORS = (ValueError, TypeError, OSError, MemoryError)


class Opened(NamedTuple):
    """An opened photo: RGB pixels, and the size of the original, upright (decoding may have scaled it down)."""

    image: Image.Image
    width: int
    height: int


def open_image(
    source: ImageSource,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    cover: tuple[int, int] | None = None,
    formats: Sequence[str] | None = None,
) -> Image.Image:
    """Opens an image as upright 8-bit sRGB.

    Args:
        source: Path, bytes of a file, open binary file, PIL image, `numpy` array ((H, W), (H, W, 1), (H, W, 3) or
            (H, W, 4); uint8, uint16, or float in [0, 1]), `torch` tensor (the same with channels first), or an entry
            of a `datasets.Image(decode=False)` column: a dict with `bytes` or a `path`.
        max_pixels: Refuse more pixels than this, from the header.
        cover: (width, height) that the caller will shrink the image to. JPEGs are then decoded at the smallest DCT
            scale that still covers it, which is several times faster for large photos.
        formats: Formats of files to read, by Pillow's names ("JPEG", "PNG", ...), where not all of them are wanted.

    Returns:
        A new image of mode RGB, whatever the source: EXIF orientation applied, colour profile converted to sRGB, deep
        greyscale scaled to 8 bits, transparency composited over white, the first frame of several.

    Raises:
        FileNotFoundError: When there is no such file.
        CorruptImageError: When it is not an image, or a damaged one.
        ImageTooLargeError: When it has more than `max_pixels` pixels.
        ImageTooSmallError: When a side is under 32 pixels.
        UnsupportedImageError: When a plugin for its format is missing.
        ImageError: When the path is that of a folder, or of something else that is no regular file.
        ValueError: When an array or a tensor has another shape, type or range, or is not finite.
    """
    with contextlib.ExitStack() as held:
        image = _open(source, max_pixels, cover, formats, held).image
        if image is source or isinstance(image, ImageFile.ImageFile):
            image = image.copy()
    # Orientation and colour profile are in the pixels now: what is opened a second time must not change again.
    image.info = {}
    return image


@contextlib.contextmanager
def opened(
    source: ImageSource,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    cover: tuple[int, int] | None = None,
    formats: Sequence[str] | None = None,
) -> Iterator[Opened]:
    """Opens a photo as [`open_image`] does, with its original size, for the length of a block.

    The image may be the caller's own, which saves a copy: read from it and leave it as it is. The threads of a process
    hold `dpiqa.models.pixel_budget.PIXELS_AT_ONCE` pixels together; others wait, and a photo with more of them is held
    alone.
    """
    with contextlib.ExitStack() as held:
        photo = _open(source, max_pixels, cover, formats, held)
        try:
            yield photo
        finally:
            if photo.image is not source:
                photo.image.close()


def is_one_image(source: Any) -> bool:
    """Whether something is one image; whatever else can be iterated over is many.

    An array or a tensor with four dimensions is a batch, and so is an array of paths. One of numbers with another
    number of dimensions is one image, if a wrong one.
    """
    if isinstance(source, str | os.PathLike | bytes | bytearray | memoryview | Mapping | Image.Image):
        return True
    if hasattr(source, "ndim") and hasattr(source, "dtype"):
        numbers = getattr(source.dtype, "kind", "f") in "biufc"
        return source.ndim != 4 and (source.ndim != 1 or numbers)
    return hasattr(source, "read") or not (hasattr(source, "__iter__") or hasattr(source, "__getitem__"))


def check_image(path: str | os.PathLike[str], *, max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[int, int]:
    """Looks at a file's header only: quick, and finds all that is wrong with it but damaged image data.

    Returns:
        Its width and height in pixels, as stored: EXIF orientation is not applied.

    Raises:
        FileNotFoundError: When there is no such file.
        ImageError: As [`open_image`] does.
    """
    with _open_file(path) as file, _read_header(file, os.fspath(path), None) as image:
        _check_size(image.size, os.fspath(path), max_pixels)
        return image.size


def describe(source: Any) -> str:
    """Names a source in messages and tables: the path, or the kind of object."""
    path = path_of(source)
    if path is not None:
        return path
    name = getattr(source, "name", None)
    return name if name and isinstance(name, str) else f"<{type(source).__name__}>"


def path_of(source: Any) -> str | None:
    """The path that a source was given by or, in the column of a data set, with; None for what is in memory."""
    if isinstance(source, Mapping):
        source = source.get("path")
    return os.fspath(source) if isinstance(source, str | os.PathLike) else None


def reason_of(error: Exception, name: str) -> str:
    """Says in plain words, for a row that names the source already, why it could not be opened."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    return (str(error) or type(error).__name__).removeprefix(f"{name}: ")


def _to_rgb(original: Image.Image) -> Image.Image:
    """Converts a loaded PIL image of any mode to upright 8-bit sRGB, transparency over white."""
    transpose = _TRANSPOSE.get(_orientation(original))
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


def _open_file(path: str | os.PathLike[str]) -> BinaryIO:
    name = os.fspath(path)
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise ImageError(
            name,
            "this is a folder, not a photo. List the photos in it with "
            "find_images([folder]).paths of dpiqa.scoring.image_files, or score it with the command dpiqa score.",
        )
    if not stat.S_ISREG(mode):
        raise ImageError(name, "this is not a regular file.")
    return open(path, "rb")


def _seekable(file: Any, name: str) -> BinaryIO:
    if isinstance(file, io.TextIOBase):
        raise TypeError(
            f"{name}: expected a file of bytes, found one that was opened as text: open it with mode 'rb'."
        )
    # A file without the method is one that Pillow can read all the same, if it can seek.
    if not hasattr(file, "seek") or not getattr(file, "seekable", lambda: True)():
        raise ImageError(name, "this is a pipe or a stream, which cannot be read twice: read it and give its bytes.")
    return file


def _from_column(entry: Mapping[str, Any], name: str) -> bytes | str:
    for key in ("bytes", "path"):
        if entry.get(key) is not None:
            return entry[key]
    raise ValueError(f"{name}: expected a dict with the bytes or the path of an image, found keys {sorted(entry)}.")


def _read_header(file: BinaryIO, name: str, formats: Sequence[str] | None) -> Image.Image:
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


def _open(
    source: ImageSource,
    max_pixels: int,
    cover: tuple[int, int] | None,
    formats: Sequence[str] | None,
    held: contextlib.ExitStack,
) -> Opened:
    """Opens a photo whose pixels count as held until `held` is closed."""
    name = describe(source)
    with contextlib.ExitStack() as files:
        image, is_file = _header(source, name, formats, files)
        _check_size(image.size, name, max_pixels)
        size = None
        if is_file and cover is not None and image.format == "JPEG":
            turned = _orientation(image) in _TURNED
            size = image.size[::-1] if turned else image.size
            image.draft(None, cover[::-1] if turned else cover)
        held.enter_context(PIXEL_BUDGET.hold(image.width * image.height))
        pixels = _pixels(image, name)
        return Opened(pixels, *(size or pixels.size))


def _header(
    source: ImageSource, name: str, formats: Sequence[str] | None, files: contextlib.ExitStack
) -> tuple[Image.Image, bool]:
    """The image of any source, with its pixels still in the file where it is one; and whether it is one."""
    if isinstance(source, Mapping):
        source = _from_column(source, name)
    if isinstance(source, Image.Image):
        return source, False
    if isinstance(source, str | os.PathLike):
        file = files.enter_context(_open_file(source))
    elif isinstance(source, bytes | bytearray | memoryview):
        file = io.BytesIO(source)
    elif isinstance(source, np.ndarray) or not hasattr(source, "read"):
        return array_to_pil(source), False
    else:
        file = _seekable(source, name)
    return files.enter_context(_read_header(file, name, formats)), True


def _pixels(image: Image.Image, name: str) -> Image.Image:
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise RuntimeError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on, half-decoded photos would get scores: set it off."
        )
    try:
        load_whole(image)
        return _to_rgb(image)
    except MemoryError:
        raise
    except Exception as error:  # see _read_header
        raise CorruptImageError(name, f"the image data are damaged or cut short ({error}).") from error


# EXIF orientation (tag 0x0112) to what turns the pixels upright; the last four swap width and height.
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = (5, 6, 7, 8)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation. Pillow decodes a PNG for it: ask no PNG that is not decoded yet."""
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # Pillow's EXIF parser raises nearly anything on broken EXIF, which must not cost the photo.
        return 1


def _check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
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


def _profile_to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.getOpenProfile(io.BytesIO(profile))
    if image.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
        return image
    converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return image if converted is None else converted
