"""The teacher, on tiny Stable Diffusions of random weights."""

import copy
import json
import math
import shutil

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load_file, save_file
from transformers import AutoModel, Trainer, TrainingArguments

from dpiqa import DPIQAConfig, DPIQAModel
from support import teachers


@pytest.fixture(scope="module")
def _teacher():
    return teachers.teacher()


@pytest.fixture
def teacher(_teacher):
    return copy.deepcopy(_teacher)


@pytest.fixture
def checkpoint(tmp_path, teacher):
    teacher.save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.fixture
def pixels():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def score(model, pixels):
    with torch.no_grad():
        return model.eval()(pixels.to(model.dtype)).score


class TestConfig:
    def test_without_arguments_it_is_the_published_teacher(self):
        with torch.device("meta"):
            model = DPIQAModel(DPIQAConfig())
        parts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
        # METHOD.md's counts, less what a score does not need: the autoencoder's decoder, the UNet's output convolution
        # and two unused layers of the published decoder.
        assert parts["autoencoder"] == 83_653_863 - 49_490_199
        assert parts["unet"] == 859_520_964 - 12_164
        assert parts["text_adapter"] == 1_181_184 + 768
        assert parts["image_adapter"] == 77_369_280
        assert parts["decoder"] == 42_948_033 - 13_336
        assert model.text_adapter.prompt_embeddings.shape == (1485, 768)

    def test_stable_diffusion_2_has_other_widths(self):
        unet = DPIQAConfig().unet_config | {
            "cross_attention_dim": 1024,
            "attention_head_dim": [5, 10, 20, 20],
            "use_linear_projection": True,
        }
        with torch.device("meta"):
            model = DPIQAModel(DPIQAConfig(unet_config=unet, num_prompts=3))
            assert model.eval()(torch.zeros(1, 3, 512, 512)).feature_map.shape == (1, 8, 64, 64)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"num_prompts": 0}, "num_prompts >= 1"),
            ({"pixel_range": "byte"}, "pixel_range"),
            ({"unet_config": {"cross_attention_dim": 24}}, "block_out_channels"),
            ({"unet_config": teachers.UNET | {"addition_embed_type": "text_time"}}, "Stable Diffusion XL"),
            (
                {"unet_config": teachers.UNET | {"norm_num_groups": 7}},
                r"in unet_config must divide .* \[16, 32\] .* got 7",
            ),
            ({"unet_config": teachers.UNET | {"norm_num_groups": "8"}}, "norm_num_groups in unet_config"),
            ({"unet_config": teachers.UNET | {"norm_num_groups": 0}}, "norm_num_groups in unet_config"),
            (
                {"autoencoder_config": teachers.AUTOENCODER | {"norm_num_groups": 7}},
                "in autoencoder_config must divide",
            ),
            ({"image_adapter_config": {"channels": [8, 16], "downscale_factor": 2}}, r"UNet's channels \[16, 32\]"),
            ({"image_adapter_config": {"channels": [16, 32], "downscale_factor": 8}}, "autoencoder's factor 2"),
            (
                {"unet_config": teachers.UNET | {"down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"]}},
                "Only the UNet's last down block",
            ),
        ],
    )
    def test_what_cannot_work_is_an_error(self, fields, message):
        with pytest.raises(StrictDataclassError, match=message):
            teachers.config(**fields)

    def test_parts_with_different_latents_are_an_error(self):
        with pytest.raises(ValueError, match="4 latent channels do not fit the UNet's 8 input channels"):
            DPIQAModel(teachers.config(unet_config=teachers.UNET | {"in_channels": 8}))

    def test_it_survives_json(self, tmp_path):
        config = teachers.config(prompt_grid={"template": "{scene}"}, score_range=(1.0, 5.0))
        config.save_pretrained(tmp_path)
        loaded = DPIQAConfig.from_pretrained(tmp_path)
        assert (loaded.unet_config, loaded.image_adapter_config) == (config.unet_config, config.image_adapter_config)
        assert tuple(loaded.score_range) == (1.0, 5.0)


