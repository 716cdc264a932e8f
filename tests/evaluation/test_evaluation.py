"""`dpiqa evaluate`: tables that can be quoted, from scores that are those of the `Scorer`."""

import csv
import json
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCardData
from transformers import AutoModel
from typer.testing import CliRunner

from dpiqa import Score, Scorer
from dpiqa.cli import app
from dpiqa.data import DataSource, load_iqa_splits
from dpiqa.data.distortions import make_distorted_set
from dpiqa.evaluation.evaluate import evaluate as run
from dpiqa.evaluation.evaluate import evaluate_photos
from dpiqa.evaluation.rated import RatedSet
from dpiqa.evaluation.report import read_results, to_eval_results
from support import releases
from support.commands import dpiqa, usage_error


@pytest.fixture
def sets(tmp_path):
    for name in ("biq2021", "spaq", "kadid10k"):
        (tmp_path / name).mkdir()
        releases.MAKE[name](tmp_path / name)
    return tmp_path


@pytest.fixture
def evaluate(sets, tiny_checkpoint):
    def evaluate(*arguments, data=("biq2021", "spaq"), model=True):
        command = ["evaluate", "-o", str(sets / "results"), "--resamples", "20", "--overwrite"]
        command += [part for name in data for part in ("--data", f"{name}={sets / name}")]
        command += ["--model", str(tiny_checkpoint)] if model else []
        return CliRunner().invoke(app, [*command, *map(str, arguments)])

    return evaluate


@pytest.fixture
def no_plots(monkeypatch):
    """Plots take half of the time of a small evaluation."""
    monkeypatch.setattr("dpiqa.evaluation.evaluate.scatter_plot", lambda *_, **__: None)


def results_of(sets):
    return read_results(sets / "results" / "results.json")


def test_results_for_every_data_set_and_part(evaluate, sets):
    result = evaluate()
    assert result.exit_code == 0, result.output
    parts = [(row.data, row.part, row.photos) for row in results_of(sets)]
    assert ("biq2021", "test", 3) in parts
    assert ("spaq", "test", 2) in parts
    assert [part for _, part, _ in parts[:2]] == ["test", "test, unseen scenes"]
    assert "SRCC by data set" in result.output
    assert (sets / "results" / "plots" / "biq2021" / "tiny-checkpoint.png").stat().st_size > 5000


@pytest.mark.usefixtures("no_plots")
def test_scores_are_those_of_the_scorer(evaluate, sets, tiny_checkpoint):
    evaluate(data=["spaq"])
    with (sets / "results" / "predictions" / "spaq" / "tiny-checkpoint.csv").open() as file:
        rows = list(csv.DictReader(file))
    scorer = Scorer.from_pretrained(tiny_checkpoint)
    for row in rows:
        assert float(row["score"]) == pytest.approx(scorer(sets / "spaq" / "TestImage" / row["path"]).score, abs=1e-6)


@pytest.mark.usefixtures("no_plots")
def test_photos_of_train_scenes_are_left_out(evaluate, sets):
    images = sets / "biq2021" / "Images"
    releases.picture(10).resize((96, 96)).save(images / "ss02 (1).JPG")
    evaluate(data=["biq2021"])
    by_part = {row.part: row.photos for row in results_of(sets)}
    assert (by_part["test"], by_part["test, unseen scenes"]) == (3, 2)


@pytest.mark.usefixtures("no_plots")
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


@pytest.fixture
def scored(monkeypatch):
    """The photos that models scored, in order."""
    photos = []
    real = Scorer._read_or_error
    monkeypatch.setattr(Scorer, "_read_or_error", lambda self, image: photos.append(image) or real(self, image))
    return photos


