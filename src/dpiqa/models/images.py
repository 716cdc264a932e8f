"""Opening any image safely: the one door for files, bytes, arrays and tensors.

Nothing else in the package opens an image file, so that the command line, the pipeline, the Space and the data sets
agree on what a photo's pixels are: upright, sRGB, 8 bits a channel, over white.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageFile

from .arrays import array_to_pil
from .decoding import load_whole
from .headers import DEFAULT_MAX_PIXELS as DEFAULT_MAX_PIXELS
from .headers import MIN_SIDE as MIN_SIDE
from .headers import CorruptImageError as CorruptImageError
from .headers import ImageError as ImageError
from .headers import ImageTooLargeError as ImageTooLargeError
from .headers import ImageTooSmallError as ImageTooSmallError
from .headers import UnsupportedImageError as UnsupportedImageError
from .headers import check_size, read_header
from .pixel_budget import PIXEL_BUDGET
from .upright import TURNED, orientation, to_rgb

if TYPE_CHECKING:
    import torch

# What every entry point takes as one image. A mapping is what a `datasets.Image(decode=False)` column holds, which is
# the `bytes` of a file, or its `path`.
ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | BinaryIO | Mapping[str, Any] | Image.Image | np.ndarray | torch.Tensor"
)

# Names what this file, those it imports and the image processor make of a photo. Whoever changes their pixels raises
# it, and all that was computed from the old pixels is computed again.
PIXELS_VERSION = 2
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
        ImageError: When the path is that of a folder, or of something else that is no regular file, or is a URL.
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
    with _open_file(path) as file, read_header(file, os.fspath(path), None) as image:
        check_size(image.size, os.fspath(path), max_pixels)
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


def _open_file(path: str | os.PathLike[str]) -> BinaryIO:
    name = os.fspath(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if "://" not in name:
            raise
        raise ImageError(name, "URLs are not opened here: download the photo first.") from None
    if stat.S_ISDIR(mode):
        raise ImageError(
            name,
            "this is a folder, not a photo. List the photos in it with "
            "find_images(folder).paths of dpiqa.scoring.image_files, or score it with the command dpiqa score.",
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
        check_size(image.size, name, max_pixels)
        size = None
        if is_file and cover is not None and image.format == "JPEG":
            turned = orientation(image) in TURNED
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
    return files.enter_context(read_header(file, name, formats)), True


def _pixels(image: Image.Image, name: str) -> Image.Image:
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise RuntimeError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on, half-decoded photos would get scores: set it off."
        )
    try:
        load_whole(image)
        return to_rgb(image)
    except MemoryError:
        raise
    except Exception as error:  # see read_header
        raise CorruptImageError(name, f"the image data are damaged or cut short ({error}).") from error
