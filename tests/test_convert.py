import json
from pathlib import Path

import pytest
import torch

import seeded
from dpiqa import DPIQAStudent, DPIQAStudentConfig
from dpiqa.convert import convert_student_state_dict

GOLDEN = json.loads((Path(__file__).parent / "data" / "published_student.json").read_text())
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
        with pytest.raises(ValueError, match=r"nothing for head\.fc2\.bias\n\s+unexpected fc4\.bias"):
            convert_student_state_dict(wrong, student)

    def test_another_shape_is_listed(self, published, student):
        with pytest.raises(ValueError, match=r"fc3\.bias \(2,\) does not fit head\.fc3\.bias \(1,\)"):
            convert_student_state_dict(published | {"fc3.bias": torch.zeros(2)}, student)
