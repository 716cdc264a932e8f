"""The example scripts run, on data small enough for every CI run."""

import csv
import importlib.util
import sys
from pathlib import Path

import diffusers
import pytest
import torch
from huggingface_hub import ModelCard

from dpiqa import (
    DPIQAImageProcessor,
    DPIQAStudentConfig,
    ImageError,
    Scorer,
    bundled_checkpoint,
    open_image,
)
from dpiqa.data import load_iqa_splits
from dpiqa.evaluation.report import read_results
from dpiqa.hub.push import push_to_hub
from dpiqa.training import photo_dataset
from dpiqa.training.lora import merge_lora
from support import releases, teachers

EXAMPLES = Path(__file__).parents[2] / "examples"


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


@pytest.fixture
def table(tmp_path):
    """A table of thirty pictures rated from 1 to 5."""
    releases.save_pictures(tmp_path, [f"{index}.png" for index in range(30)])
    rows = [f"{index}.png,{1 + index % 5}" for index in range(30)]
    (tmp_path / "photos.csv").write_text("\n".join(["path,mos", *rows]) + "\n")
    return tmp_path / "photos.csv"


def run(name, *arguments):
    """Runs an example's `main` as its command line would."""
    example = load_example(name)
    return example.main(*example.make_parser().parse_args_into_dataclasses([str(value) for value in arguments]))


def test_fine_tuning_on_a_table_of_own_photos(tmp_path, table, tiny_checkpoint):
    mine = tmp_path / "mine"
    common = ("--data", table, "--mos_range", 1, 5, "--resamples", 20, "--disable_tqdm", True, "--num_train_epochs", 2)
    before, after = run("finetune_student", *common, "--model", tiny_checkpoint, "--output_dir", mine)
    assert (before.model, after.model) == ("before training", "mine")
    assert before.metrics["rmse"]["value"] != after.metrics["rmse"]["value"]
    assert [result.photos for result in read_results(mine / "results.json")] == [6, 6]
    score = Scorer.from_pretrained(mine)(tmp_path / "3.png")
    assert 0 <= score.percentile <= 100
    card = ModelCard.load(mine / "README.md")
    assert card.data.eval_results[0].metric_value == round(after.metrics["srcc"]["value"], 4)
    assert push_to_hub(mine, "organisation/mine", dry_run=True)


def test_the_test_split_is_not_opened_before_training_is_over(tmp_path, table, tiny_checkpoint, monkeypatch):
    opened = []
    monkeypatch.setattr(
        photo_dataset, "augmented_pixels", lambda image, *_: opened.append(image["path"]) or torch.rand(3, 64, 64)
    )
    common = ("--data", table, "--mos_range", 1, 5, "--resamples", 20, "--disable_tqdm", True, "--num_train_epochs", 2)
    run("finetune_student", *common, "--model", tiny_checkpoint, "--output_dir", tmp_path / "mine")
    test = set(load_iqa_splits(table, mos_range=(1, 5))["test"]["name"])
    is_test = [Path(path).name in test for path in opened]
    # Once by the student as it was, once by the trained one, after all else.
    assert sum(is_test) == 2 * len(test)
    assert all(is_test[-2 * len(test) :])


def test_training_a_teacher_and_distilling_it(tmp_path, table):
    teachers.teacher().save_pretrained(tmp_path / "tiny")
    DPIQAImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path / "tiny")
    config = tmp_path / "run.yaml"
    config.write_text(
        f"data: {table}\nmos_range: [1, 5]\nresamples: 20\nmax_steps: 4\nper_device_train_batch_size: 8\n"
    )
    (result,) = run(
        "train_teacher",
        "--config",
        config,
        "--model",
        tmp_path / "tiny",
        "--output_dir",
        tmp_path / "teacher",
        "--mirror",
    )
    assert result.photos == 6
    # 18 photos to train in two views, 6 to validate, 6 to test.
    assert len(list((tmp_path / "teacher" / "latents").rglob("*.safetensors"))) == 2 * 18 + 6 + 6
    student = tmp_path / "student"
    options = ("--backbone", "efficientnet-lite0", "--head", "pooled", "--image_size", 64)
    run("distill_student", "--config", config, "--teacher", tmp_path / "teacher", "--output_dir", student, *options)
    assert len(list((student / "targets").rglob("*.safetensors"))) == 18
    assert "1 x mse + 1 x ranking + 1 x feature map" in (student / "README.md").read_text()
    assert Scorer.from_pretrained(student)(tmp_path / "3.png").percentile is not None


