"""`dpiqa evaluate`: tables that can be quoted, from one pass over the images."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCardData
from typer.testing import CliRunner

import dpiqa.evaluation.evaluate
from dpiqa import Scorer
from dpiqa.cli import app
from dpiqa.data import load_iqa_splits
from dpiqa.evaluation.report import read_results, to_eval_results
from support import releases


@pytest.fixture
def sets(tmp_path):
    for name in ("biq2021", "spaq", "kadid10k"):
        (tmp_path / name).mkdir()
        releases.MAKE[name](tmp_path / name)
    return tmp_path


@pytest.fixture
def evaluate(sets, tiny_checkpoint):
    def evaluate(*arguments, data=("biq2021", "spaq"), model=True):
        command = ["evaluate", "-o", str(sets / "results"), "--resamples", "20"]
        command += [part for name in data for part in ("--data", f"{name}={sets / name}")]
        command += ["--model", str(tiny_checkpoint)] if model else []
        return CliRunner().invoke(app, [*command, *map(str, arguments)])

    return evaluate


def results_of(sets):
    return read_results(sets / "results" / "results.json")


def test_results_for_every_data_set_and_part(evaluate, sets):
    result = evaluate()
    assert result.exit_code == 0, result.output
    parts = [(row.data, row.part, row.photos) for row in results_of(sets)]
    assert ("biq2021", "test", 3) in parts
    assert ("spaq", "test", 2) in parts
    assert [part for _, part, _ in parts[:2]] == ["test", "test without scenes of train"]
    assert "SRCC by data set" in result.output
    assert (sets / "results" / "biq2021--tiny-checkpoint.png").stat().st_size > 5000


def test_scores_are_those_of_the_scorer(evaluate, sets, tiny_checkpoint):
    evaluate(data=["spaq"])
    with (sets / "results" / "predictions" / "spaq" / "tiny-checkpoint.csv").open() as file:
        rows = list(csv.DictReader(file))
    scorer = Scorer.from_pretrained(tiny_checkpoint)
    for row in rows:
        assert float(row["score"]) == pytest.approx(scorer(sets / "spaq" / "TestImage" / row["path"]).score, abs=1e-6)


def test_photos_of_train_scenes_are_left_out(evaluate, sets):
    images = sets / "biq2021" / "Images"
    releases.picture(10).resize((96, 96)).save(images / "ss02 (1).JPG")
    evaluate(data=["biq2021"])
    by_part = {row.part: row.photos for row in results_of(sets)}
    assert (by_part["test"], by_part["test without scenes of train"]) == (3, 2)


def test_seeds_give_the_median(evaluate, sets):
    evaluate("--seeds", "0-2", data=["kadid10k"])
    together = results_of(sets)[0]
    assert together.seeds == [0, 1, 2]
    values = []
    for seed in range(3):
        evaluate("--seeds", seed, data=["kadid10k"])
        values.append(results_of(sets)[0].metrics["srcc"]["value"])
    assert together.metrics["srcc"]["value"] == pytest.approx(sorted(values)[1])
    assert "outlier_ratio" in together.metrics


def test_a_second_run_scores_nothing_again(evaluate, sets, monkeypatch):
    first = evaluate().output
    monkeypatch.setattr(dpiqa.evaluation.evaluate, "open_image", pytest.fail)
    assert evaluate().output == first


def test_an_interrupted_run_goes_on(evaluate, sets, monkeypatch):
    evaluate(data=["spaq"])
    log = sets / "results" / "predictions" / "spaq" / "tiny-checkpoint.csv"
    complete = log.read_text()
    log.write_text(complete[:-4])  # killed in the middle of the last line
    opened = []
    real = dpiqa.evaluation.evaluate.open_image
    monkeypatch.setattr(dpiqa.evaluation.evaluate, "open_image", lambda *a, **k: opened.append(a) or real(*a, **k))
    evaluate(data=["spaq"])
    assert log.read_text() == complete
    assert len(opened) == 1


def test_several_models_share_one_pass(evaluate, sets, tiny_checkpoint, monkeypatch):
    other = shutil.copytree(tiny_checkpoint, sets / "other")
    opened = []
    real = dpiqa.evaluation.evaluate.open_image
    monkeypatch.setattr(dpiqa.evaluation.evaluate, "open_image", lambda *a, **k: opened.append(a) or real(*a, **k))
    evaluate("--model", other, data=["spaq"])
    assert len(opened) == 2
    assert [row.model for row in results_of(sets)] == ["tiny-checkpoint", "other"]


def test_a_photo_without_a_score_is_counted(evaluate, sets):
    train = load_iqa_splits("spaq", sets / "spaq")["train"]
    photo = Path(train[0]["image"]["path"])
    photo.write_bytes(photo.read_bytes()[:-100])  # the header is fine, the end is missing
    evaluate("--split", "train", data=["spaq"])
    row = results_of(sets)[0]
    assert (row.photos, row.errors) == (len(train) - 1, 1)


class TestPredictionsOfOthers:
    @pytest.fixture
    def other(self, sets):
        path = sets / "peer.csv"
        path.write_text("name,score\n" + "".join(f"some/where/{i:05d}.jpg,{10 * i}\n" for i in range(1, 11)))
        return path

    def test_they_stand_in_the_same_table(self, evaluate, sets, other):
        evaluate("--predictions", other, data=["spaq"])
        assert [row.model for row in results_of(sets)] == ["tiny-checkpoint", "peer"]
        assert results_of(sets)[1].metrics["srcc"]["value"] == pytest.approx(1)

    def test_no_model_is_needed(self, evaluate, sets, other):
        result = evaluate("--predictions", other, data=["spaq"], model=False)
        assert result.exit_code == 0, result.output
        assert [row.model for row in results_of(sets)] == ["peer"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("name,score\nother.jpg,1\n", "no photo of these data sets"),
            ("photo,value\n", "expected columns"),
            ("path,score\na,x\n", "'x'"),
        ],
    )
    def test_bad_files_are_errors(self, evaluate, sets, text, message):
        (sets / "peer.csv").write_text(text)
        result = evaluate("--predictions", sets / "peer.csv", data=["spaq"], model=False)
        assert result.exit_code == 2
        assert message in " ".join(result.output.replace("│", " ").split())


def test_a_photo_without_a_prediction_is_an_error(evaluate, sets):
    first = load_iqa_splits("spaq", sets / "spaq")["test"]["name"][0]
    (sets / "peer.csv").write_text(f"name,score\n{first},0.5\n")
    result = evaluate("--predictions", sets / "peer.csv", data=["spaq"], model=False)
    assert result.exit_code == 2
    assert "no score for 1 of 2 photos" in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nothing.csv"], "no file nothing.csv"),
        (["--data", "spaq"], "has to be downloaded first"),
        (["--data", "spaq=.", "--seeds", "a"], "invalid literal"),
    ],
)
def test_wrong_usage_is_explained(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["evaluate", "-o", "results", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_results_are_plain_json(evaluate, sets):
    evaluate(data=["spaq"])
    row = json.loads((sets / "results" / "results.json").read_text())[0]
    assert row["metrics"]["srcc"].keys() == {"value", "low", "high", "note"}


def test_results_become_the_model_index_of_a_card(evaluate, sets):
    evaluate(data=["spaq"])
    results = results_of(sets)
    eval_results = to_eval_results(results, "tiny-checkpoint")
    card = ModelCardData(model_name="tiny", eval_results=eval_results).to_dict()
    index = card["model-index"][0]["results"][0]
    assert index["dataset"]["name"] == "spaq, test"
    assert [metric["type"] for metric in index["metrics"]] == ["srcc", "plcc", "rmse"]
    assert index["metrics"][0]["value"] == pytest.approx(results[0].metrics["srcc"]["value"], abs=1e-4)
    with pytest.raises(ValueError, match="only of tiny-checkpoint"):
        to_eval_results(results, "other")


def test_a_missing_extra_is_named(evaluate, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagehash", None)
    result = evaluate(data=["biq2021"])
    assert result.exit_code == 2
    assert 'imagehash is not installed: pip install "dpiqa[eval]"' in " ".join(result.output.replace("│", " ").split())
