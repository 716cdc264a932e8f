"""`dpiqa train`, end to end, on tiny models and small files."""

import importlib
import json
import re
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from dpiqa import DPIQAImageProcessor, DPIQAModel, DPIQAStudent, DPIQAStudentConfig, ImageError, Scorer
from dpiqa.cli import app
from dpiqa.data import load_iqa_splits
from dpiqa.evaluation.report import read_results
from dpiqa.hub.push import push_to_hub
from dpiqa.training import photo_dataset, run_arguments
from dpiqa.training.lora import merge_lora
from dpiqa.training.run import photos_for_an_interval
from support import releases, teachers

SCRIPTS = ("teacher", "student", "distill")


def run(name, *arguments):
    """The figures of a script, called as its command calls it."""
    script = importlib.import_module(f"dpiqa.training.scripts.{name}")
    return script.main(*script.make_parser().parse_args_into_dataclasses([str(value) for value in arguments]))


def command(*arguments):
    """Exit status and output of `dpiqa train ...`, without the line breaks that a terminal decides on."""
    result = CliRunner().invoke(app, ["train", *(str(value) for value in arguments)])
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def table(tmp_path):
    """A table of thirty pictures rated from 1 to 5."""
    releases.save_pictures(tmp_path, [f"{index}.png" for index in range(30)])
    rows = [f"{index}.png,{1 + index % 5}" for index in range(30)]
    (tmp_path / "photos.csv").write_text("\n".join(["path,mos", *rows]) + "\n")
    return tmp_path / "photos.csv"


@pytest.fixture
def common(table):
    return ("--data", table, "--mos-range", 1, 5, "--resamples", 20)


@pytest.fixture
def tiny_teacher(tmp_path):
    teachers.teacher().save_pretrained(tmp_path / "tiny")
    DPIQAImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


