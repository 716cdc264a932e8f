"""The example scripts run, on data small enough for every CI run."""

import csv
import importlib.util
import json
import sys
from pathlib import Path

import diffusers
import pytest
import torch
from safetensors import safe_open

import releases
from biq2021 import make_release
from dpiqa import Scorer, bundled_checkpoint, open_image

EXAMPLES = Path(__file__).parents[1] / "examples"


def load_example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_demo_scores_originals_above_their_twins(tmp_path, monkeypatch, capsys):
    demo = load_example("demo")
    monkeypatch.setattr(sys, "argv", ["demo.py", "--output", str(tmp_path)])
    assert demo.main() == 0
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    assert len(rows) == len(demo.originals()) * len(demo.VARIANTS)
    assert not any(row["error"] for row in rows)
    sheet = open_image(tmp_path / "contact_sheet.png")
    assert sheet.width > 1000
    assert "24 of 24 twins score below their original" in capsys.readouterr().out


@pytest.mark.slow
def test_training_the_bundled_student(tmp_path, photos):
    release = make_release(tmp_path / "BIQ2021", photos, train=40, test=12)
    train = load_example("train_bundled_student")
    arguments = ["--data", str(release), "--output", str(tmp_path / "run"), "--batch-size", "8"]
    train.main(train.make_parser().parse_args([*arguments, "--leave-out", "ss02", "--validation", "0.3"]))

    checkpoint = tmp_path / "run" / "checkpoint"
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["photos"]["train"] + result["photos"]["validation"] == 27
    assert -1 <= result["left_out_srcc"] <= 1
    assert len(result["logs"]) == 2
    with safe_open(checkpoint / "model.safetensors", "pt") as file:
        assert file.get_slice("head.quality.weight").get_dtype() == "F16"
    score = Scorer.from_pretrained(checkpoint)(photos[0])
    assert 0 <= score.percentile <= 100
    assert score.interval[0] < score.score < score.interval[1]


def test_fine_tuning_on_a_table_of_own_photos(tmp_path, tiny_checkpoint):
    releases.save_pictures(tmp_path, [f"{index}.png" for index in range(30)])
    rows = [f"{index}.png,{1 + index % 5}" for index in range(30)]
    (tmp_path / "photos.csv").write_text("\n".join(["path,mos", *rows]) + "\n")
    finetune = load_example("finetune_student")
    arguments = ["--data", str(tmp_path / "photos.csv"), "--mos-range", "1", "5", "--model", str(tiny_checkpoint)]
    options = ["--output", str(tmp_path / "mine"), "--epochs", "2", "--batch-size", "8"]
    figures = finetune.main(finetune.make_parser().parse_args([*arguments, *options]))
    assert figures["photos"] == 21
    assert figures["test_rmse_after"] != figures["test_rmse_before"]
    score = Scorer.from_pretrained(tmp_path / "mine")(tmp_path / "3.png")
    assert score.interval[0] < score.score < score.interval[1]
    assert 0 <= score.percentile <= 100


@pytest.mark.slow
def test_the_distillation_study(tmp_path):
    release = releases.biq2021(tmp_path / "BIQ2021")
    study = load_example("distillation_study")
    arguments = ["--data", str(release), "--output", str(tmp_path / "run"), "--seeds", "1", "--batch-size", "4"]
    options = ["--teacher-epochs", "1", "--student-epochs", "1"]
    study.main(study.make_parser().parse_args([*arguments, *options]))
    table = (tmp_path / "run" / "table.md").read_text()
    for name in ("teacher", "feature map weight 0", "feature map weight 1"):
        assert f"| {name} |" in table


def test_push_to_hub_in_a_dry_run_lists_every_file(capsys):
    push = load_example("push_to_hub")
    push.main(push.make_parser().parse_args([str(bundled_checkpoint()), "organisation/name", "--dry-run"]))
    output = capsys.readouterr().out
    for name in ("model.safetensors", "config.json", "README.md", "pipeline_dpiqa.py"):
        assert name in output
    assert "files checked, none sent" in output


def test_a_restoration_trained_with_the_quality_loss_scores_higher(tmp_path, tiny_checkpoint):
    restoration = load_example("improve_restoration")
    arguments = ["--model", str(tiny_checkpoint), "--steps", "8", "--weight", "5", "--output", str(tmp_path / "run")]
    scores = restoration.main(restoration.make_parser().parse_args(arguments))
    assert scores["restored with L1 and QualityLoss"] > scores["restored with L1"]
    assert len(list((tmp_path / "run").glob("*.png"))) == 8


def test_the_best_of_n_samples_of_a_diffusion_pipeline(tmp_path, tiny_checkpoint, capsys):
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    unet = diffusers.UNet2DModel(sample_size=64, block_out_channels=(8, 8), norm_num_groups=4, **blocks)
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(tmp_path / "pipeline")
    best = load_example("best_of_n")
    options = ["-n", "3", "--steps", "2", "--model", str(tiny_checkpoint), "--output", str(tmp_path / "run")]
    scores = best.main(best.make_parser().parse_args([str(tmp_path / "pipeline"), *options]))
    assert len(set(scores)) == 3
    assert capsys.readouterr().out.strip().splitlines()[0].startswith(f"{max(scores):.3f}")
