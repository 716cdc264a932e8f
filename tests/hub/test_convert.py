import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from dpiqa import (
    DPIQAConfig,
    DPIQAImageProcessor,
    DPIQAModel,
    DPIQAStudent,
    DPIQAStudentConfig,
    PromptGrid,
    bundled_checkpoint,
)
from dpiqa.cli import app
from dpiqa.hub.convert import _load_tensor, convert_checkpoint, convert_student_state_dict, convert_teacher_state_dict
from support import seeded, teachers
from support.commands import said, usage_error

GOLDEN = json.loads((Path(__file__).parents[1] / "support" / "golden" / "published_student.json").read_text())
GOLDEN_TEACHER = json.loads((Path(__file__).parents[1] / "support" / "golden" / "published_teacher.json").read_text())
# EfficientNet-B7 by stage: blocks, expansion, input and output channels, kernel.
B7_STAGES = [
    (4, 1, 64, 32, 3),
    (7, 6, 32, 48, 3),
    (7, 6, 48, 80, 5),
    (10, 6, 80, 160, 3),
    (10, 6, 160, 224, 5),
    (13, 6, 224, 384, 5),
    (4, 6, 384, 640, 3),
]


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published student checkpoint, written from torchvision's naming scheme."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv_norm(name, out_channels, in_channels, kernel):
        shapes[f"{name}.0.weight"] = (out_channels, in_channels, kernel, kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.1.{part}"] = (out_channels,)
        shapes[f"{name}.1.num_batches_tracked"] = ()

    features = "base_model.features"
    conv_norm(f"{features}.0", 64, 3, 3)
    for stage, (blocks, expansion, stage_in, out_channels, kernel) in enumerate(B7_STAGES, start=1):
        for block in range(blocks):
            in_channels = stage_in if block == 0 else out_channels
            hidden = in_channels * expansion
            name, layer = f"{features}.{stage}.{block}.block", 0
            if expansion != 1:
                conv_norm(f"{name}.0", hidden, in_channels, 1)
                layer = 1
            conv_norm(f"{name}.{layer}", hidden, 1, kernel)
            squeezed = in_channels // 4
            shapes[f"{name}.{layer + 1}.fc1.weight"] = (squeezed, hidden, 1, 1)
            shapes[f"{name}.{layer + 1}.fc1.bias"] = (squeezed,)
            shapes[f"{name}.{layer + 1}.fc2.weight"] = (hidden, squeezed, 1, 1)
            shapes[f"{name}.{layer + 1}.fc2.bias"] = (hidden,)
            conv_norm(f"{name}.{layer + 2}", out_channels, hidden, 1)
    conv_norm(f"{features}.8", 2560, 640, 1)
    shapes["conv_transpose.weight"] = (2560, 8, 3, 3)
    shapes["conv_transpose.bias"] = (8,)
    for name, shape in (("fc1", (512, 32768)), ("fc2", (512, 512)), ("fc3", (1, 512))):
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]
    return shapes


@pytest.fixture(scope="module")
def published():
    return {key: seeded.tensor(key, shape, gain=1.45) for key, shape in published_shapes().items()}


@pytest.fixture(scope="module")
def student():
    return DPIQAStudent(DPIQAStudentConfig()).eval()


@pytest.mark.slow
def test_the_published_student_gives_the_published_numbers(published, student):
    student.load_state_dict(convert_student_state_dict(published, student))
    pixel_values = seeded.pixels(GOLDEN["seed"])
    with torch.no_grad():
        output = student(pixel_values)
        features, _ = student.backbone(pixel_values)
    close = {"rtol": 1e-3, "atol": 1e-5}
    torch.testing.assert_close(output.score, torch.tensor(GOLDEN["score"]), **close)
    feature_map = output.feature_map
    torch.testing.assert_close(feature_map.mean(dim=(1, 2, 3)), torch.tensor(GOLDEN["feature_map_mean"]), **close)
    torch.testing.assert_close(feature_map.std(dim=(1, 2, 3)), torch.tensor(GOLDEN["feature_map_std"]), **close)
    torch.testing.assert_close(feature_map[0, :, 5, 7], torch.tensor(GOLDEN["feature_map_samples"]), **close)
    assert list(features.shape) == GOLDEN["backbone"]["shape"]
    torch.testing.assert_close(features[0, 0, 0, :4], torch.tensor(GOLDEN["backbone"]["first"]), **close)