class TestStudent:
    def test_a_table_of_own_photos_becomes_a_model_that_scores(self, tmp_path, common, tiny_checkpoint):
        mine = tmp_path / "mine"
        options = ("--num-train-epochs", 2, "--disable-tqdm", "true", "--model", tiny_checkpoint, "-o", mine)
        status, output = command("student", *common, *options)
        assert status == 0, output
        assert "18 photos to train, 6 to choose the epoch, 0 to calibrate" in output
        assert "6 to test (cut by name with seed 0)" in output
        assert f"dpiqa score photos/ --model {mine}" in output
        before, after = read_results(mine / "results.json")
        assert (before.model, after.model) == ("before training", "mine")
        assert before.metrics["rmse"]["value"] != after.metrics["rmse"]["value"]
        assert [before.photos, after.photos] == [6, 6]
        assert 0 <= Scorer.from_pretrained(mine)(tmp_path / "3.png").percentile <= 100
        assert DPIQAStudentConfig.from_pretrained(mine).score_range == [1, 5]
        card = ModelCard.load(mine / "README.md")
        assert (card.data.eval_results[0].dataset_type, before.data) == ("photos", "photos")
        assert card.data.eval_results[0].metric_value == round(after.metrics["srcc"]["value"], 4)
        assert push_to_hub(mine, "organisation/mine", dry_run=True)

    def test_its_figures_are_those_that_a_scorer_gives(self, tmp_path, common, table, tiny_checkpoint):
        options = ("--max-steps", 1, "--bf16", "--model", tiny_checkpoint, "-o", tmp_path / "mine")
        (_, after) = run("student", *common, *options)
        test = load_iqa_splits(table, mos_range=(1, 5))["test"]
        scores = [score.score for score in Scorer.from_pretrained(tmp_path / "mine")([*test["image"]])]
        squares = [(score - mos) ** 2 for score, mos in zip(scores, test["mos"], strict=True)]
        assert after.metrics["rmse"]["value"] == pytest.approx((sum(squares) / len(squares)) ** 0.5)

    def test_the_test_photos_are_not_opened_before_training_is_over(
        self, tmp_path, common, table, tiny_checkpoint, monkeypatch
    ):
        opened = []
        monkeypatch.setattr(
            photo_dataset, "augmented_pixels", lambda image, *_: opened.append(image["path"]) or torch.rand(3, 64, 64)
        )
        run("student", *common, "--num-train-epochs", 2, "--model", tiny_checkpoint, "-o", tmp_path / "mine")
        test = set(load_iqa_splits(table, mos_range=(1, 5))["test"]["name"])
        assert opened
        assert not test & {Path(path).name for path in opened}

    def test_damaged_photos_are_found_before_training(self, tmp_path, common, tiny_checkpoint, caplog):
        for name in ("9.png", "3.png"):  # one to test on, one to train on
            (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-60])
        options = (*common, "--max-steps", 1, "--model", tiny_checkpoint, "-o", tmp_path / "mine")
        found = r"2 of 30 photos cannot be decoded: 3\.png, 9\.png"
        with pytest.raises(ImageError, match=rf"3\.png: .* {found}; --allow-missing leaves them out"):
            run("student", *options)
        (_, after) = run("student", *options, "--allow-missing")
        assert after.photos == 5
        assert re.search(f"{found}. They are left out", caplog.text)

    def test_the_check_of_every_photo_can_be_skipped(self, tmp_path, common, tiny_checkpoint, monkeypatch):
        monkeypatch.setattr(run_arguments, "open_image", pytest.fail)
        options = ("--max-steps", 1, "--model", tiny_checkpoint, "-o", tmp_path / "mine")
        (_, after) = run("student", *common, *options, "--skip-check")
        assert after.photos == 6

    def test_the_card_says_how_it_was_trained(self, tmp_path, common, tiny_checkpoint, monkeypatch):
        typed = ["/usr/bin/dpiqa", "train", "student", "--hub_token", "hf_secret", "--hub-token=hf_secret", "-x"]
        monkeypatch.setattr("sys.argv", typed)
        options = ("--max-steps", 1, "--model", tiny_checkpoint, "-o", tmp_path / "mine", "--licence", "cc0-1.0")
        (_, after) = run("student", *common, *options)
        card = (tmp_path / "mine" / "README.md").read_text()
        assert "dpiqa train student --hub_token '***' '--hub-token=***' -x" in card
        assert "license: cc0-1.0" in card
        assert after.seeds == [0]

    def test_a_resumed_run_has_the_log_of_the_whole(self, tmp_path, common, tiny_checkpoint):
        options = ("--model", tiny_checkpoint, "--mirror", "--lr-scheduler-type", "constant", "--name", "mine")
        for folder, epochs in (("whole", [3]), ("parts", [2, 3])):
            for number, count in enumerate(epochs):
                resume = ("--resume-from-checkpoint", "last") if number else ()
                run("student", *common, *options, "--num-train-epochs", count, *resume, "-o", tmp_path / folder)
        logs = [
            (tmp_path / folder / "README.md").read_text().split("| Training Loss")[1].split("## Figures")[0]
            for folder in ("whole", "parts")
        ]
        assert logs[0] == logs[1]