class TestForward:
    @pytest.mark.parametrize("kind", ["AutoencoderKL", "AutoencoderTiny"])
    def test_golden_output(self, kind):
        golden = json.loads(teachers.GOLDEN.read_text())[kind]
        for name, value in teachers.golden_output(kind).items():
            torch.testing.assert_close(torch.tensor(value), torch.tensor(golden[name]), rtol=1e-3, atol=1e-5)

    def test_shapes(self, teacher, pixels):
        output = teacher(pixels, labels=torch.tensor([0.2, 0.8]), output_hidden_states=True)
        assert output.score.shape == (2,)
        assert output.feature_map.shape == (2, 8, 16, 16)
        assert [tuple(state.shape) for state in output.hidden_states] == [(2, 32, 32, 32), (2, 16, 32, 32)]
        assert output.loss.item() == pytest.approx(((output.score - torch.tensor([0.2, 0.8])) ** 2).mean().item())

    def test_a_score_does_not_depend_on_the_batch_nor_on_the_day(self, teacher, pixels):
        torch.testing.assert_close(score(teacher, pixels)[:1], score(teacher, pixels[:1]))
        assert torch.equal(score(teacher, pixels), score(teacher, pixels))

    @pytest.mark.parametrize("size", [(32, 32), (96, 64), (128, 128), (66, 70)])
    def test_other_sizes(self, teacher, size):
        assert score(teacher, torch.rand(1, 3, *size)).isfinite().all()

    @pytest.mark.parametrize(
        ("shape", "message"),
        [
            ((1, 3, 65, 64), "multiples of 2 pixels, got 65x64"),
            ((1, 1, 64, 64), r"\(batch, 3, height, width\), got \(1, 1, 64, 64\)"),
            ((3, 64, 64), r"got \(3, 64, 64\)"),
        ],
    )
    def test_sizes_that_cannot_work_are_an_error(self, teacher, shape, message):
        with pytest.raises(ValueError, match=message):
            teacher(torch.zeros(shape))

    def test_the_prompts_matter(self, teacher, pixels):
        before = score(teacher, pixels)
        teacher.set_prompt_embeddings(torch.randn(10, 24))
        assert not torch.allclose(before, score(teacher, pixels), atol=1e-6)

    def test_the_image_adapter_matters(self, teacher, pixels):
        before = score(teacher, pixels)
        teacher.image_adapter.adapter.conv_in.weight.data.zero_()
        assert not torch.allclose(before, score(teacher, pixels), atol=1e-6)

    def test_the_autoencoder_sees_the_pixel_range_of_the_config(self, teacher, pixels):
        unit = teacher.encode(pixels)
        teacher.config.pixel_range = "symmetric"
        torch.testing.assert_close(teacher.encode((pixels + 1) / 2), unit)

    def test_kept_latents_may_be_of_another_type_than_the_weights(self, teacher, pixels):
        latents = teacher.encode(pixels)
        expected = score(teacher, pixels)
        with torch.no_grad():
            found = teacher.bfloat16()(pixels, latents=latents).score
        torch.testing.assert_close(found, expected, rtol=0, atol=0.02)

    def test_latents_are_sampled_in_training_only(self, teacher, pixels):
        teacher.config.latent_sampling = "sample"
        assert torch.equal(teacher.encode(pixels), teacher.encode(pixels))
        teacher.train()
        assert not torch.equal(teacher.encode(pixels), teacher.encode(pixels))

    def test_resizing_after_the_convolution_is_resizing_before_it(self, teacher):
        conv, feature = teacher.decoder.convs[0], torch.randn(2, 16, 5, 7)
        resized = torch.nn.functional.interpolate(feature, size=(16, 16), mode="bicubic", align_corners=False)
        torch.testing.assert_close(conv(feature), conv(resized), rtol=1e-4, atol=1e-5)

    def test_prompt_embeddings_of_another_shape_are_an_error(self, teacher):
        with pytest.raises(ValueError, match=r"\(10, 24\), got \(3, 24\)"):
            teacher.set_prompt_embeddings(torch.zeros(3, 24))

    def test_prompt_embeddings_that_are_not_finite_are_an_error(self, teacher):
        embeddings = torch.zeros(10, 24)
        embeddings[3, 5] = torch.nan
        with pytest.raises(ValueError, match="NaN or infinity in 1 of 10 rows"):
            teacher.set_prompt_embeddings(embeddings)


