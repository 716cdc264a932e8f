"""`dpiqa score hf://datasets/ORG/NAME`, offline: the data set is where `datasets` keeps what it has loaded."""

import csv
import json

import datasets
import fsspec
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, Image, Value
from fsspec.implementations.memory import MemoryFileSystem

from dpiqa import Scorer
from dpiqa.scoring import hub_photos
from dpiqa.scoring.hub_photos import HubPhotos
from dpiqa.scoring.rows import COLUMNS, to_row
from support.commands import dpiqa, rows_of, usage_error
from support.hub_cache import add_dataset_to_cache
from support.images import encoded

SOURCE = "hf://datasets/org/photos"


@pytest.fixture
def data(photos):
    return [encoded(photo) for photo in photos]


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Puts a data set on the Hub, as far as `datasets` can tell."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def publish(repo_id="org/photos", **splits):
        add_dataset_to_cache(tmp_path / "cache", repo_id, splits)
        return f"hf://datasets/{repo_id}"

    return publish


def images(*entries, **columns):
    """A split with a column `image` of (bytes, path) or None, and others."""
    entries = [entry and dict(zip(("bytes", "path"), entry, strict=True)) for entry in entries]
    types = {name: Value("int64") for name in columns}
    return Dataset.from_dict({"image": entries, **columns}, features=Features(image=Image(), **types))


@pytest.fixture
def published(publish, data):
    """Two splits: a photo with a path, one without, a broken one and none; and one that is there again."""
    train = images((data[0], "china.jpg"), (data[1], None), (b"broken", None), None, label=[1, 2, 3, 4])
    return publish(train=train, test=images((data[0], "china.jpg"), label=[1]))


@pytest.fixture
def run(tiny_checkpoint):
    return lambda *arguments: dpiqa("score", "--model", tiny_checkpoint, *arguments)


def names(rows):
    return [row["path"] for row in rows]


ALL = ["china.jpg", "train/1", "train/2", "train/3", "china.jpg"]


def test_every_row_of_every_split_is_a_row(run, published, tiny_checkpoint, data):
    result = run(published)
    assert result.exit_code == 0, result.output
    rows = rows_of(result)
    assert tuple(rows[0]) == COLUMNS
    assert names(rows) == ALL
    expected = to_row("", Scorer.from_pretrained(tiny_checkpoint)(data[0]))
    assert float(rows[0]["score"]) == expected["score"]
    assert (rows[0]["width"], rows[0]["height"]) == ("640", "427")
    assert [bool(row["error"]) for row in rows] == [False, False, True, True, False]
    assert "3 scored by torch in float32, 2 errors" in result.stderr


def test_one_split(run, published):
    assert names(rows_of(run(published, "--split", "test"))) == ["china.jpg"]


def test_strict_counts_the_errors(run, published):
    assert run(published, "--strict").exit_code == 1
    assert run(published, "--strict", "--split", "test").exit_code == 0


def test_a_revision_is_handed_on(published, monkeypatch):
    asked = []
    load = datasets.load_dataset

    def noted(*arguments, **options):
        asked.append((arguments, options["revision"]))
        return load(*arguments, **options)

    monkeypatch.setattr(datasets, "load_dataset", noted)
    HubPhotos(f"{published}@refs/pr/1", subset="default")
    HubPhotos(published)
    assert asked == [((published, "default"), "refs/pr/1"), ((published, None), None)]


class TestResume:
    @pytest.fixture(params=["csv", "jsonl", "parquet"])
    def output(self, request, tmp_path):
        return tmp_path / f"scores.{request.param}"

    def read(self, path):
        if path.suffix == ".parquet":
            return pq.read_table(path).to_pylist()
        text = path.read_text()
        return list(csv.DictReader(text.splitlines())) if path.suffix == ".csv" else map(json.loads, text.splitlines())

    def test_other_splits_are_added_and_rows_stay(self, run, published, output):
        assert run(published, "--split", "test", "-o", output).exit_code == 0
        result = run(published, "--resume", "-o", output)
        assert result.exit_code == 0, result.output
        # The photo of this name in the first split is taken for the one that has a row.
        assert sorted(names(self.read(output))) == sorted(ALL)
        assert "2 scored by torch in float32, 2 errors, 1 kept from before" in result.stderr

    def test_a_data_set_that_ends_too_early_is_gone_on_with(self, run, published, output, monkeypatch):
        read = hub_photos._photo

        def cut_off(entry, place):
            if place == "train/2":
                raise ConnectionError("the Hub is gone")
            return read(entry, place)

        monkeypatch.setattr(hub_photos, "_photo", cut_off)
        result = run(published, "-o", output)
        assert result.exit_code == 1
        assert f"cannot read {published} to its end: the Hub is gone; what was scored until then is in" in (
            result.stderr
        )
        assert not output.exists()
        monkeypatch.setattr(hub_photos, "_photo", read)
        result = run(published, "--resume", "-o", output)
        assert "2 kept from before" in result.stderr
        assert names(self.read(output)) == ALL

    def test_what_is_finished_stays_as_it_is(self, run, published, output):
        run(published, "-o", output)
        before = output.read_bytes()
        result = run(published, "--resume", "-o", output)
        assert result.exit_code == 0
        assert result.stderr.strip().endswith("is finished: every photo has a row")
        assert output.read_bytes() == before