class TestValidationPhotos:
    """One half chooses the epoch, the other gives the interval."""

    @pytest.fixture
    def table(self, tmp_path):
        """With twenty validation photos: ten and ten."""
        releases.save_pictures(tmp_path, [f"{index}.png" for index in range(40)])
        split = ["train"] * 12 + ["validation"] * 20 + ["test"] * 8
        rows = [f"{index}.png,{1 + index % 5},{split[index]}" for index in range(40)]
        (tmp_path / "photos.csv").write_text("\n".join(["path,mos,split", *rows]) + "\n")
        return tmp_path / "photos.csv"

    def test_no_photo_has_both_tasks(self, tmp_path, common, table, tiny_checkpoint, monkeypatch):
        opened = []
        pixels = photo_dataset.augmented_pixels
        monkeypatch.setattr(
            photo_dataset,
            "augmented_pixels",
            lambda image, *rest: opened.append(image["path"]) or pixels(image, *rest),
        )
        mine = tmp_path / "mine"
        status, output = command("student", *common, "--max-steps", 1, "--model", tiny_checkpoint, "-o", mine)
        assert status == 0, output
        assert "10 to choose the epoch, 10 to calibrate the interval, 8 to test (its own test split)" in output
        _, calibration = load_iqa_splits(table, mos_range=(1, 5)).halve_validation()
        assert not {Path(path).name for path in opened} & set(calibration["name"])
        scorer = Scorer.from_pretrained(mine)
        scores = [score.score for score in scorer([*calibration["image"]])]
        residuals = sorted(abs(score - mos) for score, mos in zip(scores, calibration["mos"], strict=True))
        # Split conformal: the ceil(11 x 0.9) = 10th of ten.
        assert scorer.config.interval_half_width == pytest.approx(residuals[9], abs=1e-5)
        card = (mine / "README.md").read_text()
        assert "10 to choose the epoch, 10 others to calibrate the interval" in card

    @pytest.mark.parametrize(("coverage", "photos"), [(0.9, 9), (0.8, 4), (0.95, 19)])
    def test_how_many_an_interval_needs(self, coverage, photos):
        assert photos_for_an_interval(coverage) == photos

    def test_the_coverage_is_the_configurations(self, tmp_path, common, tiny_checkpoint):
        config = json.loads((tiny_checkpoint / "config.json").read_text())
        (tiny_checkpoint / "config.json").write_text(json.dumps(config | {"interval_coverage": 0.8}))
        run("student", *common, "--max-steps", 1, "--model", tiny_checkpoint, "-o", tmp_path / "mine")
        assert "to cover 80 % of" in " ".join((tmp_path / "mine" / "README.md").read_text().split())

    def test_with_too_few_all_choose_the_epoch_and_there_is_no_interval(self, tmp_path, common, tiny_checkpoint):
        config = json.loads((tiny_checkpoint / "config.json").read_text())
        (tiny_checkpoint / "config.json").write_text(json.dumps(config | {"interval_coverage": 0.95}))
        status, output = command(
            "student", *common, "--max-steps", 1, "--model", tiny_checkpoint, "-o", tmp_path / "mine"
        )
        assert status == 0, output
        assert "20 to choose the epoch, 0 to calibrate the interval" in output
        assert "a 95 % interval needs 19 photos beside those that choose the epoch, so 38 for validation" in output
        assert "There is no interval" in (tmp_path / "mine" / "README.md").read_text()
        assert Scorer.from_pretrained(tmp_path / "mine")(tmp_path / "3.png").interval is None