@pytest.mark.slow
class TestConvertStudentStateDict:
    def test_the_prefix_of_data_parallel_is_dropped(self, published, student):
        parallel = {f"module.{key}": value for key, value in published.items()}
        assert convert_student_state_dict(parallel, student).keys() == student.state_dict().keys()

    def test_missing_and_unexpected_keys_are_listed(self, published, student):
        wrong = {key: value for key, value in published.items() if key != "fc2.bias"} | {"fc4.bias": torch.zeros(1)}
        with pytest.raises(ValueError, match=r"nothing for head\.fc2\.bias; unexpected fc4\.bias"):
            convert_student_state_dict(wrong, student)

    def test_another_shape_is_listed(self, published, student):
        with pytest.raises(ValueError, match=r"fc3\.bias \(2,\) does not fit head\.fc3\.bias \(1,\)"):
            convert_student_state_dict(published | {"fc3.bias": torch.zeros(2)}, student)


def published_teacher_shapes(config: DPIQAConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published teacher checkpoint; diffusers names its parts, METHOD's table the others."""
    from diffusers import AutoencoderKL, T2IAdapter, UNet2DConditionModel

    with torch.device("meta"):
        parts = {
            "vae": AutoencoderKL(**config.autoencoder_config),
            "unet": UNet2DConditionModel(**config.unet_config),
            "img_adapter": T2IAdapter(adapter_type="full_adapter", **config.image_adapter_config).adapter,
        }
    shapes = {f"{name}.{key}": tuple(v.shape) for name, part in parts.items() for key, v in part.state_dict().items()}
    prompt_size, width = config.unet_config["cross_attention_dim"], config.decoder_channels
    channels = config.unet_config["block_out_channels"]

    def layer(name, *shape, bias=True):
        shapes[f"{name}.weight"] = shape
        if bias:
            shapes[f"{name}.bias"] = shape[:1]

    def squeeze(name):
        layer(f"{name}.fc.0", width // 16, width, bias=False)
        layer(f"{name}.fc.2", width, width // 16, bias=False)

    shapes["gamma"] = (prompt_size,)
    layer("text_adapter.fc.0", prompt_size, prompt_size)
    layer("text_adapter.fc.2", prompt_size, prompt_size)
    for index, in_channels in enumerate(channels, start=1):
        layer(f"QFD.conv{index}", width, in_channels, 3, 3)
        squeeze(f"QFD.se{index}")
    layer("QFD.fuse_conv", width, len(channels) * width, 3, 3)
    squeeze("QFD.se_fuse")
    layer("QFD.bnc1", width)
    shapes |= {"QFD.bnc1.running_mean": (width,), "QFD.bnc1.running_var": (width,), "QFD.bnc1.num_batches_tracked": ()}
    widths = (width, width // 4, width // 16, config.feature_channels)
    for index, (inner, outer) in enumerate(pairwise(widths), start=1):
        layer(f"QFD.conv_score{index}", outer, inner, 1, 1)
    layer("QFD.fc1", config.hidden_size, config.feature_channels * config.feature_size**2)
    layer("QFD.fc2", config.hidden_size, config.hidden_size)
    layer("QFD.fc3", 1, config.hidden_size)
    layer("QFD.classifier_dist", 24, config.hidden_size)
    return shapes


def published_teacher(config: DPIQAConfig) -> dict[str, torch.Tensor]:
    return {key: seeded.tensor(key, shape, 1.0) for key, shape in published_teacher_shapes(config).items()}


def free_gigabytes() -> float:
    pages = os.sysconf("SC_AVPHYS_PAGES")
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():  # what the page cache holds is free as well
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) / 1e6
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9


@pytest.mark.slow
@pytest.mark.skipif(free_gigabytes() < 12, reason="needs 12 GB of memory")
def test_the_published_teacher_gives_the_published_numbers():
    shapes = published_teacher_shapes(DPIQAConfig())
    assert sum(int(np.prod(shape)) for key, shape in shapes.items() if not key.endswith(UNTRAINED)) == 1_064_674_092
    with torch.device("meta"):
        model = DPIQAModel(DPIQAConfig(num_prompts=GOLDEN_TEACHER["n_prompts"])).eval()
    weights = convert_teacher_state_dict(published_teacher(DPIQAConfig()), model)
    model.load_state_dict(weights, strict=False, assign=True)
    embeddings = seeded.gaussian("class_embeddings", (GOLDEN_TEACHER["n_prompts"], 768), 1.0)
    model.load_state_dict({"text_adapter.prompt_embeddings": embeddings}, strict=False, assign=True)
    with torch.no_grad():
        output = model(seeded.pixels(GOLDEN_TEACHER["seed"]), output_hidden_states=True)
    close = {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(output.score, torch.tensor(GOLDEN_TEACHER["score"]), rtol=1e-3, atol=0)
    maps = output.feature_map
    torch.testing.assert_close(maps.mean(dim=(1, 2, 3)), torch.tensor(GOLDEN_TEACHER["feature_map_mean"]), **close)
    torch.testing.assert_close(maps.std(dim=(1, 2, 3)), torch.tensor(GOLDEN_TEACHER["feature_map_std"]), **close)
    torch.testing.assert_close(maps[0, ::2, 5, 7], torch.tensor(GOLDEN_TEACHER["feature_map_samples"]), **close)
    for state, golden in zip(output.hidden_states, GOLDEN_TEACHER["unet"], strict=True):
        assert list(state.shape) == golden["shape"]
        torch.testing.assert_close(state.mean().item(), golden["mean"], **close)
        torch.testing.assert_close(state.std().item(), golden["std"], **close)
        torch.testing.assert_close(state[0, 0, 0, :4], torch.tensor(golden["first"]), **close)


# Statistics of a batch normalisation that nothing uses.
UNTRAINED = ("running_mean", "running_var", "num_batches_tracked")


class TestConvertCheckpoint:
    """The command, on a tiny teacher in the published format."""

    @pytest.fixture(scope="class")
    @classmethod
    def weights(cls):
        return published_teacher(teachers.config())

    @pytest.fixture
    def convert(self, tmp_path):
        teachers.config(pixel_range="unit").save_pretrained(tmp_path)
        embeddings = tmp_path / "embeddings.npy"
        np.save(embeddings, seeded.gaussian("class_embeddings", (7, 24), 1.0).numpy())

        def convert(weights, *options, embeddings=embeddings):
            torch.save(weights, tmp_path / "teacher.pth")
            arguments = ["convert", str(tmp_path / "teacher.pth"), "--kind", "teacher", "-o", str(tmp_path / "ours")]
            arguments += ["--config", str(tmp_path / "config.json")]
            arguments += ["--prompt-embeddings", str(embeddings)] if embeddings else []
            result = CliRunner().invoke(app, [*arguments, *options])
            return result, tmp_path / "ours"

        return convert

    def test_a_teacher_becomes_a_checkpoint(self, convert, weights):
        result, folder = convert(weights)
        assert result.exit_code == 0, result.output
        model = DPIQAModel.from_pretrained(folder)
        assert model.config.num_prompts == 7
        assert torch.equal(model.unet.conv_in.weight, weights["unet.conv_in.weight"])
        assert torch.equal(model.decoder.mlp[4].weight, weights["QFD.fc3.weight"])
        assert torch.equal(model.decoder.convs[1].weight, weights["QFD.conv2.weight"])
        assert DPIQAImageProcessor.from_pretrained(folder).size["height"] == 64
        assert "under which they published them" in (folder / "README.md").read_text()

    def test_a_text_encoder_and_prefixes_do_not_disturb(self, convert, weights):
        extra = {"text_encoder.text_model.final_layer_norm.weight": torch.ones(3)}
        result, _ = convert({f"module.{key}": value for key, value in (weights | extra).items()})
        assert result.exit_code == 0, result.output

    @pytest.mark.parametrize("suffix", ["safetensors", "pt"])
    def test_prompt_embeddings_in_other_formats(self, convert, weights, tmp_path, suffix):
        embeddings = seeded.gaussian("class_embeddings", (3, 24), 1.0)
        path = tmp_path / f"embeddings.{suffix}"
        save_file({"e": embeddings}, path) if suffix == "safetensors" else torch.save(embeddings, path)
        result, folder = convert(weights, embeddings=path)
        assert result.exit_code == 0, result.output
        assert torch.equal(DPIQAModel.from_pretrained(folder).text_adapter.prompt_embeddings, embeddings)

    def test_embeddings_of_a_file_have_the_words_that_the_configuration_says(self, convert, weights, tmp_path):
        grid = PromptGrid(qualities=["bad", "good"], scenes=["human"], distortions=["blur", "noise"])
        teachers.config(prompt_grid=grid.to_dict()).save_pretrained(tmp_path)
        np.save(tmp_path / "four.npy", seeded.gaussian("class_embeddings", (4, 24), 1.0).numpy())
        result, folder = convert(weights, embeddings=tmp_path / "four.npy")
        assert result.exit_code == 0, result.output
        assert DPIQAConfig.from_pretrained(folder).prompt_grid == grid.to_dict()

    def test_a_configuration_with_the_words_of_other_prompts_gives_none(self, convert, weights, tmp_path):
        teachers.config(prompt_grid=PromptGrid().to_dict()).save_pretrained(tmp_path)
        np.save(tmp_path / "seven.npy", np.zeros((7, 24), np.float32))
        result, folder = convert(weights, embeddings=tmp_path / "seven.npy")
        assert result.exit_code == 0, result.output
        assert DPIQAConfig.from_pretrained(folder).prompt_grid is None

    @pytest.mark.parametrize(("rows", "grid"), [(1485, PromptGrid().to_dict()), (7, None)])
    def test_as_many_as_were_published_have_the_published_words(self, convert, weights, tmp_path, rows, grid):
        np.save(tmp_path / "rows.npy", np.zeros((rows, 24), np.float32))
        result, folder = convert(weights, embeddings=tmp_path / "rows.npy")
        assert result.exit_code == 0, result.output
        assert DPIQAConfig.from_pretrained(folder).prompt_grid == grid

    def test_embeddings_are_computed_when_not_given(self, convert, weights, tmp_path):
        clip = teachers.save_clip(tmp_path / "clip")
        result, folder = convert(weights, "--text-model", str(clip), embeddings=None)
        assert result.exit_code == 0, result.output
        assert DPIQAModel.from_pretrained(folder).config.num_prompts == 1485

    def test_without_embeddings_and_clip_the_error_says_what_to_give(self, convert, weights, tmp_path):
        result, _ = convert(weights, "--text-model", str(tmp_path / "nowhere"), embeddings=None)
        assert result.exit_code == 2
        assert "--prompt-embeddings" in result.output

    def test_what_is_unexpected_is_listed(self, convert, weights):
        wrong = {key: value for key, value in weights.items() if key != "QFD.fc2.bias"}
        wrong |= {"QFD.conv9.weight": torch.zeros(1), "gamma": torch.zeros(5)}
        result, _ = convert(wrong)
        assert result.exit_code == 2
        for part in ("unexpected QFD.conv9.weight", "nothing for decoder.mlp.2.bias", "gamma (5,) does not fit"):
            assert part in said(result)

    @pytest.mark.parametrize(
        ("width", "value", "message"), [(25, 0, "got (7, 25)"), (24, np.nan, "NaN or infinity in 7 of 7 rows")]
    )
    def test_embeddings_that_do_not_fit_are_an_error(self, convert, weights, tmp_path, width, value, message):
        np.save(tmp_path / "odd.npy", np.full((7, width), value, np.float32))
        result, _ = convert(weights, embeddings=tmp_path / "odd.npy")
        assert result.exit_code == 2
        assert message in said(result)

    def test_a_pickle_with_code_in_it_is_refused(self, tmp_path):
        torch.save({"gamma": Path("x")}, tmp_path / "evil.pth")
        with pytest.raises(ValueError, match="without running code"):
            convert_checkpoint(tmp_path / "evil.pth", "teacher", tmp_path / "ours")

    def test_a_file_that_is_no_state_dict_is_an_error(self, tmp_path):
        torch.save({"epoch": 3, "gamma": torch.zeros(3)}, tmp_path / "other.pth")
        with pytest.raises(ValueError, match="got a dict with epoch, gamma"):
            convert_checkpoint(tmp_path / "other.pth", "student", tmp_path / "ours")


@pytest.mark.parametrize("suffix", ["npy", "pt", "safetensors"])
def test_damaged_prompt_embeddings_are_no_advice_to_run_them(tmp_path, suffix):
    """PyTorch's and NumPy's own messages say how to run what is in the file."""
    path = tmp_path / f"prompts.{suffix}"
    path.write_bytes(b"\x80\x02cos\nsystem\nq\x00.")
    with pytest.raises(ValueError, match="without running code from it") as caught:
        _load_tensor(path)
    assert "weights_only" not in str(caught.value)
    assert "pickle" not in str(caught.value)


def test_a_checkpoint_of_ours_is_not_converted_again(tmp_path):
    message = usage_error("convert", bundled_checkpoint() / "model.safetensors", "--kind", "student", "-o", tmp_path)
    assert "This is a checkpoint of dpiqa already" in message


def test_advice_to_run_code_from_a_file_is_not_passed_on(tmp_path):
    torch.save({"weights": os.system}, tmp_path / "model.pth")
    message = usage_error("convert", tmp_path / "model.pth", "--kind", "student", "-o", tmp_path / "converted")
    assert "without running code from it" in message
    assert "weights_only" not in message


def test_only_some_of_many_problems_are_named(tmp_path):
    torch.save({f"layer{index}": torch.zeros(1) for index in range(1000)}, tmp_path / "model.pth")
    message = usage_error("convert", tmp_path / "model.pth", "--kind", "student", "-o", tmp_path / "converted")
    assert "unexpected layer" in message or "nothing for" in message
    assert " more." in message
    assert len(message) < 1500
