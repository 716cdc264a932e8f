import io

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil

from dpiqa import DPIQAImageProcessor, ImageError
from support.images import encoded


def test_the_defaults_are_those_of_the_published_models(photo):
    pixels = DPIQAImageProcessor()(photo, return_tensors="pt").pixel_values
    expected = np.asarray(photo.resize((512, 512), Image.Resampling.BILINEAR)).transpose(2, 0, 1) / 255
    assert pixels.dtype == torch.float32
    np.testing.assert_allclose(pixels[0], expected, atol=1e-6)


def test_the_whole_photo_is_resized_and_normalised(photo):
    processor = DPIQAImageProcessor(
        size={"height": 64, "width": 96}, do_normalize=True, image_mean=[0.5] * 3, image_std=[0.25] * 3
    )
    pixels = processor(photo, return_tensors="pt").pixel_values
    expected = np.asarray(photo.resize((96, 64), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert pixels.shape == (1, 3, 64, 96)
    np.testing.assert_allclose(pixels[0], (expected / 255 - 0.5) / 0.25, atol=1e-5)


def test_every_kind_of_source_gives_the_same_pixels(tiny_processor, photo, save):
    path = save(photo, "photo.png")
    array = np.asarray(photo)
    data = path.read_bytes()
    images = [photo, str(path), path, data, array, torch.from_numpy(array.copy()).permute(2, 0, 1)]
    images += [{"bytes": data, "path": None}, {"bytes": None, "path": str(path)}]
    pixels = [tiny_processor(image, return_tensors="pt").pixel_values for image in images]
    assert all(torch.equal(pixels[0], other) for other in pixels[1:])


def test_a_grey_array_is_one_photo(tiny_processor, photo):
    grey = photo.convert("L")
    pixels = tiny_processor(np.asarray(grey), return_tensors="pt").pixel_values
    assert torch.equal(pixels, tiny_processor(grey, return_tensors="pt").pixel_values)


def test_numbers_in_a_row_are_no_photo_and_no_list_of_photos(tiny_processor):
    for wrong in (np.zeros(10, np.uint8), torch.zeros(10)):
        with pytest.raises(ValueError, match=r"one image of shape .* got \(10,\)"):
            tiny_processor(wrong)


def test_paths_as_numpy_gives_them(tiny_processor, photo, save):
    paths = np.array([str(save(photo, "photo.png"))] * 2)
    assert tiny_processor(paths[0]).pixel_values[0].shape == (3, 64, 64)
    assert len(tiny_processor(paths).pixel_values) == 2


def test_a_call_is_reading_and_normalising(tiny_processor, photos):
    read = [tiny_processor.read_photo(photo) for photo in photos]
    assert [(photo.pixels.dtype, photo.pixels.shape) for photo in read] == [(np.uint8, (64, 64, 3))] * 2
    assert [(photo.width, photo.height) for photo in read] == [photo.size for photo in photos]
    normalised = tiny_processor.normalise(np.stack([photo.pixels for photo in read]))
    np.testing.assert_array_equal(normalised, tiny_processor(photos, return_tensors="np").pixel_values)


def test_a_photo_is_opened_once(tiny_processor, save, photo, monkeypatch):
    opened = []
    monkeypatch.setattr(Image, "open", lambda *a, real=Image.open, **k: opened.append(a) or real(*a, **k))
    tiny_processor(save(photo, "photo.jpg"))
    assert len(opened) == 1


class TestSettingsOfACall:
    def test_they_go_before_the_processors_own(self, photo):
        settings = {"size": {"height": 48, "width": 96}, "resample": Image.Resampling.BICUBIC, "do_normalize": True}
        settings |= {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.1, 0.2, 0.3], "rescale_factor": 1 / 127.5}
        of_a_call = DPIQAImageProcessor()(photo, return_tensors="np", **settings).pixel_values
        own = DPIQAImageProcessor(**settings)(photo, return_tensors="np").pixel_values
        np.testing.assert_array_equal(of_a_call, own)
        expected = np.asarray(photo.resize((96, 48), Image.Resampling.BICUBIC)) / 127.5
        expected = (expected - settings["image_mean"]) / settings["image_std"]
        np.testing.assert_allclose(own[0], expected.transpose(2, 0, 1), atol=1e-5)

    def test_a_jpeg_is_decoded_at_the_scale_that_the_calls_size_needs(self, tiny_processor, photo):
        data = encoded(photo.resize((2560, 1708)))
        full = tiny_processor(Image.open(io.BytesIO(data)), size={"height": 1024, "width": 1024}).pixel_values
        np.testing.assert_array_equal(tiny_processor(data, size={"height": 1024, "width": 1024}).pixel_values, full)

    def test_without_resizing_every_pixel_stays(self, tiny_processor, photo):
        pixels = tiny_processor(encoded(photo, "PNG"), do_resize=False, return_tensors="np").pixel_values
        np.testing.assert_array_equal(pixels[0] * 255, np.asarray(photo).transpose(2, 0, 1))

    def test_without_rescaling_values_are_those_of_bytes(self, tiny_processor, photo):
        pixels = tiny_processor(photo, do_rescale=False, return_tensors="np").pixel_values
        np.testing.assert_array_equal(pixels[0], tiny_processor.read_photo(photo).pixels.transpose(2, 0, 1))

    def test_limits_of_the_door(self, tiny_processor, photo):
        with pytest.raises(ImageError, match="max_pixels"):
            tiny_processor(photo, max_pixels=1000)
        with pytest.raises(ImageError, match="not an image"):
            tiny_processor(encoded(photo, "PNG"), formats=["JPEG"])

    @pytest.mark.slow
    def test_the_limit_can_be_raised(self, tiny_processor):
        large = Image.new("L", (20_001, 10_000))
        assert tiny_processor(large, max_pixels=10**9, return_tensors="np").pixel_values.shape == (1, 3, 64, 64)

    def test_cropping_and_padding_are_refused(self, tiny_processor, photo):
        with pytest.raises(ValueError, match="scored whole"):
            tiny_processor(photo, do_center_crop=True, crop_size=32)

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"data_format": "channels_last"}, "channels first.*channels_last"),
            ({"input_data_format": "channels_first"}, "input_data_format"),
            ({"do_convert_rgb": False}, "RGB"),
            ({"device": "cuda"}, r"on the CPU.*\.to\(device\)"),
        ],
    )
    def test_what_it_does_not_do_is_refused(self, tiny_processor, photo, setting, message):
        with pytest.raises(ValueError, match=message):
            tiny_processor(photo, **setting)

    def test_what_it_does_anyway_is_taken(self, tiny_processor, photo):
        same = {"data_format": "channels_first", "do_convert_rgb": True, "device": "cpu"}
        np.testing.assert_array_equal(tiny_processor(photo, **same).pixel_values, tiny_processor(photo).pixel_values)

    def test_a_size_without_height_and_width_is_an_error(self, tiny_processor, photo):
        with pytest.raises(ValueError, match="height and width"):
            tiny_processor(photo, size={"shortest_edge": 64})


