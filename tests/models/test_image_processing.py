import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor

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


def test_paths_arrays_and_tensors_give_the_same_pixels(tiny_processor, photo, save):
    array = np.asarray(photo)
    images = [photo, str(save(photo, "photo.png")), array, torch.from_numpy(array.copy()).permute(2, 0, 1)]
    pixels = [tiny_processor(image, return_tensors="pt").pixel_values for image in images]
    assert all(torch.equal(pixels[0], other) for other in pixels[1:])


def test_a_list_is_one_batch(tiny_processor, photos):
    assert tiny_processor(photos, return_tensors="pt").pixel_values.shape == (2, 3, 64, 64)


def test_images_go_through_the_door(tiny_processor, photo):
    transparent = photo.convert("RGBA")
    transparent.putalpha(0)
    assert tiny_processor(transparent, return_tensors="pt").pixel_values.min() == 1
    with pytest.raises(ImageError, match="at least 32"):
        tiny_processor(photo.resize((16, 16)), return_tensors="pt")


def test_a_url_is_not_fetched(tiny_processor):
    with pytest.raises(FileNotFoundError):
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


def test_bytes_of_a_file_are_not_an_image_for_the_processor_but_for_the_door(tiny_processor, photo):
    with pytest.raises((TypeError, ValueError)):
        tiny_processor(encoded(photo))