def test_a_teachers_low_rank_updates(tmp_path, table):
    stable_diffusion = teachers.save_stable_diffusion(tmp_path / "sd")
    clip = teachers.save_clip(tmp_path / "clip")
    common = ("--data", table, "--mos_range", 1, 5, "--resamples", 20, "--max_steps", 2, "--image_size", 32)
    output = tmp_path / "lora"
    start = ("--stable_diffusion", stable_diffusion, "--text_model", clip, "--lora_rank", 2)
    run("train_teacher", *common, *start, "--output_dir", output)
    assert (output / "adapter_model.safetensors").stat().st_size < (
        output / "base" / "model.safetensors"
    ).stat().st_size
    (output.parent / "moved").mkdir()
    output = output.rename(output.parent / "moved" / "lora")
    assert merge_lora(output).config.score_quantiles is not None
    assert 'merge_lora("lora")' in (output / "README.md").read_text()
    options = ("--backbone", "efficientnet-lite0", "--head", "pooled", "--image_size", 64, "--max_steps", 1)
    run("distill_student", *common[:7], "--teacher", output, "--output_dir", tmp_path / "student", *options)


def test_damaged_photos_are_found_before_training(tmp_path, table, tiny_checkpoint, caplog):
    for name in ("9.png", "3.png"):  # one to test on, one to train on
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-60])
    common = ("--data", table, "--mos_range", 1, 5, "--resamples", 20, "--max_steps", 1, "--model", tiny_checkpoint)
    with pytest.raises(ImageError, match=r"\d\.png: .* photos are damaged; allow_missing leaves them out"):
        run("finetune_student", *common, "--output_dir", tmp_path / "mine")
    (_, after) = run("finetune_student", *common, "--output_dir", tmp_path / "mine", "--allow_missing")
    assert after.photos == 5
    assert "Left out" in caplog.text


def test_what_a_checkpoint_says_of_its_training(tmp_path, table, tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["finetune_student.py", "--hub_token", "hf_secret", "--hub-token=hf_secret", "-x"]
    )
    common = ("--data", table, "--mos_range", 1, 5, "--resamples", 20, "--max_steps", 1, "--model", tiny_checkpoint)
    (_, after) = run("finetune_student", *common, "--output_dir", tmp_path / "mine", "--licence", "cc0-1.0")
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "python finetune_student.py --hub_token '***' '--hub-token=***' -x" in card
    assert "license: cc0-1.0" in card
    assert "There is no interval" in card
    assert DPIQAStudentConfig.from_pretrained(tmp_path / "mine").score_range == [1, 5]
    assert after.seeds == [0]


def test_a_resumed_run_has_the_log_of_the_whole(tmp_path, table, tiny_checkpoint):
    common = ("--data", table, "--mos_range", 1, 5, "--resamples", 20, "--model", tiny_checkpoint, "--mirror")
    for folder, epochs in (("whole", [3]), ("parts", [2, 3])):
        for number, count in enumerate(epochs):
            resume = ("--resume_from_checkpoint", "last") if number else ()
            schedule = ("--lr_scheduler_type", "constant", "--num_train_epochs", count, "--name", "mine")
            run("finetune_student", *common, *schedule, *resume, "--output_dir", tmp_path / folder)
    logs = [(tmp_path / folder / "README.md").read_text().split("| Training Loss")[1] for folder in ("whole", "parts")]
    assert logs[0] == logs[1]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        run("finetune_student", *common, "--resume_from_checkpoint", "last", "--output_dir", tmp_path / "empty")


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("train_teacher", [], "one of --model and --stable_diffusion"),
        ("distill_student", ["--backbone", "efficientnet-b0", "--student", "x"], "one of --efficientnet, --student"),
    ],
)
def test_what_to_start_from_is_said_once(tmp_path, table, script, arguments, message):
    teachers.teacher().save_pretrained(tmp_path / "teacher")
    teacher = () if script == "train_teacher" else ("--teacher", tmp_path / "teacher")
    with pytest.raises(ValueError, match=message):
        run(script, "--data", table, "--mos_range", 1, 5, "--output_dir", tmp_path / "run", *teacher, *arguments)


@pytest.mark.slow
def test_the_distillation_study(tmp_path):
    release = releases.biq2021(tmp_path / "BIQ2021")
    study = load_example("distillation_study")
    arguments = ["--data", str(release), "--output", str(tmp_path / "run"), "--seeds", "1", "--batch-size", "4"]
    options = ["--teacher-epochs", "1", "--student-epochs", "1"]
    study.main(study.make_parser().parse_args([*arguments, *options]))
    assert DPIQAImageProcessor.from_pretrained(tmp_path / "run" / "teacher").size["height"] == study.SIZE
    table = (tmp_path / "run" / "table.md").read_text()
    for name in ("teacher", "student, feature map weight 0", "student, feature map weight 1"):
        assert f"| {name} |" in table


def test_push_to_hub_in_a_dry_run_lists_every_file(capsys):
    run("push_to_hub", "--checkpoint", bundled_checkpoint(), "--repo_id", "organisation/name", "--dry_run")
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
