"""The picture of an explanation."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from dpiqa import Score
from dpiqa.explaining.attention import PromptAttention, WordAttention
from dpiqa.explaining.explanation import Explanation
from dpiqa.explaining.feature_pictures import principal_colours
from dpiqa.explaining.figure import draw_explanation, save_explanation
from dpiqa.explaining.sheet import percent


def words(*names: str) -> WordAttention:
    """The more attention, the later in the list; all of it at the left."""
    shares = np.arange(1, len(names) + 1, dtype=np.float32)
    maps = np.tile(shares[:, None, None] / shares.sum(), (1, 4, 4))
    return WordAttention(names, maps)


@pytest.fixture
def explanation():
    return Explanation(
        photo=Image.new("RGB", (90, 160), "grey"),
        score=Score(0.42, percentile=33.0),
        features=(np.random.default_rng(0).normal(size=(8, 4, 4)), np.random.default_rng(1).normal(size=(5, 8, 8))),
        attention=PromptAttention(
            words("bad", "fair", "perfect"), words("human", "night"), words("a", "b", "c", "d", "e", "f", "$g$ " * 20)
        ),
        num_prompts=42,
        student_score=Score(0.61, quality_map=np.array([[0.5, 0.7]], np.float32)),
        photo_name="holiday.jpg",
        teacher_name="runs/teacher",
    )


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def test_it_says_what_it_shows(explanation):
    said = texts(draw_explanation(explanation))
    for part in (
        "holiday.jpg",
        "The teacher is runs/teacher",
        "teacher: 0.42",
        "better than 33 %",
        "student: 0.61",
        "level 2",
        "42 prompts",
        "perfect",
        "scene words",
        "No colour is good or bad",
        "not why the score is high or low",
    ):
        assert part in said


def test_the_five_distortion_words_with_the_most_attention_are_shown(explanation):
    shown = [text.get_text() for text in draw_explanation(explanation).texts]
    assert [text for text in shown if len(text) == 1] == ["f", "e", "d", "c"]
    assert sum(text.startswith("$g$") and text.endswith("…") for text in shown) == 1


def test_long_names_are_cut_inside_and_odd_characters_drawn_as_such(explanation, tmp_path):
    odd = replace(explanation, photo_name=f"a\n\udcff{'写' * 99}.jpg", teacher_name=f"runs/{'a' * 200}/teacher")
    said = texts(draw_explanation(odd)).splitlines()
    assert any(text.startswith("a\ufffd\ufffd写") and text.endswith("写.jpg") and len(text) == 50 for text in said)
    assert any(text.startswith("The teacher is runs/a") and text.endswith("a/teacher") for text in said)
    save_explanation(odd, tmp_path / "explain.png")
    assert (tmp_path / "explain.png").stat().st_size > 10_000


def test_prompts_without_words_are_said_to_be_left_out(explanation):
    said = texts(draw_explanation(replace(explanation, attention=None)))
    assert "The attention to the 42 prompts is left out" in said
    assert "quality words" not in said


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"photo": Image.new("RGB", (160, 90)), "photo_name": "W" * 99, "teacher_name": "w" * 99},
        {"photo": Image.new("RGB", (1000, 50))},
        {"attention": None},
    ],
    ids=["portrait", "landscape", "panorama", "unknown words"],
)
def test_texts_stay_on_the_sheet_and_apart(explanation, change):
    figure = draw_explanation(replace(explanation, **change))
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.texts if text.get_text()]
    for said, box in boxes:
        assert figure.bbox.x0 <= box.x0, said
        assert box.x1 <= figure.bbox.x1, said
        assert figure.bbox.y0 <= box.y0, said
    for (said, box), (other, beside) in combinations(boxes, 2):
        assert not box.overlaps(beside), (said, other)


def test_places_with_similar_features_have_one_colour():
    features = np.zeros((6, 2, 4))
    features[:, :, :2] = np.arange(6)[:, None, None]
    colours, share = principal_colours(features)
    assert np.ptp(colours[:, :2], axis=(0, 1)).max() == 0
    assert np.ptp(colours[:, 2:], axis=(0, 1)).max() == 0
    assert np.abs(colours[0, 0] - colours[0, 3]).max() == 1
    assert share == pytest.approx(1)


@pytest.mark.parametrize("channels", [1, 8])
def test_features_that_are_the_same_everywhere_have_one_colour(channels):
    colours, share = principal_colours(np.full((channels, 3, 3), 0.1, np.float32))
    assert np.ptp(colours) == 0
    assert share == 0


def test_a_percentage_has_the_digits_that_say_something():
    assert [percent(value) for value in (0.25, -0.031, 0.0004)] == ["+25 %", "\N{MINUS SIGN}3.1 %", "+0.04 %"]
