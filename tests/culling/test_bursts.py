"""Bursts, and the best photo of each."""

import pytest
from PIL import Image

from dpiqa.culling.bursts import best_of_groups, burst_groups
from support.pictures import landscape


def test_photos_of_one_scene_are_a_burst(tmp_path):
    pytest.importorskip("imagehash")
    first, second = landscape(seed=1), landscape(seed=9)
    paths = [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    first.save(paths[0], quality=95)
    second.save(paths[1])
    first.resize((480, 320)).save(paths[2], quality=60)
    assert burst_groups(paths) == [0, 1, 0]


def test_photos_that_show_next_to_nothing_are_no_burst(tmp_path):
    pytest.importorskip("imagehash")
    paths = []
    for name, colour in (("dawn.png", "orange"), ("snow.png", "white")):
        photo = Image.new("RGB", (320, 240), colour)
        photo.putpixel((160, 120), (0, 0, 0))
        photo.save(tmp_path / name)
        paths.append(str(tmp_path / name))
    assert burst_groups(paths) == [0, 1]


def test_no_photos_are_no_bursts():
    pytest.importorskip("imagehash")
    assert burst_groups([]) == []


def test_the_best_of_a_group_has_the_highest_score():
    assert best_of_groups([0, 0, 1, 0], [0.2, 0.7, 0.1, 0.5]) == [False, True, True, False]


def test_among_equal_scores_the_first_is_best():
    assert best_of_groups([0, 0, 0], [0.5, 0.5, 0.4]) == [True, False, False]


def test_a_photo_without_a_score_is_never_best():
    assert best_of_groups([0, 0, 1], [None, 0.1, float("nan")]) == [False, True, False]


def test_every_photo_needs_a_score():
    with pytest.raises(ValueError, match="each of 2 photos, got 1"):
        best_of_groups([0, 0], [0.5])