@pytest.mark.usefixtures("no_plots")
class TestKeptScores:
    """Scores are kept by the content of the model and of the photo, and by nothing else."""

    def test_a_second_run_scores_nothing_again(self, evaluate, sets, scored):
        evaluate()
        first = results_of(sets)
        scored.clear()
        assert evaluate().exit_code == 0
        assert (results_of(sets), scored) == (first, [])

    def test_an_interrupted_run_goes_on(self, evaluate, sets, scored):
        evaluate(data=["spaq"])
        (log,) = (sets / "results" / "cache").iterdir()
        complete = log.read_text()
        log.write_text(complete[:-4])  # killed in the middle of the last line
        scored.clear()
        evaluate(data=["spaq"])
        assert [line[:64] for line in log.read_text().splitlines()] == [line[:64] for line in complete.splitlines()]
        assert len(scored) == 1

    @pytest.mark.parametrize(("old", "new"), [(".", "x"), (".", "1"), ("0.", "0.0"), ("0.", "nan")])
    def test_a_line_that_a_disk_has_changed_is_scored_again(self, evaluate, sets, scored, old, new):
        evaluate(data=["spaq"])
        first = results_of(sets)[0].metrics["rmse"]["value"]
        (log,) = (sets / "results" / "cache").iterdir()
        lines = log.read_text().splitlines(keepends=True)
        log.write_text("".join([lines[0][:64] + lines[0][64:].replace(old, new, 1), *lines[1:]]))
        scored.clear()
        assert evaluate(data=["spaq"]).exit_code == 0
        assert len(scored) == 1
        assert results_of(sets)[0].metrics["rmse"]["value"] == pytest.approx(first)

    def test_a_model_that_was_trained_again_is_scored_again(self, evaluate, sets, tiny_checkpoint):
        evaluate(data=["spaq"])
        before = results_of(sets)[0].metrics["rmse"]["value"]
        model = AutoModel.from_pretrained(tiny_checkpoint)
        with torch.no_grad():
            model.head.quality.bias.add_(1)
        model.save_pretrained(tiny_checkpoint)
        evaluate(data=["spaq"])
        assert results_of(sets)[0].metrics["rmse"]["value"] != pytest.approx(before)

    def test_another_type_is_scored_again(self, evaluate, scored):
        evaluate(data=["spaq"])
        scored.clear()
        evaluate("--dtype", "bfloat16", data=["spaq"])
        assert len(scored) == 2

    def test_a_photo_that_changed_is_scored_again(self, evaluate, sets, scored):
        evaluate(data=["spaq"])
        changed = Path(scored[0]["path"])
        releases.picture(99).save(changed)
        scored.clear()
        evaluate(data=["spaq"])
        assert [photo["path"] for photo in scored] == [str(changed)]

    def test_a_photo_without_a_score_is_not_kept(self, evaluate, sets, monkeypatch):
        real = Scorer._read_or_error
        monkeypatch.setattr(Scorer, "_read_or_error", lambda self, image: Score(float("nan"), error="no plugin"))
        assert evaluate(data=["spaq"]).exit_code == 2
        monkeypatch.setattr(Scorer, "_read_or_error", real)
        assert evaluate(data=["spaq"]).exit_code == 0
        assert results_of(sets)[0].errors == 0

    def test_tables_of_one_name_do_not_mix(self, sets, tiny_checkpoint):
        for folder, seed in (("a", 0), ("b", 50)):
            (sets / folder).mkdir()
            for index in range(4):
                releases.picture(seed + index).save(sets / folder / f"{index}.png")
            lines = "".join(f"{index}.png,{index / 4}\n" for index in range(4))
            (sets / folder / "photos.csv").write_text("path,mos\n" + lines)
        options = {"split": "all", "resamples": 0, "overwrite": True}
        run_b = lambda output: run([str(tiny_checkpoint)], [str(sets / "b/photos.csv")], output, **options)  # noqa: E731
        run([str(tiny_checkpoint)], [str(sets / "a/photos.csv")], sets / "one", **options)
        assert run_b(sets / "one") == run_b(sets / "two")