class TestTraining:
    def test_everything_but_the_autoencoder_and_the_embeddings_gets_a_gradient(self, teacher, pixels):
        teacher.train()(pixels, labels=torch.tensor([0.2, 0.8])).loss.backward()
        without = {name for name, parameter in teacher.named_parameters() if parameter.grad is None}
        assert without == {name for name, _ in teacher.named_parameters() if name.startswith("autoencoder.")}
        assert not teacher.text_adapter.prompt_embeddings.requires_grad

    def test_train_leaves_the_autoencoder_in_eval_mode(self, teacher):
        teacher.train()
        assert teacher.unet.training
        assert not teacher.autoencoder.training

    def test_gradient_checkpointing_gives_the_same_gradients(self, teacher, pixels):
        def gradients(model):
            model.train()(pixels, labels=torch.tensor([0.2, 0.8])).loss.backward()
            return {name: parameter.grad for name, parameter in model.named_parameters()}

        other = copy.deepcopy(teacher)
        other.activation_checkpointing_enable()
        assert any(getattr(module, "gradient_checkpointing", False) for module in other.modules())
        torch.testing.assert_close(gradients(other), gradients(teacher))

    def test_accumulating_four_batches_is_one_large_batch(self, teacher, tmp_path):
        generator = torch.Generator().manual_seed(0)
        photos = torch.rand(8, 3, 32, 32, generator=generator)
        data = [{"pixel_values": photo, "labels": torch.tensor(i / 8)} for i, photo in enumerate(photos)]

        def trained(batch_size, accumulation):
            arguments = TrainingArguments(
                tmp_path,
                per_device_train_batch_size=batch_size,
                gradient_accumulation_steps=accumulation,
                max_steps=1,
                learning_rate=0.1,
                optim="sgd",
                max_grad_norm=0,
                report_to=[],
                save_strategy="no",
                use_cpu=True,
                disable_tqdm=True,
                dataloader_pin_memory=False,
            )
            model = copy.deepcopy(teacher)
            Trainer(model, arguments, train_dataset=data).train()
            return model.state_dict()

        torch.testing.assert_close(trained(2, 4), trained(8, 1), rtol=1e-3, atol=1e-5)


class TestSavingAndLoading:
    def test_a_checkpoint_gives_the_same_scores(self, teacher, checkpoint, pixels):
        torch.testing.assert_close(score(DPIQAModel.from_pretrained(checkpoint), pixels), score(teacher, pixels))

    def test_auto_model_knows_it(self, checkpoint):
        assert isinstance(AutoModel.from_pretrained(checkpoint), DPIQAModel)

    def test_shards_give_the_same_scores(self, teacher, tmp_path, pixels):
        teacher.save_pretrained(tmp_path, max_shard_size="200KB")
        assert len(list(tmp_path.glob("*.safetensors"))) > 2
        torch.testing.assert_close(score(DPIQAModel.from_pretrained(tmp_path), pixels), score(teacher, pixels))

    def test_the_autoencoder_is_frozen_after_loading(self, checkpoint):
        model, info = DPIQAModel.from_pretrained(checkpoint, output_loading_info=True)
        assert not info["missing_keys"]
        for loaded in (model, DPIQAModel.from_pretrained(checkpoint)):
            assert not any(parameter.requires_grad for parameter in loaded.autoencoder.parameters())
            assert all(parameter.requires_grad for parameter in loaded.unet.parameters())

    def test_only_what_is_used_is_saved(self, checkpoint):
        unused = ("autoencoder.decoder", "autoencoder.post_quant_conv", "unet.conv_out", "unet.conv_norm_out")
        weights = load_file(checkpoint / "model.safetensors")
        assert "text_adapter.prompt_embeddings" in weights
        assert not [key for key in weights if key.startswith(unused)]

    def test_what_a_checkpoint_lacks_is_initialised(self, checkpoint):
        weights = load_file(checkpoint / "model.safetensors")
        for key in ("text_adapter.gamma", "text_adapter.prompt_embeddings", "decoder.mlp.0.weight"):
            del weights[key]
        save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
        model, info = DPIQAModel.from_pretrained(checkpoint, output_loading_info=True)
        assert len(info["missing_keys"]) == 3
        assert torch.equal(model.text_adapter.gamma, torch.full((24,), 1e-4))
        assert 0.8 < model.text_adapter.prompt_embeddings.std() < 1.2
        assert model.decoder.mlp[0].weight.abs().max() <= 1 / math.sqrt(8 * 16 * 16)
        untouched = load_file(checkpoint / "model.safetensors")["unet.conv_in.weight"]
        assert torch.equal(model.unet.conv_in.weight, untouched)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision(self, teacher, checkpoint, pixels, dtype):
        model = DPIQAModel.from_pretrained(checkpoint, dtype=dtype)
        assert model.unet.dtype == dtype
        assert model.decoder.mlp[0].weight.dtype == torch.float32
        torch.testing.assert_close(score(model, pixels), score(teacher, pixels), rtol=0, atol=0.02)

    def test_device_map(self, teacher, checkpoint, pixels):
        model = DPIQAModel.from_pretrained(checkpoint, device_map="auto")
        torch.testing.assert_close(score(model, pixels), score(teacher, pixels))

    def test_parts_offloaded_to_disk(self, teacher, checkpoint, pixels, tmp_path):
        device_map = {name: "cpu" for name, _ in teacher.named_children()} | {"unet": "disk"}
        model = DPIQAModel.from_pretrained(checkpoint, device_map=device_map, offload_folder=tmp_path / "offload")
        torch.testing.assert_close(score(model, pixels), score(teacher, pixels))

    def test_copies_do_not_share_features(self, teacher, pixels):
        other = copy.deepcopy(teacher)
        expected = score(other, pixels)
        other.unet.conv_in.weight.data.zero_()
        assert not torch.allclose(score(other, pixels), expected)
        assert torch.equal(score(teacher, pixels), expected)