def test_any_error_of_a_reader_is_one_sentence(run, published, monkeypatch):
    monkeypatch.setattr(hub_photos, "_photo", lambda entry, place: [][0])
    result = run(published)
    assert result.exit_code == 1
    assert "to its end: list index out of range" in result.stderr


def test_photos_that_are_files_of_the_repository_are_fetched(run, publish, data):
    class Hub(MemoryFileSystem):
        protocol = "hf"
        store = {}

    folder = "hf://datasets/org/photos@main"
    original = fsspec.get_filesystem_class("hf")
    fsspec.register_implementation("hf", Hub, clobber=True)
    try:
        with fsspec.open(f"{folder}/a.jpg", "wb") as file:
            file.write(data[0])
        source = publish(train=images((None, f"{folder}/a.jpg"), (None, f"{folder}/gone.jpg")))
        rows = rows_of(run(source))
    finally:
        fsspec.register_implementation("hf", original, clobber=True)
    assert names(rows) == [f"{folder}/a.jpg", f"{folder}/gone.jpg"]
    assert rows[0]["width"] == "640"
    assert "cannot be fetched from the Hub" in rows[1]["error"]


def test_paths_of_this_machine_are_not_opened(run, publish, save, photo):
    path = str(save(photo, "private.jpg"))
    rows = rows_of(run(publish(train=images((None, path)))))
    assert "paths outside of the Hub are not opened" in rows[0]["error"]


def test_bytes_without_the_type_of_an_image(run, publish, data):
    rows = Dataset.from_dict(
        {"jpg": data, "text": ["a", "b"]}, features=Features(jpg=Value("binary"), text=Value("string"))
    )
    assert names(rows_of(run(publish(train=rows)))) == ["train/0", "train/1"]


def test_two_columns_of_images(run, publish, data):
    entries = [{"bytes": data[0], "path": None}]
    source = publish(train=Dataset.from_dict({"a": entries, "b": entries}, features=Features(a=Image(), b=Image())))
    error = usage_error("score", source)
    assert "it has 2 columns of images (a, b) among a, b: name one with --image-column" in error
    assert names(rows_of(run(source, "--image-column", "b"))) == ["train/0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hf://datasets/org"], "expected hf://datasets/ORG/NAME or hf://datasets/ORG/NAME@REVISION"),
        (["hf://datasets/org/nothing"], "cannot read hf://datasets/org/nothing: Couldn't reach 'org/nothing'"),
        ([SOURCE, "photo.jpg"], "a data set on the Hub is scored by itself"),
        ([SOURCE, "--maps", "maps"], "is for files only"),
        ([SOURCE, "--report", "report.html"], "is for files only"),
        ([SOURCE, "--split", "validation"], "Bad split: validation. Available splits: ['train', 'test']"),
        ([SOURCE, "--subset", "other"], "for config 'other'"),
        ([SOURCE, "--image-column", "label"], "there is no column label of images; columns of images: image"),
        ([SOURCE, "--image-column", "photo"], "there is no column photo of images; columns of images: image"),
        ([SOURCE, "-o", "scores.txt"], "cannot write .txt"),
        ([SOURCE, "-o", "nowhere/scores.csv"], "there is no folder nowhere"),
        ([".", "--split", "test"], "is for a data set on the Hub (hf://datasets/ORG/NAME)"),
        (
            [".", "--image-column", "photo"],
            "a data set on the Hub (hf://datasets/ORG/NAME) or for --engine ray",
        ),
        ([SOURCE, "--engine", "ray", "--split", "train"], "works with --engine local only"),
    ],
)
def test_wrong_use(published, arguments, message):
    assert message in usage_error("score", *arguments)
