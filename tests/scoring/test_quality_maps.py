import numpy as np
import pytest
from PIL import Image, ImageColor

from dpiqa.scoring.colours import BAD, GOOD
from dpiqa.scoring.map_pictures import map_picture
from dpiqa.scoring.quality_maps import colour_map, colour_range, overlay, own_range


def test_bad_is_purple_and_good_is_green():
    picture = np.asarray(colour_map(np.array([[0.2, 0.8]]), (200, 100), (0.2, 0.8)), dtype=int)
    bad, good = picture[50, 5], picture[50, 195]
    assert bad[0] > bad[1] + 60
    assert bad[2] > bad[1] + 30
    assert good[1] > good[0] + 40


def test_the_scale_is_the_same_for_every_photo():
    low = np.asarray(colour_map(np.array([[0.3]]), (10, 10), (0.0, 1.0)))
    high = np.asarray(colour_map(np.array([[0.6]]), (10, 10), (0.0, 1.0)))
    assert not np.array_equal(low, high)


def test_values_beyond_the_scale_take_the_end_colours():
    ends = np.asarray(colour_map(np.array([[0.0]]), (10, 10), (0.0, 1.0)))
    assert np.array_equal(ends, np.asarray(colour_map(np.array([[-5.0]]), (10, 10), (0.0, 1.0))))


def test_an_overlay_has_the_size_of_the_photo(photo):
    picture = overlay(photo, np.array([[0.2, 0.8], [0.5, 0.5]]), (0.0, 1.0))
    assert picture.size == photo.size
    assert picture.mode == "RGB"


@pytest.mark.parametrize(
    ("quantiles", "expected"),
    [(None, (0.0, 1.0)), ([0.2, 0.5, 0.9], (0.2, 0.9)), ([0.5, 0.5, 0.5], (0.0, 1.0))],
    ids=["no calibration", "calibrated", "one score for all"],
)
def test_the_scale_follows_the_calibration(quantiles, expected):
    assert colour_range(quantiles) == expected


def test_limits_without_a_distance_are_an_error():
    with pytest.raises(ValueError, match=r"low < high, got \(0\.5, 0\.5\)"):
        colour_map(np.array([[0.5]]), (10, 10), (0.5, 0.5))


def test_a_map_has_a_range_of_its_own():
    assert own_range(np.array([[0.3, 0.7], [0.4, 0.5]])) == (0.3, 0.7)
    low, high = own_range(np.full((2, 2), 0.5))
    assert low < 0.5 < high


def test_the_picture_shows_the_map_on_both_scales_above_their_legends():
    photo = Image.new("RGB", (640, 480), "grey")
    quality_map = np.array([[0.45, 0.55]])  # middling among all photos
    picture = np.asarray(map_picture(photo, quality_map, (0.0, 1.0)), dtype=int)
    left, right = picture[:480, :640], picture[:480, -640:]
    assert np.ptp(left, axis=1).max() < np.ptp(right, axis=1).max() / 2
    legend = picture[480:]
    for half in (legend[:, :640], legend[:, -640:]):
        assert {ImageColor.getrgb(colour) for colour in (BAD, GOOD)} <= {tuple(pixel) for pixel in half.reshape(-1, 3)}


def test_a_narrow_photo_has_room_for_its_legend():
    picture = map_picture(Image.new("RGB", (40, 480)), np.array([[0.2]]), (0.0, 1.0))
    assert picture.width > 600