class TestFromStableDiffusion:
    @pytest.fixture
    def clip(self, tmp_path):
        return teachers.save_clip(tmp_path / "clip")

    @pytest.fixture(params=["AutoencoderKL", "AutoencoderTiny"])
    def stable_diffusion(self, tmp_path, request):
        return teachers.save_stable_diffusion(tmp_path / "sd", request.param)

    SIZES = {"feature_size": 16, "decoder_channels": 32, "hidden_size": 16, "image_size": 64}

    def test_its_weights_are_those_of_the_files(self, stable_diffusion, clip):
        model = DPIQAModel.from_stable_diffusion(stable_diffusion, text_model=clip, **self.SIZES)
        for part, module in (("vae", model.autoencoder), ("unet", model.unet)):
            files = load_file(stable_diffusion / part / "diffusion_pytorch_model.safetensors")
            assert all(torch.equal(value, files[key]) for key, value in module.state_dict().items())
        assert not any(parameter.requires_grad for parameter in model.autoencoder.parameters())

    def test_it_has_the_published_prompts(self, stable_diffusion, clip, tmp_path):
        model = DPIQAModel.from_stable_diffusion(stable_diffusion, text_model=clip, **self.SIZES)
        assert model.config.num_prompts == 1485
        assert len(model.config.prompt_grid["distortions"]) == 33
        model.save_pretrained(tmp_path / "saved")
        loaded = DPIQAModel.from_pretrained(tmp_path / "saved")
        assert torch.equal(loaded.text_adapter.prompt_embeddings, model.text_adapter.prompt_embeddings)

    def test_own_prompts_and_text_features(self, stable_diffusion, clip):
        prompts = ["sharp", "blurred"]
        rows = {}
        for text_features in ("projected", "pooled", "tokens"):
            model = DPIQAModel.from_stable_diffusion(
                stable_diffusion, text_model=clip, prompts=prompts, text_features=text_features, **self.SIZES
            )
            assert model.config.text_features == text_features
            assert model.config.prompt_grid is None
            rows[text_features] = len(model.text_adapter.prompt_embeddings)
        # Letters are the tokens of this tokenizer; each sentence has a start and an end besides.
        assert rows == {"projected": 2, "pooled": 2, "tokens": 5 + 2 + 7 + 2}

    def test_a_text_model_of_another_width_is_an_error(self, stable_diffusion, tmp_path):
        clip = teachers.save_clip(tmp_path / "wide", width=32)
        with pytest.raises(ValueError, match=r"\(2, 24\), got \(2, 32\)"):
            DPIQAModel.from_stable_diffusion(stable_diffusion, text_model=clip, prompts=["a", "b"], **self.SIZES)

    def test_one_string_is_no_list_of_prompts(self):
        with pytest.raises(TypeError, match="got one string"):
            DPIQAModel.from_stable_diffusion("nothing is loaded", prompts="sharp")

    def test_prompts_and_embeddings_together_are_an_error(self, stable_diffusion):
        with pytest.raises(ValueError, match="not both"):
            DPIQAModel.from_stable_diffusion(stable_diffusion, prompts=["a"], prompt_embeddings=torch.zeros(1, 24))

    def test_a_missing_part_is_an_error(self, tmp_path):
        with pytest.raises(OSError, match="has no folder vae/"):
            DPIQAModel.from_stable_diffusion(tmp_path, prompt_embeddings=torch.zeros(1, 24))

    def test_an_autoencoder_that_is_missing_is_said_before_the_text_model_is_loaded(self, tmp_path, monkeypatch):
        for part in ("vae", "unet"):
            (tmp_path / part).mkdir()
        monkeypatch.setattr("dpiqa.models.modeling_dpiqa.load_text_model", None)
        with pytest.raises(OSError, match=r"config\.json"):
            DPIQAModel.from_stable_diffusion(tmp_path)

    def test_a_missing_tokenizer_is_said_before_large_parts_are_loaded(self, stable_diffusion, clip, tmp_path):
        for part in ("vae", "unet"):
            (tmp_path / "empty" / part).mkdir(parents=True)
        shutil.copy(stable_diffusion / "vae" / "config.json", tmp_path / "empty" / "vae")
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"):
            (clip / name).unlink()
        with pytest.raises(OSError, match="has no tokenizer that can be read"):
            DPIQAModel.from_stable_diffusion(tmp_path / "empty", text_model=clip)
