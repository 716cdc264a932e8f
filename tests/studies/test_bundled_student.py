import importlib.util
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from dpiqa import Scorer
from support import releases

STUDY = Path(__file__).parents[2] / "studies" / "bundled_student" / "train.py"


@pytest.fixture
def study():
    spec = importlib.util.spec_from_file_location("bundled_student", STUDY)
    study = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(study)
    return study


@pytest.mark.slow
def test_distorted_versions_take_part_in_training(tmp_path, photos, study):
    release = releases.biq2021(tmp_path / "BIQ2021", photos, train=60, test=6)
    arguments = ["--data", str(release), "--output", str(tmp_path / "run"), "--batch-size", "8", "--max-steps", "1"]
    study.main(study.make_parser().parse_args([*arguments, "--every", "2"]))
    assert list((tmp_path / "run" / "versions").glob("twins-*.arrow"))
    assert (tmp_path / "run" / "checkpoint" / "model.safetensors").exists()


@pytest.mark.slow
def test_the_recipe_gives_a_calibrated_mean_of_its_stages(tmp_path, photos, study):
    release = releases.biq2021(tmp_path / "BIQ2021", photos, train=60, test=6)
    run = tmp_path / "run"
    arguments = ["--data", str(release), "--output", str(run), "--batch-size", "8", "--leave-out", "ss02"]
    study.main(study.make_parser().parse_args(arguments))

    result = json.loads((run / "result.json").read_text())
    assert result["photos"]["train"] + result["photos"]["validation"] < 60
    assert set(result["left_out"]) == {"checkpoint", "checkpoint-stage1", "checkpoint-stage2"}
    assert all(-1 <= figures["srcc"] <= 1 and figures["rmse"] > 0 for figures in result["left_out"].values())
    assert len(result["logs"]) == 2
    first, second, mean = (
        load_file(run / name / "model.safetensors")["backbone.encoder.top_conv.weight"].float()
        for name in ("checkpoint-stage1", "checkpoint-stage2", "checkpoint")
    )
    assert not torch.equal(first, second)
    torch.testing.assert_close(mean, (first + second) / 2, atol=1e-4, rtol=1e-3)
    with safe_open(run / "checkpoint" / "model.safetensors", "pt") as file:
        assert file.get_slice("head.quality.weight").get_dtype() == "F16"
    score = Scorer.from_pretrained(run / "checkpoint")(photos[0])
    assert 0 <= score.percentile <= 100
