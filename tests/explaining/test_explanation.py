"""What an explanation of a photo holds."""

import numpy as np
import pytest
import torch

from dpiqa import DPIQAImageProcessor, DPIQAStudent, ImageError, Scorer
from dpiqa.explaining.explanation import explain_photo
from support import teachers
from support.tiny_students import tiny_config


@pytest.fixture(scope="module")
def teacher():
    return teachers.scorer(teachers.teacher_of_words())


@pytest.fixture
def explain(photo, tiny_scorer):
    def explain(teacher, student=tiny_scorer):
        return explain_photo(photo, teacher, student)

    return explain


def num_hooks(scorer) -> int:
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in scorer.model.modules())


def test_the_scores_are_those_of_the_scorers(explain, teacher, tiny_scorer, photo):
    explanation = explain(teacher)
    assert explanation.score == teacher(photo)
    assert explanation.student_score.score == tiny_scorer(photo).score
    assert explanation.student_score.quality_map.shape == (2, 2)


def test_photo_and_teacher_have_their_names(teacher, tiny_scorer, photo, save):
    explanation = explain_photo(save(photo, "photo.png"), teacher, tiny_scorer)
    assert (explanation.photo_name, explanation.teacher_name) == ("photo.png", "memory")


def test_nothing_stays_in_the_teacher(explain, teacher, tiny_scorer):
    before = num_hooks(teacher)
    explain(teacher)
    with pytest.raises(ImageError):
        explain_photo(b"no photo", teacher, tiny_scorer)
    assert num_hooks(teacher) == before


def test_features_are_the_outputs_of_the_up_blocks(explain, teacher, photo):
    explanation = explain(teacher)
    model = teachers.teacher_of_words()
    processor = DPIQAImageProcessor(size={"height": 64, "width": 64})
    with torch.no_grad():
        expected = model(**processor(photo, return_tensors="pt"), output_hidden_states=True).hidden_states
    assert [features.shape for features in explanation.features] == [(32, 32, 32), (16, 32, 32)]
    for found, block in zip(explanation.features, expected, strict=True):
        np.testing.assert_allclose(found, block[0].numpy(), rtol=1e-3, atol=1e-4)


def test_the_shares_of_a_place_sum_to_one(explain, teacher):
    attention = explain(teacher).attention
    assert attention.qualities.words == ("bad", "good")
    assert attention.distortions.words == teachers.GRID.distortions
    for one in (attention.qualities, attention.scenes, attention.distortions):
        np.testing.assert_allclose(one.maps.sum(0), 1, rtol=1e-5)
        assert np.abs(one.relative_maps).max() > 0.01


def test_maps_follow_the_order_of_the_prompts(explain, teacher):
    turned = teachers.teacher_of_words()
    turned.set_prompt_embeddings(turned.text_adapter.prompt_embeddings.flip(0))
    before, after = explain(teacher).attention, explain(teachers.scorer(turned)).attention
    for name in ("qualities", "scenes", "distortions"):
        np.testing.assert_allclose(getattr(after, name).maps[::-1], getattr(before, name).maps, rtol=1e-4)


def test_maps_have_the_shape_of_the_teachers_input(explain):
    explanation = explain(teachers.scorer(teachers.teacher_of_words(), height=64, width=32))
    assert explanation.attention.qualities.maps.shape == (2, 32, 16)


@pytest.mark.parametrize(
    "grid",
    [None, teachers.GRID.to_dict() | {"scenes": ["human"]}, {"colours": ["red"]}, {"scenes": 5}],
    ids=["none", "of another number", "of unknown fields", "of no words"],
)
def test_without_the_words_there_is_no_attention_to_them(explain, grid):
    explanation = explain(teachers.scorer(teachers.teacher_of_words(prompt_grid=grid)))
    assert explanation.attention is None
    assert explanation.num_prompts == 24


def test_a_student_in_place_of_the_teacher_is_an_error(explain, tiny_scorer):
    with pytest.raises(ValueError, match=r"is a student: expected a teacher.*dpiqa score --maps"):
        explain(tiny_scorer)


def test_a_student_without_a_quality_map_is_an_error(explain, teacher, tiny_processor):
    spatial = DPIQAStudent(tiny_config(head="spatial", feature_size=8))
    for student in (teacher, Scorer(spatial, tiny_processor)):
        with pytest.raises(ValueError, match="has no quality map: expected a student with the pooled head"):
            explain(teacher, student)
