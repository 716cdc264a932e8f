import pytest

pytest.importorskip("imagehash")

from PIL import ImageEnhance

from dpiqa.culling.bursts import best_of_groups, burst_groups
from support.pictures import landscape


def test_photos_that_look_nearly_the_same_are_a_group(tmp_path):
    first, other = landscape(240, 160, seed=0), landscape(240, 160, seed=3)
    pictures = {
        "a.jpg": first,
        "other.png": other,
        "brighter.png": ImageEnhance.Brightness(first).enhance(1.1),
        "shifted.png": first.transform(first.size, 0, (1, 0, 2, 0, 1, 1)),
        "smaller.jpg": first.resize((120, 80)),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    groups = burst_groups([str(tmp_path / name) for name in [*pictures, "broken.jpg"]])
    assert groups[0] == groups[2] == groups[3] == groups[4]
    assert len({groups[0], groups[1], groups[5]}) == 3


def test_the_first_of_the_highest_scores_is_the_best():
    assert best_of_groups([5, 5, 2, 5], [0.1, 0.7, 0.2, 0.7]) == [False, True, True, False]
