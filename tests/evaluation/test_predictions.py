"""Scores of other tools: how their files are read, and which photo each score belongs to."""

import math

import pytest

from dpiqa.evaluation.predictions import match_predictions, read_predictions


def test_columns_path_and_score_are_read(tmp_path):
    (tmp_path / "peer.csv").write_text("path,score,error\na.jpg,0.5,\nb.jpg,,damaged\n")
    scores = read_predictions(tmp_path / "peer.csv")
    assert scores["a.jpg"] == 0.5
    assert math.isnan(scores["b.jpg"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected columns path and score, found none"),
        (b"path,score\na.jpg\n", "line 2 lacks a photo or a score"),
        (b"path,score\n,1\n", "line 2 lacks a photo or a score"),
        (b"path,score\na.jpg,good\n", "good"),
        (b"path,score\na.jpg,1\na.jpg,2\n", "a.jpg has two scores"),
        (b"path,score\n\xff\xfe,1\n", "UTF-8"),
        (b'path,score\n"' + b"x" * 200_000 + b'",1\n', "field larger than"),
    ],
)
def test_what_is_no_such_table_is_a_value_error_that_names_the_file(tmp_path, content, message):
    (tmp_path / "peer.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_predictions(tmp_path / "peer.csv")
    assert str(tmp_path / "peer.csv") in str(raised.value)


# LIVEFB has files of the same name in two folders.
LIVEFB = {"blur/1.jpg": "/data/blur/1.jpg", "voc/1.jpg": "/data/voc/1.jpg"}


@pytest.mark.parametrize("names", [list(LIVEFB), list(LIVEFB.values())], ids=["by name", "by path"])
def test_photos_of_one_file_name_are_told_apart(names):
    given = dict(zip(names, (0.1, 0.9), strict=True))
    assert match_predictions(given, LIVEFB, "peer.csv") == {"blur/1.jpg": 0.1, "voc/1.jpg": 0.9}


@pytest.mark.parametrize("given", [{"1.jpg": 0.5}, {"a/1.jpg": 0.1, "b/1.jpg": 0.9}])
def test_a_file_name_that_several_photos_have_is_an_error(given):
    with pytest.raises(ValueError, match=r"file name does not tell 2 of 2 photos from others, such as blur/1.jpg"):
        match_predictions(given, LIVEFB, "peer.csv")


def test_a_score_that_could_belong_to_two_lines_is_an_error():
    with pytest.raises(ValueError, match="does not tell 1 of 1 photo from others"):
        match_predictions({"a/1.jpg": 0.1, "b/1.jpg": 0.9}, {"1.png": "/data/1.jpg"}, "peer.csv")


def test_a_unique_file_name_is_enough():
    assert match_predictions({"some/where/1.jpg": 0.5}, {"x/1.jpg": "/data/x/1.jpg"}, "peer.csv") == {"x/1.jpg": 0.5}


def test_predictions_of_other_photos_match_nothing():
    assert match_predictions({"other.jpg": 0.5}, LIVEFB, "peer.csv") == {}


def test_photos_without_a_score_are_an_error():
    with pytest.raises(ValueError, match=r"no score for 1 of 2 photos, such as voc/1.jpg"):
        match_predictions({"blur/1.jpg": 0.5}, LIVEFB, "peer.csv")
