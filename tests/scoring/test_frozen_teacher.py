"""The teacher frozen for inference: same scores, constants gone."""

import copy

import numpy as np
import pytest
import torch
from PIL import ImageFilter
from scipy.stats import spearmanr

from dpiqa import DPIQAImageProcessor, DPIQAModel, Scorer, freeze_for_inference
from dpiqa.scoring.frozen_teacher import _blocked_attention, inference_dtype
from dpiqa.training.lora import add_lora
from support import teachers

pytestmark = pytest.mark.slow  # every test builds teachers


@pytest.fixture(scope="module", params=["AutoencoderKL", "AutoencoderTiny"])
def _teacher(request):
    autoencoder = teachers.AUTOENCODER if request.param == "AutoencoderKL" else teachers.TINY_AUTOENCODER
    return teachers.teacher(autoencoder_type=request.param, autoencoder_config=autoencoder)


@pytest.fixture
def teacher(_teacher):
    return copy.deepcopy(_teacher)


def photo_crops(photos, count: int, seed: int, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Blurred crops of real photographs, (count, 3, size, size) in [0, 1], and how sharp they are, from 0 to 1."""
    generator = np.random.default_rng(seed)
    crops, sharpness = [], generator.uniform(0, 1, count)
    for index in range(count):
        photo = photos[index % 2]
        side = int(generator.integers(64, 400))
        left, top = (int(generator.integers(0, length - side)) for length in photo.size)
        crop = photo.crop((left, top, left + side, top + side)).resize((size, size))
        crop = crop.filter(ImageFilter.GaussianBlur(float(size / 16 * (1 - sharpness[index]))))
        crops.append(torch.from_numpy(np.asarray(crop) / np.float32(255)).permute(2, 0, 1))
    return torch.stack(crops), torch.from_numpy(sharpness).float()


@pytest.fixture
def pixels(photos):
    return photo_crops(photos, 64, seed=0)[0]


def score(model, pixels):
    with torch.no_grad():
        return model(pixels.to(model.unet.dtype)).score


def test_scores_are_the_same(teacher, pixels):
    frozen = freeze_for_inference(teacher, dtype=torch.float32)
    torch.testing.assert_close(score(frozen, pixels), score(teacher, pixels), rtol=1e-4, atol=1e-6)


def test_a_unet_that_activates_its_time_embedding(pixels):
    teacher = teachers.teacher(unet_config=teachers.UNET | {"time_embedding_act_fn": "silu"})
    frozen = freeze_for_inference(teacher, dtype=torch.float32)
    torch.testing.assert_close(score(frozen, pixels), score(teacher, pixels), rtol=1e-4, atol=1e-6)


def test_low_rank_updates_must_be_merged_before(teacher, pixels):
    pytest.importorskip("peft")
    adapted = add_lora(teacher, rank=2)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_()
    for model in (adapted, teacher):
        with pytest.raises(ValueError, match=r"not merged.*merge_and_unload"):
            freeze_for_inference(model)
    expected = score(teacher, pixels)
    frozen = freeze_for_inference(adapted.merge_and_unload(), dtype=torch.float32)
    torch.testing.assert_close(score(frozen, pixels), expected, rtol=1e-3, atol=1e-5)


def test_bfloat16_ranks_photos_as_float32_does(photos):
    torch.manual_seed(0)
    teacher = teachers.teacher()
    optimizer = torch.optim.Adam(teacher.parameters(), lr=2e-3)
    for step in range(100):
        crops, sharpness = photo_crops(photos, 16, seed=1 + step, size=32)
        optimizer.zero_grad()
        teacher.train()(crops, labels=sharpness).loss.backward()
        optimizer.step()
    # Among 64 crops, two or three that change places already cost 0.001.
    crops, _ = photo_crops(photos, 256, seed=0, size=32)
    expected = score(teacher.eval(), crops)
    assert expected.std() > 0.04
    scores = score(freeze_for_inference(teacher, dtype=torch.bfloat16), crops)
    print(f"largest deviation of bfloat16: {(scores - expected).abs().max():.4f}")  # shown by pytest -rP
    assert spearmanr(scores, expected).statistic >= 0.999
    assert (scores - expected).abs().max() < 0.02


def test_the_model_itself_is_left_as_it_is(teacher, pixels):
    before, weights = score(teacher, pixels), copy.deepcopy(teacher.state_dict())
    freeze_for_inference(teacher, dtype=torch.bfloat16)
    assert torch.equal(score(teacher, pixels), before)
    assert all(torch.equal(value, weights[key]) for key, value in teacher.state_dict().items())
    assert teacher.unet.conv_in.weight.requires_grad


def test_weights_that_need_no_change_are_shared(teacher):
    teacher.to(memory_format=torch.channels_last)
    frozen = freeze_for_inference(teacher, dtype=torch.float32)
    assert frozen.unet.conv_in.weight.data_ptr() == teacher.unet.conv_in.weight.data_ptr()


def test_what_is_dead_is_dropped(teacher):
    names = freeze_for_inference(teacher, dtype=torch.float32).state_dict()
    dead = ("time_embedding", "time_emb_proj", "attn2.to_k", "attn2.to_v", "prompt_embeddings", "gamma", "fc1.bias")
    assert not [name for name in names if any(part in name for part in dead)]


def test_timestep_and_prompts_are_those_of_the_model(teacher, pixels):
    teacher.config.timestep = 500
    teacher.set_prompt_embeddings(torch.randn(10, 24))
    frozen = freeze_for_inference(teacher, dtype=torch.float32)
    torch.testing.assert_close(score(frozen, pixels), score(teacher, pixels), rtol=1e-4, atol=1e-6)


def test_it_compiles_without_graph_breaks(teacher, pixels):
    frozen = freeze_for_inference(teacher, dtype=torch.float32)
    compiled = torch.compile(frozen, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(score(compiled, pixels[:2]), score(frozen, pixels[:2]))


def test_it_can_neither_be_saved_nor_trained_nor_frozen_again(teacher, tmp_path):
    frozen = freeze_for_inference(teacher)
    for action in (lambda: frozen.save_pretrained(tmp_path), frozen.train, lambda: freeze_for_inference(frozen)):
        with pytest.raises(ValueError, match="frozen for inference"):
            action()


def test_an_offloaded_model_is_an_error(teacher):
    with pytest.raises(ValueError, match="without device_map"):
        freeze_for_inference(teacher.to("meta"))


def test_a_cpu_takes_bfloat16_where_it_is_native(monkeypatch):
    for native, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda native=native: {"avx512_bf16": native})
        assert inference_dtype(torch.device("cpu")) == dtype


@pytest.mark.parametrize(("queries", "keys", "size"), [(600, 300, 40), (7, 5, 16)])
def test_attention_in_blocks_is_attention(queries, keys, size):
    query, key, value = (torch.randn(2, 3, n, size).bfloat16() for n in (queries, keys, keys))
    expected = torch.nn.functional.scaled_dot_product_attention(query.float(), key.float(), value.float())
    torch.testing.assert_close(_blocked_attention(query, key, value).float(), expected, rtol=0.05, atol=0.02)


class TestScorer:
    @pytest.fixture
    def folder(self, teacher, tmp_path):
        teacher.save_pretrained(tmp_path)
        DPIQAImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
        return tmp_path

    def test_it_freezes_the_teacher(self, folder, photo):
        scorer = Scorer.from_pretrained(folder, dtype="float32")
        assert scorer.model.is_folded
        processor = DPIQAImageProcessor.from_pretrained(folder)
        expected = score(DPIQAModel.from_pretrained(folder), processor(photo, return_tensors="pt").pixel_values)
        assert scorer(photo).score == pytest.approx(expected.item(), rel=1e-4)

    def test_several_photos(self, folder, photos):
        scores = Scorer.from_pretrained(folder)([*photos, b"not a photo"])
        assert all(np.isfinite(result.score) for result in scores[:2])
        assert scores[2].error

    def test_a_teacher_has_no_quality_map(self, folder, photo):
        assert Scorer.from_pretrained(folder)(photo, return_map=True).quality_map is None
