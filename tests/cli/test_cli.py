import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from dpiqa import open_image
from dpiqa.cli import app
from dpiqa.scoring.score_files import COLUMNS
from support.images import encoded


@pytest.fixture
def run(tiny_checkpoint):
    """Runs `dpiqa score` with the tiny checkpoint; pytest's stdout is a pipe, so the rows are CSV."""

    def run(*arguments, input=None, model=tiny_checkpoint):
        options = ["--model", str(model)] if model else []
        return CliRunner().invoke(app, ["score", *map(str, arguments), *options], input=input)

    return run


@pytest.fixture
def folder(tmp_path, photos):
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    photos[0].save(root / "china.jpg")
    photos[1].save(root / "sub" / "flower.png")
    (root / "notes.txt").write_text("not a photo")
    return root


def rows_of(result):
    return list(csv.DictReader(io.StringIO(result.stdout)))


class TestScore:
    def test_a_folder_in_a_pipe_is_csv_on_stdout_and_a_summary_on_stderr(self, run, folder):
        result = run(folder)
        assert result.exit_code == 0, result.output
        rows = rows_of(result)
        assert tuple(rows[0]) == COLUMNS
        assert [row["path"] for row in rows] == [str(folder / "china.jpg"), str(folder / "sub" / "flower.png")]
        assert (rows[0]["width"], rows[0]["height"], rows[0]["error"]) == ("640", "427", "")
        assert result.stderr.strip() == "2 scored, 1 other files skipped"

    def test_names_from_stdin(self, run, folder):
        result = run("-", input=f"{folder}/china.jpg\n{folder}/missing.jpg\n")
        assert [row["error"] for row in rows_of(result)] == ["", "no such file"]

    def test_a_pattern(self, run, folder):
        assert len(rows_of(run(f"{folder}/**/*.png"))) == 1

    @pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
    def test_output_files(self, run, folder, tmp_path, suffix):
        path = tmp_path / f"scores{suffix}"
        result = run(folder, "-o", path)
        assert result.exit_code == 0, result.output
        assert result.stdout == ""
        read = {
            ".csv": lambda: list(csv.DictReader(path.read_text().splitlines())),
            ".jsonl": lambda: [json.loads(line) for line in path.read_text().splitlines()],
            ".parquet": lambda: pq.read_table(path).to_pylist(),
        }[suffix]
        assert [row["path"] for row in read()] == [str(folder / "china.jpg"), str(folder / "sub" / "flower.png")]

    def test_sort_puts_the_best_first_and_errors_last(self, run, folder):
        (folder / "a_broken.jpg").write_bytes(b"")
        rows = rows_of(run(folder, "--sort"))
        assert rows[-1]["error"] != ""
        assert float(rows[0]["score"]) > float(rows[1]["score"])

    def test_maps_mirror_the_folder(self, run, folder, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = run("photos", "--maps", "maps")
        assert result.exit_code == 0, result.output
        assert open_image("maps/photos/china.jpg.png").size == (640, 427)
        assert open_image("maps/photos/sub/flower.png.png").size == (640, 427)

    def test_maps_never_leave_their_folder(self, run, folder, tmp_path, monkeypatch):
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        assert run("../photos/china.jpg", "--maps", "maps").exit_code == 0
        assert (tmp_path / "here/maps" / (folder / "china.jpg.png").relative_to("/")).exists()


class TestBadInput:
    def test_one_of_each_kind_is_one_error_row_each(self, run, folder, photo):
        bad = {
            "cut.jpg": encoded(photo)[:4000],
            "empty.png": b"",
            "heic_by_name.heic": b"\x00\x00\x00\x18ftypheic" + bytes(100),
            "small.png": encoded(photo.resize((20, 20)), "PNG"),
            "text.jpg": b"hello",
            "nan.tif": encoded(Image.fromarray(np.full((64, 64), np.nan, np.float32)), "TIFF"),
        }
        for name, data in bad.items():
            (folder / name).write_bytes(data)
        (folder / "broken_link.jpg").symlink_to(folder / "gone.jpg")
        (folder / "loop").symlink_to(folder)
        errors = {row["path"].rsplit("/", 1)[1] for row in rows_of(run(folder)) if row["error"]}
        assert errors == {*bad, "broken_link.jpg"}

    def test_strict_turns_errors_into_status_1(self, run, folder):
        (folder / "empty.jpg").touch()
        assert run(folder).exit_code == 0
        assert run(folder, "--strict").exit_code == 1

    def test_strict_without_errors_is_status_0(self, run, folder):
        assert run(folder, "--strict").exit_code == 0

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["photos", "--no-such-option"], "No such option"),
            ([], "Missing argument"),
            (["*.nothing"], "no file matches"),
            (["photos", "-o", "scores.xlsx"], "expected .csv, .jsonl, .parquet"),
            (["photos", "--dtype", "float8"], "float8"),
            (["photos", "--device", "abacus"], "abacus"),
            (["photos", "--batch-size", "0"], "batch-size"),
            (["empty"], "no photos found"),
        ],
    )
    def test_wrong_usage_is_status_2_with_a_reason(self, run, folder, monkeypatch, arguments, message):
        monkeypatch.chdir(folder.parent)
        (folder.parent / "empty").mkdir()
        result = run(*arguments)
        assert result.exit_code == 2
        assert message in " ".join(result.stderr.replace("│", " ").split())
        assert "Traceback" not in result.output

    def test_a_missing_model_is_status_2(self, run, folder):
        result = run(folder, model=folder / "no-model")
        assert result.exit_code == 2
        assert "Traceback" not in result.output


def test_on_a_terminal_the_rows_are_a_table(folder, tiny_checkpoint):
    pty = pytest.importorskip("pty")
    (folder / "empty.jpg").touch()
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "dpiqa", "score", str(folder), "--model", str(tiny_checkpoint)]
    process = subprocess.Popen(command, stdout=slave, stderr=subprocess.PIPE, env=os.environ | {"COLUMNS": "200"})
    os.close(slave)
    _, errors = process.communicate(timeout=120)
    output = os.read(master, 100_000).decode()
    assert process.returncode == 0, errors
    assert "score" in output
    assert "640x427" in output
    assert "empty.jpg: the file is empty." in output


def test_env_names_the_versions():
    output = CliRunner().invoke(app, ["env"]).stdout
    for line in ("dpiqa: ", "torch: ", "transformers: ", "python: ", "device: "):
        assert line in output
