from dpiqa.culling.ratings import stars
from dpiqa.culling.selection import RatedPhoto


def of_scores(*scores):
    return list(stars([RatedPhoto(f"{index}", score) for index, score in enumerate(scores)]).values())


def test_ten_photos_have_one_to_five_stars():
    assert of_scores(*range(10)) == [1, 2, 2, 3, 3, 3, 3, 4, 4, 5]


def test_a_single_photo_is_in_the_middle():
    assert of_scores(0.9) == [3]


def test_the_same_score_has_the_same_stars():
    assert len(set(of_scores(*[0.5] * 7))) == 1
