"""Every row of the design's table of what `open_image` meets, each on a real file of that kind."""

import io
import os
import struct
import zlib

import datasets
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageFile, features

from dpiqa.models.images import (
    CorruptImageError,
    ImageError,
    ImageTooLargeError,
    ImageTooSmallError,
    UnsupportedImageError,
    open_image,
    opened,
)
from support.images import encoded, mean_difference


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is this large and holds no data."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 1000) + b"IDAT"


def gradient(dtype, full_scale) -> np.ndarray:
    """A 64x64 ramp from 0 to full_scale."""
    return np.round(np.linspace(0, full_scale, 64 * 64)).reshape(64, 64).astype(dtype)


class TestBrokenFiles:
    @pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
    def test_a_truncated_jpeg_is_an_error_that_names_the_file(self, tmp_path, photo, kept):
        data = encoded(photo)
        path = tmp_path / "cut.jpg"
        path.write_bytes(data[: int(len(data) * kept)])
        with pytest.raises(CorruptImageError, match=r"cut\.jpg: .*(cut short|damaged)"):
            open_image(path)

    @pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "GIF", "BMP"])
    def test_other_truncated_formats_are_errors(self, photo, format):
        data = encoded(photo, format)
        with pytest.raises(CorruptImageError):
            open_image(data[: len(data) // 2])

    def test_a_truncated_jpeg_is_an_error_when_decoded_at_a_smaller_scale(self, photo):
        data = encoded(photo.resize((2560, 1708)))
        with pytest.raises(CorruptImageError):
            open_image(data[: len(data) // 2], cover=(320, 320))

    def test_zero_bytes(self, tmp_path):
        (tmp_path / "empty.jpg").touch()
        with pytest.raises(CorruptImageError, match=r"empty\.jpg: the file is empty"):
            open_image(tmp_path / "empty.jpg")

    def test_text_is_not_an_image(self, tmp_path):
        (tmp_path / "notes.jpg").write_text("not a photo, whatever its name says")
        with pytest.raises(CorruptImageError, match=r"notes\.jpg: not an image"):
            open_image(tmp_path / "notes.jpg")

    def test_postscript_is_not_opened(self):
        with pytest.raises(CorruptImageError, match="not an image"):
            open_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 640 427\n")

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            open_image(tmp_path / "missing.jpg")

    def test_half_decoding_switched_on_elsewhere_is_refused(self, photo, monkeypatch):
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        with pytest.raises(RuntimeError, match="LOAD_TRUNCATED_IMAGES"):
            open_image(encoded(photo))

    def test_every_error_is_an_image_error_and_a_value_error(self):
        for error in (CorruptImageError, ImageTooLargeError, ImageTooSmallError, UnsupportedImageError):
            assert issubclass(error, ImageError)
            assert issubclass(error, ValueError)


class TestSize:
    def test_too_many_pixels_are_refused_from_the_header(self):
        with pytest.raises(ImageTooLargeError, match=r"20001x10000.*200,000,000"):
            open_image(png_header(20_001, 10_000))

    def test_our_limit_decides_not_pillows(self, photo, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
        assert open_image(encoded(photo)).size == photo.size
        assert Image.MAX_IMAGE_PIXELS == 1000

    def test_the_limit_is_the_callers(self, photo):
        with pytest.raises(ImageTooLargeError, match="640x427"):
            open_image(encoded(photo), max_pixels=640 * 427 - 1)
        assert open_image(encoded(photo), max_pixels=640 * 427).size == (640, 427)

    @pytest.mark.parametrize(("size", "fits"), [((32, 32), True), ((31, 400), False), ((400, 31), False)])
    def test_sides_under_32_pixels_are_an_error(self, photo, size, fits):
        data = encoded(photo.resize(size), "PNG")
        if fits:
            assert open_image(data).size == size
        else:
            with pytest.raises(ImageTooSmallError, match=f"{size[0]}x{size[1]}"):
                open_image(data)


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("cover", [None, (64, 64)])
    def test_exif_orientation_is_applied(self, photo, orientation, cover):
        undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the PIL transpose that takes upright to stored
        photo = photo.resize((640, 426))
        stored = photo if orientation == 1 else photo.transpose(undo[orientation])
        exif = Image.Exif()
        exif[0x0112] = orientation
        with opened(encoded(stored, quality=95, exif=exif), cover=cover) as found:
            assert (found.width, found.height) == photo.size
            assert mean_difference(found.image, photo.resize(found.image.size)) < 5

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
    def test_broken_exif_is_ignored(self, photo):
        data = encoded(photo, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xffgarbage")
        assert open_image(data).size == photo.size


class TestTwice:
    """What was opened stays as it is when it is opened again, as processor and scorer do with a PIL image."""

    def test_orientation_is_applied_once(self, photo):
        exif = Image.Exif()
        exif[0x0112] = 6
        opened = open_image(encoded(photo, exif=exif))
        assert open_image(opened).size == opened.size == photo.size[::-1]

    def test_a_profile_is_applied_once(self, photo):
        lab = ImageCms.createProfile("LAB")
        stored = ImageCms.profileToProfile(photo, ImageCms.createProfile("sRGB"), lab, outputMode="LAB")
        profile = ImageCms.ImageCmsProfile(lab).tobytes()
        opened = open_image(encoded(stored, "TIFF", icc_profile=profile))
        assert mean_difference(open_image(opened), opened) == 0

    def test_the_caller_keeps_his_metadata(self, photo):
        photo = photo.copy()
        photo.info["comment"] = "mine"
        open_image(photo)
        assert photo.info["comment"] == "mine"


class TestColour:
    def test_cmyk(self, photo):
        assert mean_difference(open_image(encoded(photo.convert("CMYK"), quality=95)), photo) < 5

    def test_another_profile_is_converted_to_srgb(self, photo):
        lab = ImageCms.createProfile("LAB")
        srgb = ImageCms.createProfile("sRGB")
        stored = ImageCms.profileToProfile(photo, srgb, lab, outputMode="LAB")
        profile = ImageCms.ImageCmsProfile(lab).tobytes()
        assert mean_difference(open_image(encoded(stored, "TIFF", icc_profile=profile)), photo) < 3

    def test_a_damaged_profile_falls_back_to_a_plain_conversion(self, photo):
        data = encoded(photo, "PNG", icc_profile=b"not a profile")
        assert mean_difference(open_image(data), photo) == 0

    @pytest.mark.parametrize(
        ("values", "format"),
        [
            (gradient(np.uint16, 65535), "PNG"),
            (gradient(np.uint16, 65535), "TIFF"),
            (gradient(np.int32, 2**31 - 1), "TIFF"),
            (gradient(np.float32, 65535), "TIFF"),
            (np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64), "TIFF"),
        ],
        ids=["16-bit PNG", "16-bit TIFF", "32-bit TIFF", "float TIFF", "unit float TIFF"],
    )
    def test_deep_greyscale_is_scaled_not_clamped(self, values, format):
        opened = np.asarray(open_image(encoded(Image.fromarray(values), format)))[:, :, 0]
        assert np.abs(opened - np.linspace(0, 255, 64 * 64).reshape(64, 64)).max() <= 1

    def test_a_dark_16_bit_photo_stays_dark(self):
        opened = np.asarray(open_image(encoded(Image.fromarray(gradient(np.uint16, 6553)), "PNG")))
        assert 24 <= opened.max() <= 27

    def test_float_greyscale_with_nan_is_an_error(self):
        values = np.full((64, 64), np.nan, np.float32)
        with pytest.raises(CorruptImageError, match="finite"):
            open_image(encoded(Image.fromarray(values), "TIFF"))

    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_alpha_is_composited_over_white(self, photo, mode):
        image = photo.convert(mode)
        alpha = np.full((photo.height, photo.width), 255, np.uint8)
        alpha[:, :320] = 0
        image.putalpha(Image.fromarray(alpha))
        opened = np.asarray(open_image(encoded(image, "PNG")))
        assert (opened[:, :320] == 255).all()
        assert opened[:, 320:].std() > 20

    def test_a_palette_with_transparency_is_composited_over_white(self, photo):
        palette = photo.quantize(16)
        index = int(np.asarray(palette)[0, 0])
        opened = np.asarray(open_image(encoded(palette, "PNG", transparency=index)))
        assert (opened[np.asarray(palette) == index] == 255).all()

    @pytest.mark.parametrize("mode", ["L", "1", "P"])
    def test_grey_bilevel_and_palette_become_rgb(self, photo, mode):
        opened = open_image(encoded(photo.convert(mode), "PNG"))
        assert opened.mode == "RGB"
        assert mean_difference(opened, photo.convert(mode).convert("RGB")) == 0


class TestContainers:
    @pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "PNG"])
    def test_the_first_of_several_pictures_is_taken(self, photos, format):
        data = encoded(photos[0], format, save_all=True, append_images=[photos[1]])
        assert mean_difference(open_image(data), photos[0]) < 12
        assert mean_difference(open_image(data), photos[1]) > 30

    def test_a_multi_picture_jpeg(self, photos):
        data = encoded(photos[0], "MPO", save_all=True, append_images=[photos[1]])
        assert mean_difference(open_image(data), photos[0]) < 12

    @pytest.mark.parametrize("format", ["WEBP", "BMP", "PPM", "TGA", "JPEG2000"])
    def test_formats_of_pillow(self, photo, format):
        assert mean_difference(open_image(encoded(photo, format)), photo) < 8

    def test_avif_where_pillow_has_it(self, photo):
        if not features.check("avif"):
            pytest.skip("this Pillow is built without AVIF")
        assert mean_difference(open_image(encoded(photo, "AVIF")), photo) < 8

    def test_heic_with_its_extra(self, photo):
        pillow_heif = pytest.importorskip("pillow_heif")
        pillow_heif.register_heif_opener()
        assert mean_difference(open_image(encoded(photo, "HEIF")), photo) < 8

    @pytest.mark.parametrize(
        ("head", "install"),
        [(b"\x00\x00\x00\x18ftypheic", r"pillow-heif"), (b"\xff\x0a" + bytes(8), "pillow-jxl-plugin")],
        ids=["HEIC", "JPEG XL"],
    )
    def test_a_missing_plugin_is_named(self, head, install, monkeypatch):
        monkeypatch.setattr("dpiqa.models.headers._load_plugin", lambda head: None)
        monkeypatch.setattr("dpiqa.models.headers._readable_formats", lambda: ("JPEG", "PNG"))
        with pytest.raises(UnsupportedImageError, match=install):
            open_image(head + bytes(200))

    def test_a_damaged_header_of_a_readable_format_asks_for_no_plugin(self, photo):
        if not features.check("avif"):
            pytest.skip("this Pillow is built without AVIF")
        data = encoded(photo, "AVIF")
        with pytest.raises(CorruptImageError, match="damaged"):
            open_image(data[:12] + bytes(len(data) - 12))


class TestScaledDecoding:
    def test_a_large_jpeg_is_decoded_at_the_smallest_scale_that_covers(self, photo):
        with opened(encoded(photo.resize((2560, 1708))), cover=(320, 320)) as found:
            assert (found.width, found.height) == (2560, 1708)
            assert found.image.size == (640, 427)

    def test_without_cover_every_pixel_is_decoded(self, photo):
        assert open_image(encoded(photo.resize((2560, 1708)))).size == (2560, 1708)


class TestSources:
    def test_every_kind_of_source_gives_the_same_pixels(self, photo, save):
        path = save(photo, "photo.png")
        array = np.asarray(photo)
        sources = {
            "str": str(path),
            "Path": path,
            "bytes": path.read_bytes(),
            "PIL": photo,
            "array": array,
            "float array": array / 255,
            "uint16 array": array.astype(np.uint16) * 257,
            "tensor": torch.from_numpy(array.copy()).permute(2, 0, 1),
            "float tensor": torch.from_numpy(array / 255).permute(2, 0, 1),
        }
        for kind, source in sources.items():
            assert mean_difference(open_image(source), photo) == 0, kind
        with path.open("rb") as file:
            assert mean_difference(open_image(file), photo) == 0

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "CMYK"])
    @pytest.mark.parametrize("profile", [None, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
    def test_a_pil_image_of_the_caller_is_left_alone(self, photo, mode, profile):
        mine = photo.convert(mode)
        mine.info["icc_profile"] = profile
        before = mine.tobytes()
        opened = open_image(mine)
        opened.paste("red", (0, 0, 64, 64))
        assert opened is not mine
        assert (mine.mode, mine.info, mine.tobytes()) == (mode, {"icc_profile": profile}, before)

    def test_an_image_from_a_file_stands_alone(self, photo, save):
        assert type(open_image(save(photo, "photo.png"))) is Image.Image

    def test_a_column_of_a_data_set(self, photo, save):
        as_bytes = {"bytes": encoded(photo, "PNG"), "path": None}
        as_path = {"bytes": None, "path": str(save(photo, "photo.png"))}
        rows = datasets.Dataset.from_dict({"image": [as_bytes, as_path]})
        for entry in rows.cast_column("image", datasets.Image(decode=False))["image"]:
            assert mean_difference(open_image(entry), photo) == 0

    def test_a_dict_with_neither_bytes_nor_path_says_so(self):
        with pytest.raises(ValueError, match=r"bytes or the path of an image, found keys \['image'\]"):
            open_image({"image": None})

    def test_a_folder_says_how_to_list_it(self, tmp_path):
        with pytest.raises(ImageError, match=r"this is a folder.*find_images"):
            open_image(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
    def test_a_named_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.jpg")
        with pytest.raises(ImageError, match="not a regular file"):
            open_image(tmp_path / "pipe.jpg")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
    def test_an_open_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.jpg")
        pipe = os.fdopen(os.open(tmp_path / "pipe.jpg", os.O_RDWR), "rb", buffering=0)
        with pipe, pytest.raises(ImageError, match=r"pipe or a stream.*give its bytes"):
            open_image(pipe)

    def test_a_file_is_read_from_its_start(self, photo):
        written = io.BytesIO()
        photo.save(written, "PNG")
        assert open_image(written).size == photo.size

    def test_a_file_opened_as_text(self, photo, save):
        with save(photo, "photo.png").open() as file, pytest.raises(TypeError, match=r"opened as text.*mode 'rb'"):
            open_image(file)

    @pytest.mark.parametrize(("mode", "from_mode"), [("La", "LA"), ("RGBa", "RGBA"), ("PA", "P")])
    def test_rare_modes_with_alpha(self, photo, mode, from_mode):
        opened = open_image(photo.convert(from_mode).convert(mode))
        assert mean_difference(opened, photo.convert(from_mode).convert("RGB")) == 0

    def test_an_array_of_the_other_byte_order(self, photo):
        swapped = (np.asarray(photo).astype(np.uint16) * 257).astype(">u2")
        assert mean_difference(open_image(swapped), photo) == 0

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (np.zeros((3, 64, 64), np.uint8), r"\(height, width, channels\).*got \(3, 64, 64\)"),
            (np.zeros((64, 64, 2), np.uint8), "1, 3 or 4 channels"),
            (np.zeros((0, 64, 3), np.uint8), r"got \(0, 64, 3\)"),
            (np.zeros((1, 64, 64, 3), np.uint8), r"one image.*\(1, 64, 64, 3\)"),
            (np.zeros((64, 64, 3), np.int64), "int64"),
            (np.full((64, 64, 3), np.nan), "12288 NaN or infinite"),
            (np.full((64, 64, 3), 255.0), r"\[0, 1\], found \[255, 255\]"),
            (torch.zeros(64, 64, 3), r"\(channels, height, width\)"),
            (torch.full((3, 64, 64), torch.inf), "NaN or infinite"),
        ],
    )
    def test_a_wrong_array_says_what_was_expected_and_found(self, source, message):
        with pytest.raises(ValueError, match=message):
            open_image(source)

    def test_another_type_is_a_type_error(self):
        with pytest.raises(TypeError, match="got int"):
            open_image(3)

    def test_a_url_is_not_fetched(self):
        with pytest.raises(ImageError, match=r"photo\.jpg: URLs are not opened here: download the photo first"):
            open_image("https://example.org/photo.jpg")

    @pytest.mark.skipif(os.name == "nt", reason="symbolic links")
    def test_a_link_to_a_photo_is_opened(self, photo, save, tmp_path):
        (tmp_path / "link.png").symlink_to(save(photo, "photo.png"))
        assert open_image(tmp_path / "link.png").size == photo.size
