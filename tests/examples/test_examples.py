"""The example scripts run, on data small enough for every CI run."""

import csv
import math
import sys

import diffusers
import pytest
import torch

from dpiqa import (
    Scorer,
    bundled_checkpoint,
    open_image,
)
from support import releases, teachers
from support.examples import load_example, wrong_use


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


@pytest.fixture
def table(tmp_path):
    """A table of thirty pictures rated from 1 to 5."""
    releases.save_pictures(tmp_path, [f"{index}.png" for index in range(30)])
    rows = [f"{index}.png,{1 + index % 5}" for index in range(30)]
    (tmp_path / "photos.csv").write_text("\n".join(["path,mos", *rows]) + "\n")
    return str(tmp_path / "photos.csv")


def test_fine_tuning_a_student(tmp_path, table, tiny_checkpoint, capsys):
    output = str(tmp_path / "mine")
    load_example("finetune_student").main(table, output, (1, 5), epochs=1, model=str(tiny_checkpoint))
    assert "on 6 test photos" in capsys.readouterr().out
    score = Scorer.from_pretrained(output)(tmp_path / "3.png")
    assert math.isfinite(score.score)
    assert score.percentile is None


def test_training_a_teacher_and_distilling_it(tmp_path):
    data = f"koniq10k={releases.koniq10k(tmp_path / 'KonIQ-10k')}"
    start = {"stable_diffusion": teachers.save_stable_diffusion(tmp_path / "sd")}
    start["text_model"] = teachers.save_clip(tmp_path / "clip")
    teacher, student = str(tmp_path / "teacher"), str(tmp_path / "student")
    load_example("train_teacher").main(
        data, **{name: str(path) for name, path in start.items()}, image_size=32, epochs=1, output=teacher
    )
    load_example("distill_student").main(data, teacher, "efficientnet-lite0", image_size=64, epochs=1, output=student)
    assert Scorer.from_pretrained(student).model.config.feature_size == 64


def test_push_to_hub_in_a_dry_run_lists_every_file(capsys):
    load_example("push_to_hub").main(str(bundled_checkpoint()), "organisation/name", dry_run=True)
    output = capsys.readouterr().out
    for name in ("model.safetensors", "config.json", "README.md", "pipeline_dpiqa.py"):
        assert name in output
    assert "files checked, none sent" in output


def test_filtering_keeps_the_photos_with_the_highest_scores(tmp_path, tiny_checkpoint):
    releases.save_pictures(tmp_path / "photos", [f"{index}.png" for index in range(4)])
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    load_example("filter_photos").main(tmp_path / "photos", tmp_path / "kept", model=str(tiny_checkpoint))
    kept = sorted((tmp_path / "kept").iterdir())
    scores = {path.name: Scorer.from_pretrained(tiny_checkpoint)(path).score for path in kept}
    rest = [path for path in (tmp_path / "photos").glob("[0-9].png") if f"-{path.name}" not in str(kept)]
    assert len(kept) == len(rest) == 2
    assert min(scores.values()) > max(Scorer.from_pretrained(tiny_checkpoint)(path).score for path in rest)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos", "--output", "photos"], "photos holds files already"),
        (["nope"], "nope"),
        (["empty"], "There are no photos in empty"),
        (["photos", "--share", "1.5"], "'--share'"),
        (["photos", "--share", "0"], "--share 0 keeps no photo"),
    ],
)
def test_filtering_says_what_is_wrong(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    releases.save_pictures(tmp_path / "photos", ["0.png"])
    result = wrong_use("filter_photos", *arguments)
    assert message in result


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("finetune_student", "run from 1 to 5, outside of the rating scale 0 to 1"),
        ("train_teacher", "run from 1 to 5, outside of the rating scale 0 to 1"),
        ("distill_student", "run from 1 to 5, outside of the rating scale 0 to 1"),
    ],
)
def test_training_says_what_is_wrong_with_the_photos(table, name, message):
    assert message in wrong_use(name, table)


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


def test_from_nothing_to_a_tiny_teacher_and_its_student(tmp_path, monkeypatch, capsys):
    arguments = ["--output", str(tmp_path / "my tiny"), "--photos", "40", "--epochs", "1"]
    monkeypatch.setattr(sys, "argv", ["tiny_teacher.py", *arguments])
    load_example("tiny_teacher").main()
    for model in ("teacher", "student"):
        rows = list(csv.DictReader((tmp_path / "my tiny" / f"{model}.csv").read_text().splitlines()))
        assert len(rows) == 40
        assert all(math.isfinite(float(row["score"])) for row in rows)
    assert "$ dpiqa train distill" in capsys.readouterr().out


def test_the_tiny_teacher_of_own_photos_knows_their_scale(tmp_path, table, monkeypatch):
    example, commands = load_example("tiny_teacher"), []
    monkeypatch.setattr(example, "dpiqa", lambda *words: commands.append(words))
    own = ["--data", table, "--mos-range", "1", "5"]
    monkeypatch.setattr(sys, "argv", ["tiny_teacher.py", "--output", str(tmp_path / "tiny"), *own])
    example.main()
    assert [words[:2] for words in commands] == [("train", "teacher"), ("train", "distill")]
    assert all(list(words[2:7]) == own for words in commands)
