import pytest
import torch

from dpiqa import PromptGrid
from dpiqa.models.prompts import encode_prompts, load_text_model
from support import teachers


class TestPromptGrid:
    def test_the_published_grid(self):
        prompts = list(PromptGrid())
        assert len(prompts) == len(PromptGrid()) == len(set(prompts)) == 1485
        assert prompts[0] == "a photo of a animal with jpeg2000 compression artifacts, which is of bad quality"
        assert prompts[-1] == "a photo of a others with other realistic artifacts, which is of perfect quality"

    def test_distortions_vary_fastest_then_scenes_then_qualities(self):
        grid = PromptGrid("{quality} {scene} {distortion}", ("a", "b"), ("x", "y"), ("bad", "good"))
        assert list(grid)[:5] == ["bad a x", "bad a y", "bad b x", "bad b y", "good a x"]

    def test_it_survives_a_config(self):
        assert list(PromptGrid(**PromptGrid().to_dict())) == list(PromptGrid())


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return load_text_model(teachers.save_clip(tmp_path_factory.mktemp("clip")))


def test_a_text_model_without_its_tokenizer_is_an_error(tmp_path):
    folder = teachers.save_clip(tmp_path / "clip")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"):
        (folder / name).unlink()
    with pytest.raises(OSError, match=r"clip has no tokenizer that can be read: expected a CLIP text model and its"):
        load_text_model(folder)


class TestEncodePrompts:
    def test_projected_features_are_not_normalised(self, text_model):
        tokenizer, model = text_model
        rows = encode_prompts(["good", "a bad one"], tokenizer, model)
        alone = model(**tokenizer(["a bad one"], return_tensors="pt")).text_embeds[0].detach()
        torch.testing.assert_close(rows[1], alone, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(rows.norm(dim=1), torch.ones(2), atol=0.01)

    def test_pooled_features_are_what_gets_projected(self, text_model):
        tokenizer, model = text_model
        pooled = encode_prompts(["good"], tokenizer, model, text_features="pooled")
        projected = encode_prompts(["good"], tokenizer, model)
        torch.testing.assert_close(model.text_projection(pooled).detach(), projected, rtol=1e-4, atol=1e-5)

    def test_batches_do_not_matter(self, text_model):
        prompts = ["sharp", "a much longer sentence", "x"]
        for text_features in ("projected", "tokens"):
            together = encode_prompts(prompts, *text_model, text_features=text_features)
            alone = encode_prompts(prompts, *text_model, text_features=text_features, batch_size=1)
            torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)

    def test_bad_arguments_are_errors(self, text_model):
        with pytest.raises(ValueError, match="'raw'"):
            encode_prompts(["a"], *text_model, text_features="raw")
        with pytest.raises(ValueError, match="no prompt"):
            encode_prompts([], *text_model)
        with pytest.raises(TypeError, match=r"got one string: write \['sharp'\]"):
            encode_prompts("sharp", *text_model)
