import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
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
def test_the_recipe_averages_runs_trains_on_and_takes_the_interval_of_unseen_sources(tmp_path, photos, study):
    release = releases.biq2021(tmp_path / "BIQ2021", photos, train=60, test=6)
    versions = tmp_path / "versions"
    shared = ["--data", str(release), "--versions", str(versions), "--batch-size", "8", "--max-steps", "2"]

    def run(name, *arguments):
        study.main(study.make_parser().parse_args([*shared, "--output", str(tmp_path / name), *arguments]))
        return json.loads((tmp_path / name / "result.json").read_text())

    other = f"koniq10k={releases.koniq10k(tmp_path / 'koniq10k')}"
    without = run("no-ss02", "--leave-out", "ss02", "--unseen", other, "--every", "2")
    assert without["photos"]["train"] + without["photos"]["validation"] < 60
    assert list(without["unseen"]) == ["ss02", "koniq10k"]
    for checkpoints in without["unseen"].values():
        assert set(checkpoints) == {"checkpoint", "checkpoint-run0"}
        assert all(-1 <= figures["srcc"] <= 1 and figures["rmse"] > 0 for figures in checkpoints.values())

    made = set(versions.iterdir())

    student = tmp_path / "student"
    whole = ["--runs", "2", "--interval-from", str(tmp_path / "no-ss02" / "result.json")]
    result = run("student", *whole)
    assert set(versions.iterdir()) == made
    assert len(result["logs"]) == 3
    distances = list(without["unseen_distances"].values())
    assert result["interval_half_width"] == pytest.approx(np.quantile(distances, 0.9), abs=1e-5)
    first, second, average, last = (
        load_file(student / name / "model.safetensors")
        for name in ("checkpoint-run0", "checkpoint-run1", "checkpoint-average", "checkpoint")
    )
    backbone, head = "backbone.encoder.top_conv.weight", "head.hidden.weight"
    assert not torch.equal(first[backbone], second[backbone])
    expected = (first[backbone].float() + second[backbone].float()) / 2
    torch.testing.assert_close(average[backbone].float(), expected, atol=1e-4, rtol=1e-3)
    assert all(not torch.equal(average[name], last[name]) for name in (backbone, head))
    assert last[head].dtype == torch.float16
    score = Scorer.from_pretrained(student / "checkpoint")(photos[0])
    assert 0 <= score.percentile <= 100

    shutil.rmtree(student / "run1")
    assert run("student", *whole, "--resume")["validation"] == result["validation"]
    with pytest.raises(FileExistsError, match="already holds a model"):
        run("student", *whole)