class TestTeacher:
    def test_it_is_trained_and_distilled(self, tmp_path, table, tiny_teacher):
        config = tmp_path / "run.yaml"
        config.write_text(
            f"data: {table}\nmos-range: [1, 5]\nresamples: 20\nmax_steps: 4\nper_device_train_batch_size: 8\n"
        )
        teacher, student = tmp_path / "teacher", tmp_path / "student"
        status, output = command("teacher", "--config", config, "--model", tiny_teacher, "-o", teacher, "--mirror")
        assert status == 0, output
        assert read_results(teacher / "results.json")[0].photos == 6
        # 18 photos to train on in two augmentations, and 6 that choose the epoch.
        assert len(list((teacher / "latents").rglob("*.safetensors"))) == 2 * 18 + 6
        options = ("--backbone", "efficientnet-lite0", "--head", "pooled", "--image-size", 64)
        status, output = command("distill", "--config", config, "--teacher", teacher, "-o", student, *options)
        assert status == 0, output
        assert len(list((student / "feature-maps").rglob("*.safetensors"))) == 18
        assert "1 x mse + 1 x ranking + 1 x feature map" in (student / "README.md").read_text()
        assert Scorer.from_pretrained(student)(tmp_path / "3.png").percentile is not None

    def test_low_rank_updates_are_trained_and_distilled(self, tmp_path, common):
        stable_diffusion = teachers.save_stable_diffusion(tmp_path / "sd")
        clip = teachers.save_clip(tmp_path / "clip")
        output = tmp_path / "lora"
        start = ("--stable-diffusion", stable_diffusion, "--text-model", clip, "--image-size", 32, "--lora-rank", 2)
        memory = ("--activation-checkpointing", "--per-device-train-batch-size", 2)
        (result,) = run("teacher", *common, "--max-steps", 2, *start, *memory, "-o", output)
        assert result.photos == 6
        sizes = [(output / name).stat().st_size for name in ("adapter_model.safetensors", "base/model.safetensors")]
        assert sizes[0] < sizes[1]
        (output.parent / "moved").mkdir()
        output = output.rename(output.parent / "moved" / "lora")
        assert merge_lora(output).config.score_quantiles is not None
        assert 'merge_lora("lora")' in (output / "README.md").read_text()
        options = ("--backbone", "efficientnet-lite0", "--head", "pooled", "--image-size", 64, "--max-steps", 1)
        run("distill", *common, "--teacher", output, "-o", tmp_path / "student", *options)

    def test_a_size_that_the_autoencoder_cannot_take_is_said_before_its_latents(self, tmp_path, common, tiny_teacher):
        DPIQAImageProcessor(size={"height": 64, "width": 61}).save_pretrained(tiny_teacher)
        with pytest.raises(ValueError, match="multiples of 2 pixels, got 64x61"):
            run("teacher", *common, "--max-steps", 1, "--model", tiny_teacher, "-o", tmp_path / "teacher")
        assert not (tmp_path / "teacher" / "latents").exists()

    def test_a_size_that_the_student_cannot_take_is_said_before_feature_maps(self, tmp_path, common, tiny_teacher):
        student = ("--backbone", "efficientnet-lite0", "--head", "pooled", "--image-size", 8)
        with pytest.raises(ValueError, match="at least 32 pixels, got 8x8"):
            run("distill", *common, "--teacher", tiny_teacher, *student, "-o", tmp_path / "student")
        assert not (tmp_path / "student" / "feature-maps").exists()

    def test_a_whole_teacher_in_place_of_old_updates_is_the_one_that_scores(self, tmp_path, common, tiny_teacher):
        old = tmp_path / "old"
        old.mkdir()
        (old / "adapter_config.json").write_text("{}")
        run("teacher", *common, "--max-steps", 1, "--model", tiny_teacher, "-o", old, "--overwrite")
        assert Scorer.from_pretrained(old).config.score_quantiles is not None


