"""The studies run, on data small enough for every CI run."""

import importlib.util
from pathlib import Path

import pytest

from dpiqa import DPIQAImageProcessor
from support import releases

STUDIES = Path(__file__).parents[2] / "studies"


def load_study(name):
    spec = importlib.util.spec_from_file_location(f"study_{name}", STUDIES / name / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_distillation(tmp_path):
    release = releases.biq2021(tmp_path / "BIQ2021")
    study = load_study("distillation")
    arguments = ["--data", str(release), "--output", str(tmp_path / "run"), "--seeds", "1", "--batch-size", "4"]
    options = ["--teacher-epochs", "1", "--student-epochs", "1"]
    study.main(study.make_parser().parse_args([*arguments, *options]))
    assert DPIQAImageProcessor.from_pretrained(tmp_path / "run" / "teacher").size["height"] == study.SIZE
    table = (tmp_path / "run" / "table.md").read_text()
    for name in ("teacher", "student, feature map weight 0", "student, feature map weight 1"):
        assert f"| {name} |" in table


@pytest.mark.slow
def test_the_fine_tuning_curve(tmp_path, photos, tiny_checkpoint):
    release = releases.biq2021(tmp_path / "BIQ2021", photos, train=90, test=3)
    study = load_study("finetuning_curve")
    arguments = ["--data", str(release), "--model", str(tiny_checkpoint), "--output", str(tmp_path / "run")]
    options = ["--labels", "15", "--rest", "5", "--seeds", "1", "--options", "max_steps=1", "resamples=10"]
    study.main(study.make_parser().parse_args([*arguments, *options]))
    assert (tmp_path / "run" / "table.md").read_text().count("| 15 |") == 1
