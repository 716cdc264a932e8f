"""Decoding a file whole or not at all: where Pillow would hand out a part, or wrong pixels, without a word.

Every check costs far less than the decoding. What none of them can tell is listed in docs/bad_input.md.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, cast

from PIL import Image, ImageFile


def load_whole(image: Image.Image) -> None:
    """Decodes the pixels of an image that Pillow opened; one that has pixels already is left alone.

    Raises:
        ValueError: When the file does not hold all the pixels that it promises.
        Exception: Whatever Pillow's decoders raise on damaged data.
    """
    file = getattr(image, "fp", None)
    if isinstance(image, ImageFile.ImageFile) and file is not None:
        load = _LOADERS.get(image.format or "")
        # The decoders of WebP, AVIF and HEIC hold the data themselves.
        if load is not None and (image.tile or load is _load_without_zeros):
            return load(image, file)
    image.load()


_open_lock = threading.Lock()


def _renew_lock() -> None:
    """In a forked process: a thread that held the lock does not exist there, and would never give it back."""
    global _open_lock
    _open_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextlib.contextmanager
def own_pixel_limit() -> Iterator[None]:
    """Lets our `max_pixels` decide in this block, and Pillow's own limit everywhere else."""
    with _open_lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


# ---- JPEG

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # neither a stuffed byte of the data nor a restart in them
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_HUFFMAN_SEQUENTIAL = (0xC0, 0xC1)
_READ_AHEAD = bytes(16)  # the decoder looks at most 8 bytes past the last block


