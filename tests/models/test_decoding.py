"""Files that Pillow would decode in part, or wrongly, without a word."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from dpiqa.models.images import CorruptImageError, UnsupportedImageError, open_image
from support.images import encoded, mean_difference

END_OF_JPEG = b"\xff\xd9"


def with_height(jpeg: bytes, height: int) -> bytes:
    """A JPEG whose header promises another number of rows."""
    frame = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2"))
    return jpeg[: frame + 5] + struct.pack(">H", height) + jpeg[frame + 7 :]


def png(pixels: np.ndarray, kept: float, *, interlaced: bool = False) -> bytes:
    """A PNG of grey pixels with a part of its rows only; its checksums are right."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [pixels[top::down, left::right] for top, left, down, right in passes] if interlaced else [pixels]
    rows = [b"\0" + row.tobytes() for part in parts for row in part]
    data = zlib.compress(b"".join(rows[: int(len(rows) * kept)]))
    header = struct.pack(">IIBBBBB", *pixels.shape[::-1], 8, 0, 0, 0, interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", data[:100]), (b"IDAT", data[100:]), (b"IEND", b"")]
    whole = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


def tiff(array: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


class TestJpeg:
    @pytest.mark.parametrize("options", [{}, {"optimize": True}, {"restart_marker_blocks": 7}, {"subsampling": 0}])
    @pytest.mark.parametrize("kept", [0.1, 0.5, 0.97])
    def test_a_cut_file_with_an_end_marker_behind_it(self, photo, options, kept):
        data = encoded(photo, quality=85, **options)
        assert open_image(data).size == photo.size
        with pytest.raises(CorruptImageError, match="truncated"):
            open_image(data[: int(len(data) * kept)] + END_OF_JPEG)

    def test_also_when_it_is_decoded_at_a_smaller_scale(self, photo):
        data = encoded(photo.resize((2560, 1708)))
        with pytest.raises(CorruptImageError, match="truncated"):
            open_image(data[: len(data) // 2] + END_OF_JPEG, cover=(320, 320))

    def test_a_header_that_promises_more_rows(self, photo):
        with pytest.raises(CorruptImageError, match="truncated"):
            open_image(with_height(encoded(photo), 800))

    def test_an_end_of_zeros(self, photo):
        data = encoded(photo)
        with pytest.raises(CorruptImageError, match="zeros"):
            open_image(data[: len(data) // 2] + bytes(len(data) // 2))

    def test_a_progressive_file_without_its_last_scans(self, photo):
        data = encoded(photo, progressive=True)
        assert open_image(data).size == photo.size
        with pytest.raises(CorruptImageError, match="last scans are missing"):
            open_image(data[: len(data) // 2] + END_OF_JPEG)

    def test_bytes_behind_the_end_do_no_harm(self, photo):
        data = encoded(photo)
        for behind in (bytes(1000), data, b"\xff\xda\xff"):
            assert mean_difference(open_image(data + behind), open_image(data)) == 0

    @pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
    @pytest.mark.parametrize("colour", [0, 128, 255])
    def test_photos_that_end_in_one_colour_are_whole(self, photo, mode, colour):
        photo = photo.copy()
        photo.paste((colour,) * 3, (0, 200, 640, 427))
        for options in ({}, {"optimize": True}, {"progressive": True}, {"restart_marker_rows": 1}):
            assert open_image(encoded(photo.convert(mode), **options)).size == photo.size

    def test_pixels_are_those_of_pillow(self, photo):
        for options in ({}, {"progressive": True}, {"optimize": True}):
            data = encoded(photo, **options)
            assert mean_difference(open_image(data), Image.open(io.BytesIO(data))) == 0

    def test_an_image_that_the_caller_opened_lazily(self, photo):
        data = encoded(photo)
        with pytest.raises(CorruptImageError, match="truncated"):
            open_image(Image.open(io.BytesIO(data[: len(data) // 2] + END_OF_JPEG)))
        assert open_image(Image.open(io.BytesIO(data))).size == photo.size


class TestPng:
    def test_an_end_of_zeros_fails_its_checksum(self, photo):
        data = encoded(photo, "PNG")
        with pytest.raises(CorruptImageError, match="checksum"):
            open_image(data[: int(len(data) * 0.9)] + bytes(len(data) // 10) + data[-12:])

    def test_one_wrong_bit_fails_its_checksum(self, photo):
        data = bytearray(encoded(photo, "PNG"))
        data[len(data) // 2] ^= 1
        with pytest.raises(CorruptImageError, match="checksum"):
            open_image(bytes(data))

    @pytest.mark.parametrize("interlaced", [False, True])
    @pytest.mark.parametrize("kept", [0.4, 0.99])
    def test_fewer_rows_than_promised(self, interlaced, kept):
        pixels = np.random.default_rng(0).integers(1, 256, (509, 512), np.uint8)
        with pytest.raises(CorruptImageError, match="fewer rows"):
            open_image(png(pixels, kept, interlaced=interlaced))

    @pytest.mark.parametrize("interlaced", [False, True])
    def test_black_rows_at_the_end_are_rows(self, interlaced):
        pixels = np.random.default_rng(0).integers(1, 256, (509, 512), np.uint8)
        pixels[200:] = 0
        opened = open_image(png(pixels, 1, interlaced=interlaced))
        assert mean_difference(opened, Image.fromarray(pixels).convert("RGB")) == 0

    @pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
    def test_a_black_photo_of_every_kind(self, mode):
        assert open_image(encoded(Image.new(mode, (65, 43)), "PNG")).size == (65, 43)


class TestTiff:
    def test_a_missing_strip(self, photo):
        data = tiff(np.asarray(photo), rowsperstrip=64)
        strips = struct.pack("<HHI", 273, 4, 7)  # the offsets of seven strips, as a tag
        assert data.count(strips) == 1
        with pytest.raises(CorruptImageError, match="strips or tiles are missing"):
            open_image(data.replace(strips, struct.pack("<HHI", 273, 4, 5)))

    @pytest.mark.parametrize("byteorder", "<>")
    @pytest.mark.parametrize("compression", [None, "zlib"])
    @pytest.mark.parametrize("tile", [None, (64, 64)])
    @pytest.mark.parametrize("channels", [3, 4])
    def test_planes_of_16_bits(self, photo, byteorder, compression, tile, channels):
        planes = np.full((channels, photo.height, photo.width), 65535, np.uint16)
        planes[:3] = np.moveaxis(np.asarray(photo).astype(np.uint16) * 257, -1, 0)
        options = {"photometric": "rgb", "planarconfig": "separate", "extrasamples": [2] * (channels - 3)}
        data = tiff(planes, byteorder=byteorder, compression=compression, tile=tile, **options)
        assert mean_difference(open_image(data), photo) == 0

    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_unsigned_values_of_32_bits(self, photo, compression):
        grey = photo.convert("L")
        data = tiff(np.asarray(grey).astype(np.uint32) * (2**32 // 255), compression=compression)
        assert mean_difference(open_image(data), grey.convert("RGB")) < 1

    @pytest.mark.parametrize("byteorder", "<>")
    @pytest.mark.parametrize("compression", [None, "zlib"])
    @pytest.mark.parametrize("dtype", [np.float32, np.int32])
    def test_numbers_of_32_bits_in_either_order(self, photo, byteorder, compression, dtype):
        grey = photo.convert("L")
        values = np.asarray(grey).astype(dtype) * dtype(257)
        data = tiff(values, byteorder=byteorder, compression=compression)
        assert mean_difference(open_image(data), grey.convert("RGB")) == 0

    def test_16_bits_where_0_is_white(self, photo):
        grey = photo.convert("L")
        data = tiff((255 - np.asarray(grey)).astype(np.uint16) * 257, photometric="miniswhite")
        assert mean_difference(open_image(data), grey.convert("RGB")) == 0

    def test_kinds_that_pillow_does_not_know(self, photo):
        with pytest.raises(UnsupportedImageError, match="TIFF of a kind"):
            open_image(tiff(np.asarray(photo) / 255, photometric="rgb"))

    def test_our_limit_decides_not_pillows(self, photo, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
        for compression in (None, "tiff_lzw"):
            data = encoded(photo, "TIFF", compression=compression)
            with warnings.catch_warnings(action="error"):
                assert open_image(data).size == photo.size
        assert Image.MAX_IMAGE_PIXELS == 1000


class TestFormatsWithoutChecksums:
    @pytest.mark.parametrize("options", [{}, {"lossless": True}])
    def test_an_end_of_zeros(self, photo, options):
        data = encoded(photo, "WEBP", **options)
        with pytest.raises(CorruptImageError, match="zeros"):
            open_image(data[: int(len(data) * 0.8)].ljust(len(data), b"\0"))

    @pytest.mark.parametrize("size", [(64, 64), (2000, 1500)])
    @pytest.mark.parametrize("colour", ["black", "white", "grey"])
    def test_one_colour_is_a_whole_photo(self, size, colour):
        for options in ({}, {"lossless": True}, {"quality": 1}):
            assert open_image(encoded(Image.new("RGB", size, colour), "WEBP", **options)).size == size