@pytest.mark.usefixtures("no_plots")
class TestDamagedPhoto:
    @pytest.fixture
    def damaged(self, sets):
        train = load_iqa_splits("spaq", sets / "spaq")["train"]
        photo = Path(train[0]["image"]["path"])
        photo.write_bytes(photo.read_bytes()[:-100])  # the header is fine, the end is missing
        return len(train)

    def test_it_is_counted(self, evaluate, sets, damaged):
        evaluate("--split", "train", data=["spaq"])
        row = results_of(sets)[0]
        assert (row.photos, row.errors) == (damaged - 1, 1)

    def test_with_allow_missing_it_is_left_out(self, evaluate, sets, damaged):
        evaluate("--split", "train", "--allow-missing", data=["spaq"])
        row = results_of(sets)[0]
        assert (row.photos, row.errors) == (damaged - 1, 0)

    @pytest.mark.parametrize(
        ("options", "consequence"), [((), "counted as errors"), (("--allow-missing",), "left out")]
    )
    def test_it_is_named(self, evaluate, sets, damaged, caplog, options, consequence):
        first = load_iqa_splits("spaq", sets / "spaq")["train"]["name"][0]
        evaluate("--split", "train", *options, data=["spaq"])
        assert f"spaq: no score for 1 of {damaged} photos: {first} (" in caplog.text
        assert f"They are {consequence}." in caplog.text

    def test_counts_are_medians_over_seeds_as_figures_are(self, sets, tiny_checkpoint):
        splits = [load_iqa_splits("spaq", sets / "spaq", seed=seed)["test"]["name"][:] for seed in range(3)]
        (name,) = sorted(set(splits[0]) - set(splits[1]) - set(splits[2]))[:1]
        photo = sets / "spaq" / "TestImage" / name
        photo.write_bytes(photo.read_bytes()[:-100])
        # In test with seed 0, in train with seeds 1 and 2.
        options = {"split": "train", "seeds": (0, 1, 2), "resamples": 0}
        (result,) = run([str(tiny_checkpoint)], [f"spaq={sets / 'spaq'}"], sets / "out", **options).results
        assert result.errors == 1

    @pytest.mark.parametrize(("options", "errors"), [((), 1), (("--allow-missing",), 0)])
    def test_in_an_official_set_it_ends_nothing_either(self, evaluate, sets, options, errors):
        test = load_iqa_splits("biq2021", sets / "biq2021")["test"]
        releases.picture(7, 300).save(test[0]["image"]["path"])
        photo = Path(test[0]["image"]["path"])
        photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
        result = evaluate(*options, data=["biq2021"])
        assert result.exit_code == 0, result.output
        assert (results_of(sets)[0].photos, results_of(sets)[0].errors) == (2, errors)


@pytest.mark.usefixtures("no_plots")
class TestWhatIsEvaluated:
    @pytest.fixture
    def table(self, sets):
        """Writes a table of 20 photos, with more columns by photo number."""

        def table(columns="", cells=lambda index: ""):
            for index in range(20):
                releases.picture(index).save(sets / f"{index}.png")
            lines = "".join(f"{index}.png,{index / 20}{cells(index)}\n" for index in range(20))
            (sets / "photos.csv").write_text(f"path,mos{columns}\n{lines}")
            return sets / "photos.csv"

        return table

    def test_a_cut_is_told_and_so_is_the_way_around_it(self, evaluate, sets, table):
        result = evaluate("--data", table(), data=[])
        text = " ".join(result.output.split())
        assert "photos: 4 of 20 photos, a test split cut by seed 0. --split all takes every photo." in text
        assert "results.md, results.json and a plot" in text

    def test_all_takes_every_photo(self, evaluate, sets, table):
        result = evaluate("--data", table(), "--split", "all", data=[])
        assert "photos: all 20 photos." in " ".join(result.output.split())
        assert [(row.part, row.photos) for row in results_of(sets)] == [("all", 20)]

    @pytest.mark.parametrize("name", releases.MAKE)
    def test_all_takes_every_photo_of_every_released_set(self, tmp_path, name):
        every = load_iqa_splits(name, releases.MAKE[name](tmp_path)).whole["name"][:]
        rated = RatedSet.read(DataSource.of(f"{name}={tmp_path}"), "all", seeds=[0, 1], allow_missing=False)
        assert [photos["name"][:] for photos in rated.chosen] == [every]
        assert rated.in_words().endswith(f": all {len(every)} photos.")

    def test_a_table_of_test_photos_alone(self, evaluate, sets, table):
        result = evaluate("--data", table(",split", lambda index: ",test"), data=[])
        assert result.exit_code == 0, result.output
        assert [(row.part, row.photos) for row in results_of(sets)] == [("test", 20)]

    def test_only_the_test_split_has_unseen_scenes(self, evaluate, sets):
        evaluate("--split", "train", data=["biq2021"])
        assert not [row.part for row in results_of(sets) if "scenes" in row.part]

    def test_groups_are_reported(self, evaluate, sets, table):
        evaluate("--data", table(",group", lambda index: f",{'ab'[index % 2]}"), "--split", "all", data=[])
        rows = [(row.part, row.photos) for row in results_of(sets)]
        assert rows == [("all", 20), ("all, a", 10), ("all, b", 10)]

    def test_the_rating_scale_is_an_option(self, evaluate, sets, table):
        path = table()
        path.write_text(path.read_text().replace("0.95", "5"))
        assert "--mos-range 0 5" in usage_error("evaluate", "--data", path, "--split", "all", "-o", sets / "none")
        result = evaluate("--data", path, "--mos-range", 0, 5, "--split", "all", data=[])
        assert result.exit_code == 0, result.output

    def test_photos_inside_a_data_set_are_evaluated_too(self, sets, tiny_checkpoint, table):
        path = table()
        rows = load_iqa_splits(str(path)).whole
        inside = {"image": [{"bytes": (sets / name).read_bytes(), "path": None} for name in rows["name"]]}
        embedded = rows.remove_columns("image").add_column("image", inside["image"], feature=rows.features["image"])
        scorer = Scorer.from_pretrained(tiny_checkpoint)
        names = {"model": "m", "data": "d", "resamples": 0}
        assert evaluate_photos(scorer, embedded, **names) == evaluate_photos(scorer, rows, **names)

    def test_the_interval_is_held_against_what_the_configuration_promises(self, table, tiny_checkpoint):
        scorer = Scorer.from_pretrained(tiny_checkpoint)
        scorer.config.interval_half_width, scorer.config.interval_coverage = 0.2, 0.75
        photos = load_iqa_splits(str(table())).whole
        result = evaluate_photos(scorer, photos, model="m", data="d", resamples=0)
        assert result.nominal_coverage == 0.75
        assert "interval_coverage" in result.metrics