def _load_jpeg(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    """Decodes a JPEG; where its data end too early, libjpeg would fill the rest with grey.

    It does so when it meets the end marker. A file of one scan is given to it without: it then asks for more data,
    gets none, and Pillow calls the file truncated. A file of several scans must have them all.
    """
    file.seek(image.tile[0][2])
    shortened = _without_end(file.read())
    if shortened is None:
        image.load()
        return
    image.load_read = io.BytesIO(shortened).read  # type: ignore[attr-defined]
    try:
        image.load()
    finally:
        del image.load_read  # type: ignore[attr-defined]


def _without_end(data: bytes) -> bytes | None:
    """The file up to the end of its only scan; None when it is to be decoded as it is."""
    frame, scans = 0, _Scans()
    for marker, start, end in _segments(data):
        if marker in _FRAMES:
            frame, components = marker, data[start + 5 : start + 6]
        elif marker == _START_OF_SCAN and frame:
            if frame in _HUFFMAN_SEQUENTIAL and data[start : start + 1] == components:
                return _up_to_next_marker(data, end)
            scans.add(data[start:end])
        elif marker == _END_OF_IMAGE:
            scans.check()
    return None


def _up_to_next_marker(data: bytes, start: int) -> bytes | None:
    found = _MARKER.search(data, start)
    if found:
        return data[: found.start()] + _READ_AHEAD
    if data.endswith(_READ_AHEAD):
        raise ValueError("its data end in zeros, without an end marker")
    return None


class _Segment(NamedTuple):
    marker: int
    start: int  # of what it holds, after its length
    end: int


def _segments(data: bytes) -> Iterator[_Segment]:
    position = 2
    while found := _MARKER.search(data, position):
        marker, position = data[found.end() - 1], found.end()
        if marker == _END_OF_IMAGE:
            yield _Segment(marker, position, position)
            return
        end = position + int.from_bytes(data[position : position + 2], "big")
        yield _Segment(marker, position + 2, end)
        position = max(end, position + 2)


class _Scans:
    """Which coefficients of which components have come, down to their last bit."""

    def __init__(self) -> None:
        self._missing_bits: dict[int, list[int]] = {}

    def add(self, header: bytes) -> None:
        """Takes the header of a scan (ITU T.81, B.2.3)."""
        if not header or len(header) < 4 + 2 * header[0]:
            raise ValueError("the header of a scan is damaged")
        first, last, bits = header[1 + 2 * header[0] :][:3]
        for component in header[1 : 1 + 2 * header[0] : 2]:
            missing = self._missing_bits.setdefault(component, [16] * 64)
            missing[first : last + 1] = [bits & 15] * len(missing[first : last + 1])

    def check(self) -> None:
        if any(any(missing) for missing in self._missing_bits.values()):
            raise ValueError("its last scans are missing")


# ---- PNG

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Adam7: left, top, step to the right, step down
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_BLOCK = 1 << 20


def _load_png(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    """Decodes a PNG; Pillow skips the checksums of its data, and leaves rows black that are not there."""
    first = image.tile[0][2] - 8
    for kind, data, checksum in _image_chunks(file, first):
        if zlib.crc32(data, zlib.crc32(kind)) != checksum:
            raise ValueError("a checksum of its data is wrong")
    file.seek(16)
    header = file.read(13)
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    bits, interlaced = header[8] * _CHANNELS[header[9]], bool(header[12])
    rows = None
    if interlaced:
        rows = _inflated_size(file, first)
    image.load()
    last_row = image.crop((0, image.height - 1, image.width, image.height)).tobytes()
    if rows is None and not last_row.strip(b"\0"):
        rows = _inflated_size(file, first)
    if rows is not None and rows < _raw_size(width, height, bits, interlaced):
        raise ValueError("it has fewer rows than its header promises")


def _image_chunks(file: BinaryIO, first: int) -> Iterator[tuple[bytes, bytes, int]]:
    """The chunks of pixels in a row from here on: their kind, data and checksum."""
    file.seek(first)
    while (head := file.read(8))[4:] == b"IDAT":
        length = int.from_bytes(head[:4], "big")
        data, checksum = file.read(length), file.read(4)
        if len(data) < length or len(checksum) < 4:
            raise ValueError("the file ends within its data")
        yield b"IDAT", data, int.from_bytes(checksum, "big")


def _inflated_size(file: BinaryIO, first: int) -> int:
    """Bytes of all rows, in the memory of a block."""
    stream, size = zlib.decompressobj(), 0
    for _, data, _ in _image_chunks(file, first):
        while data and not stream.eof:
            size += len(stream.decompress(data, _BLOCK))
            data = stream.unconsumed_tail
    return size


def _raw_size(width: int, height: int, bits: int, interlaced: bool) -> int:
    size = 0
    for left, top, right, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        size += rows * (1 + (columns * bits + 7) // 8) if columns > 0 and rows > 0 else 0
    return size


# ---- TIFF

_BITS_PER_SAMPLE, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT = 258, 262, 284, 339


def _area(tile: ImageFile._Tile) -> int:
    left, top, right, bottom = cast("tuple[int, int, int, int]", tile.extents)
    return (right - left) * (bottom - top)


def _layout(tile: ImageFile._Tile) -> str:
    return cast("tuple[str, ...]", tile.args)[0]


def _read_as(tile: ImageFile._Tile, layout: str) -> ImageFile._Tile:
    return tile._replace(args=(layout, *cast("tuple[Any, ...]", tile.args)[1:]))


def _load_tiff(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    """Decodes a TIFF; Pillow leaves strips black that are not there, and reads planes of 16 bits as 8.

    It also mistakes the order of bytes in compressed numbers of 32 bits.
    """
    tiles = image.tile  # strips or tiles, of one plane or of all
    if tiles[0].codec_name == "libtiff":
        # It hands out numbers in the order of this machine, which Pillow knows of 16 bits only.
        tiles = [_read_as(tile, re.sub(r";(32|16)B(?=[SF])", r";\1N", _layout(tile))) for tile in tiles]
    else:
        planes = len(image.getbands()) if _tag(image, _PLANAR, 1) == 2 else 1
        if sum(map(_area, tiles)) < image.width * image.height * planes:
            raise ValueError("some of its strips or tiles are missing")
        if planes > 1 and set(_tag(image, _BITS_PER_SAMPLE, (8,))) == {16}:
            order = "L" if cast(Any, image).tag_v2.prefix == b"II" else "B"
            tiles = [_read_as(tile, f"{_layout(tile)};16{order}") for tile in tiles]
    image.tile = tiles
    with own_pixel_limit():  # Pillow looks at its own once more before it takes memory
        image.load_prepare()
    image.load()


def is_unsigned(image: Image.Image) -> bool:
    """Whether 32-bit grey values are to be read as unsigned, for which Pillow has no mode."""
    bits, kind = _tag(image, _BITS_PER_SAMPLE, ()), _tag(image, _SAMPLE_FORMAT, (1,))
    return image.mode == "I" and bits == (32,) and kind == (1,)


def is_negative(image: Image.Image) -> bool:
    """Whether 0 is white in deep greyscale, which Pillow turns around for 8 bits only."""
    return _tag(image, _PHOTOMETRIC, 1) == 0


def _tag(image: Image.Image, tag: int, default: object) -> Any:
    return getattr(image, "tag_v2", {}).get(tag, default)


# ---- WebP, AVIF, HEIC


def _load_without_zeros(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    """Decodes what has no checksums; what a copy cut short leaves at the end of a file is zeros.

    A WebP of one colour ends in zeros as well, but over a twentieth of its length.
    """
    position, size = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(-min(size, max(size // 10, 64)), os.SEEK_END)
    tail = file.read()
    file.seek(position)
    if not tail.strip(b"\0"):
        raise ValueError("the last tenth of the file is zeros")
    image.load()


_LOADERS: dict[str, Callable[[ImageFile.ImageFile, BinaryIO], None]] = {
    "JPEG": _load_jpeg,
    "MPO": _load_jpeg,
    "PNG": _load_png,
    "TIFF": _load_tiff,
    "WEBP": _load_without_zeros,
    "AVIF": _load_without_zeros,
    "HEIF": _load_without_zeros,
}
