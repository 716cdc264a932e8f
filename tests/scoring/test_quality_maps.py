import numpy as np
import pytest

from dpiqa.scoring.quality_maps import colour_map, colour_range, overlay


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