@pytest.mark.usefixtures("no_plots")
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
        (["--data", "spaq=.", "--seeds", "abc"], "expected seeds such as 0, 0-9 or 0,3,5"),
        (["--data", "spaq=.", "--seeds", "5-2"], "expected seeds such as 0, 0-9 or 0,3,5"),
        (["--data", "spaq=.", "--split", "tset"], "Unknown split 'tset': expected train, validation, test or all"),
    ],
)
def test_wrong_usage_is_explained(tmp_path, monkeypatch, arguments, message):
    pytest.importorskip("matplotlib")
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


@pytest.mark.parametrize("extra", ["imagehash", "matplotlib"])
def test_a_missing_extra_is_named_before_anything_is_scored(evaluate, scored, monkeypatch, extra):
    monkeypatch.setitem(sys.modules, extra, None)
    monkeypatch.setitem(sys.modules, f"{extra}.figure", None)
    result = evaluate(data=["biq2021"])
    assert result.exit_code == 2
    assert scored == []
    assert f'{extra} is not installed: pip install ".[eval]"' in " ".join(result.output.replace("│", " ").split())


class TestDistortedSets:
    @pytest.fixture
    def distorted(self, tmp_path, photo):
        photo.save(tmp_path / "china.png")
        make_distorted_set([tmp_path / "china.png"], tmp_path / "set", kinds=["jpeg"], max_side=64)
        return tmp_path / "set"

    @pytest.fixture
    def other(self, tmp_path):
        falling = {"china.png": 1.0} | {f"china--jpeg-{level}.png": 1 - level / 10 for level in range(1, 6)}
        lines = [f"{name},{score}" for name, score in falling.items()]
        (tmp_path / "peer.csv").write_text("\n".join(["name,score", *lines]) + "\n")
        return tmp_path / "peer.csv"

    def test_other_tools_stand_in_the_table(self, tmp_path, distorted, other):
        result = dpiqa("evaluate", "--data", distorted, "--predictions", other, "-o", tmp_path / "out")
        assert result.exit_code == 0, result.output
        assert "| jpeg | 100% | 100% |" in (tmp_path / "out" / "consistency.md").read_text()

    def test_other_tools_may_have_scored_these_alone(self, evaluate, sets, distorted, other):
        result = evaluate("--data", distorted, "--predictions", other, data=["spaq"])
        assert result.exit_code == 0, result.output
        assert [row.model for row in results_of(sets)] == ["tiny-checkpoint"]
        assert "peer on set" in (sets / "results" / "consistency.md").read_text()

    def test_one_name_of_two_data_sets_is_an_error(self, tmp_path, sets, distorted, tiny_checkpoint):
        distorted.rename(tmp_path / "spaq2")
        (tmp_path / "a").mkdir()
        releases.save_pictures(tmp_path / "a", ["0.png", "1.png"])
        (tmp_path / "a" / "spaq2.csv").write_text("path,mos\n0.png,0\n1.png,1\n")
        data = [str(tmp_path / "spaq2"), str(tmp_path / "a" / "spaq2.csv")]
        with pytest.raises(ValueError, match="Two data sets have the name spaq2"):
            run([str(tiny_checkpoint)], data, tmp_path / "out")

    def test_predictions_of_none_of_the_photos_are_an_error(self, tmp_path, distorted):
        (tmp_path / "peer.csv").write_text("name,score\nother.png,1\n")
        message = usage_error(
            "evaluate", "--data", distorted, "--predictions", tmp_path / "peer.csv", "-o", tmp_path / "out"
        )
        assert "no photo of these data sets is in the file" in message