class TestCommandLine:
    @pytest.mark.parametrize("name", SCRIPTS)
    @pytest.mark.parametrize("columns", ["60", "200"])
    def test_help_is_short_and_shows_hyphens(self, name, columns, monkeypatch):
        monkeypatch.setenv("COLUMNS", columns)
        status, output = command(name, "--help")
        assert status == 0
        assert "--mos-range LOW HIGH" in output
        assert "-o, --output" in output
        assert "--mos_range" not in output
        assert "--fsdp" not in output
        assert "--fsdp" in command(name, "--help-all")[1]
        assert len(output.split()) < 700

    @pytest.mark.parametrize("name", ["teacher", "distill"])
    def test_published_drops_belong_to_presets(self, name):
        parser = importlib.import_module(f"dpiqa.training.scripts.{name}").make_parser()
        (_, own) = parser.parse_args_into_dataclasses(["--data", "photos.csv"])
        assert own.learning_rate_drops == []
        (_, published) = parser.parse_args_into_dataclasses(["--data", "photos.csv", "--preset", "koniq"])
        assert published.learning_rate_drops == [5]
        assert published.lr_scheduler_type == "constant"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--data", "nowhere.csv"), "nowhere.csv"),
            (("--data", "photos.csv"), "run from 1 to 5"),
            (("--data", "photos.csv", "--mos-range", "1"), "--mos-range: expected 2 values, LOW and HIGH"),
            (("--data", "photos.csv", "--lerning-rate", "1"), "did you mean --learning-rate?"),
            (("--data", "photos.csv", "--config", "nowhere.yaml"), "there is no file nowhere.yaml"),
            (("--data", "photos.csv", "--mos-range", "1", "5", "--model", "nowhere"), "--model nowhere"),
            (("--data", "photos.csv", "--mos-range", "1", "5", "--mse-weight", "0"), "All loss weights are 0"),
            ((), "required: --data"),
        ],
    )
    def test_what_is_wrong_is_one_sentence(self, table, tiny_checkpoint, monkeypatch, arguments, message):
        monkeypatch.chdir(table.parent)
        model = () if "--model" in arguments else ("--model", "tiny-checkpoint")
        weights = ("--plcc-weight", "0") if "--mse-weight" in arguments else ()
        result = CliRunner().invoke(app, ["train", "student", *arguments, *model, *weights])
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.output
        assert result.stderr.strip().splitlines()[-1].startswith("dpiqa train student: ")

    @pytest.mark.parametrize(
        ("script", "arguments", "message"),
        [
            ("teacher", [], "Expected one of --model and --stable-diffusion"),
            ("teacher", ["--preset", "live"], "invalid choice: 'live'"),
            ("teacher", ["--model", "tiny", "--lora-rank", "-1"], "Expected a --lora-rank of at least 1"),
            ("teacher", ["--model", "tiny-checkpoint"], "model_type 'dpiqa-student': expected 'dpiqa'"),
            ("distill", ["--backbone", "efficientnet-b0", "--model", "x"], "Expected one of --model, --efficientnet"),
            ("distill", ["--efficientnet", "nowhere", "--teacher", "tiny"], "There is no model nowhere"),
            ("distill", ["--backbone", "efficientnet-b0", "--teacher", "nowhere"], "There is no model nowhere"),
            ("distill", ["--backbone", "efficientnet-b0", "--teacher", "a/nowhere"], "There is no model a/nowhere"),
        ],
    )
    def test_what_to_start_from_is_said_once(
        self, tmp_path, common, tiny_teacher, tiny_checkpoint, monkeypatch, script, arguments, message
    ):
        monkeypatch.chdir(tmp_path)
        status, output = command(script, *common, "-o", tmp_path / "run", *arguments)
        assert status == 2
        assert message in output

    @pytest.mark.parametrize("script", SCRIPTS)
    def test_the_photos_are_looked_at_before_weights_are_loaded(
        self, tmp_path, tiny_checkpoint, tiny_teacher, monkeypatch, script
    ):
        for model in (DPIQAModel, DPIQAStudent):
            monkeypatch.setattr(model, "from_pretrained", lambda *_, **__: pytest.fail("weights are loaded"))
        start = {
            "teacher": ("--model", tiny_teacher),
            "student": ("--model", tiny_checkpoint),
            "distill": ("--teacher", tiny_teacher, "--model", tiny_checkpoint),
        }
        with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
            run(script, "--data", "nowhere.csv", "-o", tmp_path / "run", *start[script])

    def test_a_model_is_not_replaced_unasked(self, common, tmp_path, tiny_checkpoint):
        weights = (tiny_checkpoint / "model.safetensors").read_bytes()
        options = (*common, "--max-steps", 1, "-o", tiny_checkpoint)
        status, output = command("student", *options)
        assert status == 2
        assert "already holds a model" in output
        assert (tiny_checkpoint / "model.safetensors").read_bytes() == weights
        status, output = command("student", *options, "--model", tiny_checkpoint, "--overwrite")
        assert status == 0, output
        assert (tiny_checkpoint / "model.safetensors").read_bytes() != weights

    def test_there_must_be_a_checkpoint_to_go_on_from(self, common, tmp_path, tiny_checkpoint):
        options = ("--model", tiny_checkpoint, "-o", tmp_path / "empty", "--resume-from-checkpoint", "last")
        status, output = command("student", *common, *options)
        assert status == 2
        assert "no whole checkpoint in" in output