def test_other_pixels_than_bytes_are_not_normalised(tiny_processor):
    with pytest.raises(ValueError, match=r"Expected uint8 of shape .*float64 \(2, 2, 3\)"):
        tiny_processor.normalise(np.zeros((2, 2, 3)))


def test_many_photos_are_one_batch(tiny_processor, photos):
    expected = tiny_processor(photos, return_tensors="np").pixel_values
    assert expected.shape == (2, 3, 64, 64)
    array = np.stack(photos)
    tensor = torch.from_numpy(array).permute(0, 3, 1, 2)
    for many in (tuple(photos), (photo for photo in photos), array, tensor):
        np.testing.assert_array_equal(tiny_processor(many, return_tensors="np").pixel_values, expected)


def test_images_go_through_the_door(tiny_processor, photo):
    transparent = photo.convert("RGBA")
    transparent.putalpha(0)
    assert tiny_processor(transparent, return_tensors="pt").pixel_values.min() == 1
    with pytest.raises(ImageError, match="at least 32"):
        tiny_processor(photo.resize((16, 16)), return_tensors="pt")


def test_a_url_is_not_fetched(tiny_processor):
    with pytest.raises(ImageError, match="URLs are not opened here"):
        tiny_processor("https://example.org/photo.jpg")


def test_round_trip(tiny_processor, tiny_checkpoint, photo):
    for loaded in (
        DPIQAImageProcessor.from_pretrained(tiny_checkpoint),
        AutoImageProcessor.from_pretrained(tiny_checkpoint),
    ):
        assert type(loaded) is DPIQAImageProcessor
        assert torch.equal(
            loaded(photo, return_tensors="pt").pixel_values, tiny_processor(photo, return_tensors="pt").pixel_values
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"image_std": [0.47853944, 0.4732864, 0.47434163]},  # google/efficientnet-b0 .. -b7
        {"include_top": False},
        {"rescale_offset": True, "rescale_factor": 1 / 127.5},
        {"do_normalize": False},
    ],
)
def test_an_efficientnet_sees_what_its_own_processor_makes(settings, photo, tmp_path):
    theirs = EfficientNetImageProcessorPil(size={"height": 64, "width": 64}, **settings)
    theirs.save_pretrained(tmp_path)
    ours = DPIQAImageProcessor.from_efficientnet(tmp_path, image_size=64)
    square = photo.resize((64, 64))
    expected = theirs(square, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(ours(square, return_tensors="pt")["pixel_values"], expected, rtol=1e-4, atol=1e-5)