class TestOutput:
    def test_results_are_not_replaced_unasked(self, tmp_path, sets, tiny_checkpoint, scored):
        command = ["evaluate", "--data", f"spaq={sets / 'spaq'}", "--model", tiny_checkpoint, "-o", tmp_path / "out"]
        assert dpiqa(*command).exit_code == 0
        before = (tmp_path / "out" / "results.json").read_text()
        scored.clear()
        message = usage_error(*command, "--resamples", "0")
        assert "holds results already (results.json, results.md): choose another folder" in message
        assert "--overwrite" in message
        assert ((tmp_path / "out" / "results.json").read_text(), scored) == (before, [])
        assert dpiqa(*command, "--resamples", "0", "--overwrite").exit_code == 0
        assert (tmp_path / "out" / "results.json").read_text() != before

    def test_results_of_other_data_do_not_stay(self, tmp_path, sets, tiny_checkpoint):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "consistency.md").write_text("of an earlier evaluation")
        run([str(tiny_checkpoint)], [f"spaq={sets / 'spaq'}"], tmp_path / "out", overwrite=True, resamples=0)
        assert not (tmp_path / "out" / "consistency.md").exists()

    def test_every_model_and_data_set_has_its_own_plot(self, tmp_path, tiny_checkpoint):
        releases.save_pictures(tmp_path, [f"{index}.png" for index in range(4)])
        lines = "".join(f"{index}.png,{index / 4}\n" for index in range(4))
        for name in ("a b.csv", "a-b.csv"):
            (tmp_path / name).write_text("path,mos\n" + lines)
        data = [str(tmp_path / name) for name in ("a b.csv", "a-b.csv")]
        run([str(tiny_checkpoint)], data, tmp_path / "out", split="all", resamples=0)
        assert len(list((tmp_path / "out").rglob("*.png"))) == 2

    def test_labels_of_all_data_sets_are_read_before_anything_is_scored(self, tmp_path, sets, tiny_checkpoint, scored):
        (tmp_path / "photos.csv").write_text("path,mos\nnowhere.png,1\n")
        with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
            run([str(tiny_checkpoint)], [f"spaq={sets / 'spaq'}", str(tmp_path / "photos.csv")], tmp_path / "out")
        assert scored == []


@pytest.mark.parametrize("command", ["evaluate --data", "prepare"])
def test_half_a_rating_scale_is_explained(tmp_path, command):
    message = usage_error(*command.split(), "photos.csv", "--mos-range", "1", "-o", tmp_path / "out")
    assert "expected two numbers, LOW and HIGH, such as 1 5; found 1 -o" in message


def test_a_missing_deviation_in_one_of_several_splits_ends_nothing(tmp_path, tiny_checkpoint):
    releases.save_pictures(tmp_path, [f"{index}.png" for index in range(40)])
    rows = [f"{index}.png,{index / 40},{0.1 if index else ''}" for index in range(40)]
    (tmp_path / "photos.csv").write_text("\n".join(["path,mos,std", *rows]) + "\n")
    results, _ = run(
        [str(tiny_checkpoint)], [str(tmp_path / "photos.csv")], tmp_path / "out", seeds=range(6), resamples=0
    )
    assert "srcc" in results[0].metrics
    assert "outlier_ratio" not in results[0].metrics
    assert "[0." not in (tmp_path / "out" / "results.md").read_text()
