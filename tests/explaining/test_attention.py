import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch.nn import functional as F

from dpiqa import PromptGrid, freeze_for_inference
from dpiqa.explaining.attention import PromptAttention, WordAttention, attention_weights, mean_attention
from support import teachers


def test_weights_are_those_of_pytorchs_attention():
    teacher = freeze_for_inference(teachers.teacher_of_words(), dtype=torch.float32)
    module = next(m for m in teacher.unet.modules() if isinstance(m, Attention) and m.is_cross_attention)
    tokens = torch.randn(1, 12, module.to_q.in_features)
    with torch.no_grad():
        weights = attention_weights(module, tokens)
        query = module.to_q(tokens).unflatten(-1, (module.heads, -1)).transpose(1, 2)
        key = module.folded_key[None]
        # What attention makes of the unit vectors are its weights.
        expected = F.scaled_dot_product_attention(query, key, torch.eye(24).expand(1, module.heads, 24, 24))
    torch.testing.assert_close(weights, expected[0].mean(0).T)


def test_the_mean_over_layers_is_as_fine_as_the_finest():
    coarse, fine = torch.full((2, 1, 2), 0.2), torch.full((2, 4, 8), 0.4)
    assert torch.allclose(mean_attention([coarse, fine]), torch.full((2, 4, 8), 0.3))


def test_attention_is_added_up_along_the_axes_of_the_grid():
    grid = PromptGrid(
        template="{quality} {scene} {distortion}", qualities="bg", scenes="hn", distortions=("blur", "jpeg", "dark")
    )
    attention = torch.zeros(12, 1, 1)
    attention[list(grid).index("g h jpeg")] = 0.75
    attention[list(grid).index("g n dark")] = 0.25
    summed = PromptAttention.by_word(attention, grid)
    assert summed.qualities.maps[:, 0, 0].tolist() == [0, 1]
    assert summed.scenes.maps[:, 0, 0].tolist() == [0.75, 0.25]
    assert summed.distortions.maps[:, 0, 0].tolist() == [0, 0.75, 0.25]
    assert summed.distortions.words == ("blur", "jpeg", "dark")


def test_emphasis_is_beside_an_equal_share_and_maps_beside_the_whole_photo():
    attention = WordAttention(("bad", "good"), np.array([[[0.2, 0.6]], [[0.8, 0.4]]], np.float32))
    assert attention.emphasis == pytest.approx([-0.2, 0.2])
    assert attention.relative_maps[:, 0] == pytest.approx(np.array([[-0.5, 0.5], [1 / 3, -1 / 3]]))


def test_a_word_without_any_attention_has_an_even_map():
    attention = WordAttention(("bad", "good"), np.array([[[0.0, 0.0]], [[1.0, 1.0]]], np.float32))
    assert np.isfinite(attention.relative_maps).all()
