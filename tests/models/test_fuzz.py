"""Damaged files of every format: a photo or a typed error, never anything else, and no half of a photo.

`DPIQA_FUZZ_FILES` and `DPIQA_FUZZ_SEED` try more files and others. What docs/bad_input.md promises of damage is here.
"""

import os
import threading

import numpy as np
import pytest
from PIL import Image, features

from dpiqa.models.images import OPENING_ERRORS, ImageError, open_image
from support.images import encoded

FILES = int(os.environ.get("DPIQA_FUZZ_FILES", "250"))
SEED = int(os.environ.get("DPIQA_FUZZ_SEED", "0"))
SECONDS = 20  # for one file, on a busy machine

pytestmark = pytest.mark.fuzz

# Mode and how it is saved. The keys start with Pillow's name of the format.
KINDS = {
    "JPEG": ("RGB", {"quality": 90}),
    "JPEG optimised": ("RGB", {"optimize": True}),
    "JPEG progressive": ("RGB", {"progressive": True}),
    "JPEG restarts": ("RGB", {"restart_marker_rows": 1}),
    "JPEG grey": ("L", {}),
    "JPEG CMYK": ("CMYK", {}),
    "PNG": ("RGB", {}),
    "PNG 16-bit": ("I;16", {}),
    "PNG palette": ("P", {}),
    "PNG alpha": ("RGBA", {}),
    "WEBP": ("RGB", {}),
    "WEBP lossless": ("RGB", {"lossless": True}),
    "TIFF": ("RGB", {}),
    "TIFF 16-bit": ("I;16", {}),
    "TIFF LZW": ("RGB", {"compression": "tiff_lzw"}),
    "TIFF deflate": ("RGB", {"compression": "tiff_adobe_deflate"}),
    "GIF": ("P", {}),
    "BMP": ("RGB", {}),
    "PPM": ("RGB", {}),
    "TGA RLE": ("RGB", {"compression": "tga_rle"}),
}
if features.check("jpg_2000"):
    KINDS["JPEG2000"] = ("RGB", {})
if features.check("avif"):
    KINDS["AVIF"] = ("RGB", {})
ENDS = {"JPEG": b"\xff\xd9", "PNG": b"\0\0\0\0IEND\xaeB\x60\x82", "GIF": b"\0;"}
UNCOMPRESSED = ("BMP", "PPM", "TIFF", "TIFF 16-bit")  # zeros are black


def file_of(kind: str, photo: Image.Image) -> bytes:
    mode, options = KINDS[kind]
    if mode == "I;16":
        photo = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    return encoded(photo.convert(mode), kind.split()[0], **options)


def cut(data: bytes, lost: float) -> bytes:
    return data[: int(len(data) * (1 - lost))]


def zeroed(data: bytes, lost: float) -> bytes:
    return cut(data, lost).ljust(len(data), b"\0")


def open_in_time(data: bytes):
    """The image, or the error, of a file; fails when it takes too long."""
    answer = []

    def attempt():
        try:
            answer.append(open_image(data))
        except BaseException as error:
            answer.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert answer, f"no answer in {SECONDS} seconds"
    return answer[0]


@pytest.fixture
def small(photo):
    return photo.resize((320, 214))


def damaged(files: dict[str, bytes], kind: str, generator: np.random.Generator) -> bytes:
    data = bytearray(files[kind])
    match generator.integers(5):
        case 0:
            return cut(bytes(data), generator.random())
        case 1:
            return zeroed(bytes(data), generator.random())
        case 2:
            start, length = generator.integers(len(data)), generator.integers(1, 300)
            data[start : start + length] = bytes(len(data[start : start + length]))
        case 3:
            other = files[generator.choice(list(files))]
            return cut(bytes(data), generator.random()) + other[int(len(other) * generator.random()) :]
        case 4:
            # Headers are where the odd errors come from.
            reach = len(data) if generator.random() < 0.5 else min(len(data), 700)
            for _ in range(generator.integers(1, 8)):
                data[generator.integers(reach)] ^= 1 << generator.integers(8)
    return bytes(data)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damage as well
def test_a_damaged_file_is_a_photo_or_a_typed_error(small):
    files = {kind: file_of(kind, small) for kind in KINDS}
    for number in range(FILES):
        generator = np.random.default_rng([SEED, number])
        kind = generator.choice(list(files))
        opened = open_in_time(damaged(files, kind, generator))
        if isinstance(opened, BaseException):
            assert isinstance(opened, OPENING_ERRORS), f"{kind}, seed {SEED}, file {number}: {opened!r}"
        else:
            assert opened.mode == "RGB", f"{kind}, seed {SEED}, file {number}"
            assert min(opened.size) >= 32


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
class TestLostEnds:
    """From which share on a lost end is told."""

    def test_a_file_cut_short(self, small, kind):
        for lost in (0.02, 0.1, 0.5, 0.9):
            assert isinstance(open_in_time(cut(file_of(kind, small), lost)), ImageError), lost

    def test_an_end_of_zeros(self, small, kind):
        if kind in UNCOMPRESSED:
            pytest.skip("zeros are black there")
        least = 0.12 if kind.startswith(("WEBP", "AVIF")) else 0.02
        for lost in (least, 0.2, 0.5, 0.9):
            assert isinstance(open_in_time(zeroed(file_of(kind, small), lost)), ImageError), lost

    def test_a_cut_with_an_end_marker_behind_it(self, small, kind):
        if kind.split()[0] not in ENDS:
            pytest.skip("has no end marker")
        for lost in (0.5, 0.9) if kind == "JPEG progressive" else (0.02, 0.1, 0.5, 0.9):
            data = cut(file_of(kind, small), lost) + ENDS[kind.split()[0]]
            assert isinstance(open_in_time(data), ImageError), lost
