"""Odd names of files through everything that reads or writes names."""

import csv
import io
import json
import os

import pyarrow.parquet as pq
import pytest

from dpiqa.data.distortions import make_distorted_set
from dpiqa.evaluation.consistency import read_distorted
from support.commands import dpiqa, rows_of
from support.images import encoded

NAMES = {
    name.split(b".")[0]: name
    for name in (
        b"new\nline.jpg",
        b"carriage\rreturn.jpg",
        b"\r.jpg",
        b"both\r\nends.jpg",
        b"tab\tname.jpg",
        b" blank .jpg",
        b'"quoted".jpg',
        b'in"side.jpg',
        b"comma,semicolon;.jpg",
        b"caf\xe9.jpg",
        b"back\\slash.jpg",
        "\ufeffmark\u2028\x85\u202e.jpg".encode(),
        "\N{GRINNING FACE}.jpg".encode(),
        b"-.jpg",
        b"--model.jpg",
        b"=1+1.jpg",
        b"@sum.jpg",
        b"gone[1].jpg",
        b"[red]*?.jpg",
        b"\x1b[2J\x07\x08\x7f\x01.jpg",
        b"$(id)`id`%s{0}.jpg",
        b"NULL.jpg",
        b"x" * 251 + b".jpg",
    )
}


@pytest.fixture
def folder(tmp_path, photo, monkeypatch):
    """A folder with a photo of every name; the names as rows have them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name in NAMES.values():
        with open(os.fsencode("in/") + name, "wb") as file:
            file.write(encoded(photo.resize((64, 64))))
    return {f"in/{name.decode('utf-8', 'backslashreplace')}" for name in NAMES.values()}


@pytest.fixture
def score(tiny_checkpoint):
    def score(*arguments, **options):
        result = dpiqa("score", "--model", tiny_checkpoint, *arguments, **options)
        assert result.exit_code == 0, result.output
        assert result.stderr.startswith(f"{len(NAMES)} scored")
        assert "\x1b" not in result.stderr
        return result

    return score


def test_rows_on_stdout(folder, score):
    assert {row["path"] for row in rows_of(score("in"))} == folder


def test_rows_of_names_on_the_command_line(folder, score):
    named = [os.fsdecode(b"in/" + name) for name in NAMES.values()]
    assert {row["path"] for row in rows_of(score(*named))} == folder


def test_names_behind_two_dashes(folder, score, monkeypatch):
    monkeypatch.chdir("in")
    rows = rows_of(score("--", *map(os.fsdecode, NAMES.values())))
    assert {f"in/{row['path']}" for row in rows} == folder


@pytest.mark.parametrize(
    ("suffix", "read"),
    [
        ("csv", lambda file: list(csv.DictReader(io.StringIO(file.read().decode(), newline="")))),
        ("jsonl", lambda file: [json.loads(line) for line in file]),
        ("parquet", lambda file: pq.read_table(file).to_pylist()),
    ],
)
def test_rows_in_files(folder, score, tmp_path, suffix, read):
    score("in", "-o", f"scores.{suffix}")
    with open(f"scores.{suffix}", "rb") as file:
        assert {row["path"] for row in read(file)} == folder


def test_maps(folder, score, tmp_path):
    result = score("in", "--maps", "maps")
    assert "1 map not written, the first since" in result.stderr  # the longest name
    assert len(list((tmp_path / "maps" / "in").iterdir())) == len(NAMES) - 1


def test_a_distorted_set(folder):
    photos = [os.fsdecode(b"in/" + name) for name in NAMES.values()]
    make_distorted_set(photos, "out", max_side=64, kinds=["pixelate"])
    assert len(read_distorted("out")) == 6 * len(NAMES)


def test_predictions_of_a_table(folder, tiny_checkpoint, tmp_path):
    pytest.importorskip("matplotlib")
    names = [name for name in folder if "xe9" not in name]  # a table is text
    with open("table.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "mos"), *zip(sorted(names), range(len(names)), strict=True)])
    scale = f"table.csv:0:{len(names) - 1}"
    result = dpiqa("evaluate", "--data", scale, "--split", "all", "--model", tiny_checkpoint, "-o", "results")
    assert result.exit_code == 0, result.output
    (predictions,) = (tmp_path / "results" / "predictions").rglob("*.csv")
    with predictions.open(newline="", encoding="utf-8") as file:
        assert {row["path"] for row in csv.DictReader(file)} == set(names)
