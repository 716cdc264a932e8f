"""A checkpoint is loaded whole or not at all, whoever loads it."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, pipeline

from dpiqa import DPIQAStudent, QualityLoss, Scorer

LOADERS = {
    "the class": DPIQAStudent.from_pretrained,
    "AutoModel": AutoModel.from_pretrained,
    "Scorer": Scorer.from_pretrained,
    "QualityLoss": QualityLoss,
    "pipeline": lambda folder: pipeline("image-quality-assessment", model=str(folder)),
}


@pytest.fixture
def change(tiny_checkpoint):
    """Changes the names or values of the weights of a tiny checkpoint."""

    def change(edit):
        path = tiny_checkpoint / "model.safetensors"
        save_file(edit(load_file(path)), path, metadata={"format": "pt"})
        return tiny_checkpoint

    return change


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
class TestWeightsThatDoNotFit:
    def test_missing_ones_are_named(self, change, load):
        folder = change(lambda weights: {name: weights[name] for name in weights if not name.startswith("head.q")})
        with pytest.raises(ValueError, match=r"without head\.quality\.bias, head\.quality\.weight\."):
            load(folder)

    def test_renamed_ones_are_named(self, change, load):
        folder = change(lambda weights: {name.replace("backbone.", "model."): weights[name] for name in weights})
        with pytest.raises(ValueError, match=r"without backbone\..* more and with unknown model\..* more"):
            load(folder)

    def test_those_of_another_shape_are_named(self, change, load):
        folder = change(lambda weights: weights | {"head.quality.bias": torch.zeros(7)})
        with pytest.raises(ValueError, match=r"with another shape of head\.quality\.bias\."):
            load(folder)


@pytest.mark.parametrize(
    "edit",
    [
        {"image_size": "big"},
        {"feature_size": -1},
        {"efficientnet_config": "big"},
        {"efficientnet_config": {"depth_divisor": 0}},
        {"efficientnet_config": {"hidden_act": "no-such"}},
        {"efficientnet_config": {"strides": []}},
        {"efficientnet_config": {"id2label": 1}},
    ],
    ids=str,
)
def test_a_configuration_of_no_model_is_a_value_error(tiny_checkpoint, edit):
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    (tiny_checkpoint / "config.json").write_text(json.dumps(config | edit))
    with pytest.raises(ValueError, match=r"not that of a DPIQAStudentConfig|no DPIQAStudent can be made of its"):
        AutoModel.from_pretrained(tiny_checkpoint)


@pytest.mark.parametrize("settings", ["[]", "1", '{"rescale_factor": "x"}', '{"size": []}'])
def test_settings_of_no_processor_are_a_value_error(tiny_checkpoint, settings):
    (tiny_checkpoint / "preprocessor_config.json").write_text(settings)
    with pytest.raises(ValueError, match=r"no processor|could not convert"):
        Scorer.from_pretrained(tiny_checkpoint)


def test_another_kind_of_model_in_the_configuration(tiny_checkpoint):
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    (tiny_checkpoint / "config.json").write_text(json.dumps(config | {"head": "spatial", "image_size": 64}))
    with pytest.raises(ValueError, match=r"do not fit a DPIQAStudent.*ignore_mismatched_sizes"):
        AutoModel.from_pretrained(tiny_checkpoint)


def test_the_caller_can_look_at_what_is_missing(change):
    folder = change(lambda weights: {name: weights[name] for name in weights if not name.startswith("head.q")})
    _, info = DPIQAStudent.from_pretrained(folder, output_loading_info=True)
    assert info["missing_keys"] == {"head.quality.bias", "head.quality.weight"}


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_damaged_file_is_one_sentence(tiny_checkpoint, kept):
    path = tiny_checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(OSError, match="damaged or cut short"):
        DPIQAStudent.from_pretrained(tiny_checkpoint)


def test_a_pickle_is_not_read(tiny_checkpoint):
    (tiny_checkpoint / "model.safetensors").rename(tiny_checkpoint / "pytorch_model.bin")
    for load in (DPIQAStudent.from_pretrained, AutoModel.from_pretrained):
        with pytest.raises(OSError, match="safetensors"):
            load(tiny_checkpoint)
