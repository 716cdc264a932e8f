import csv
import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from dpiqa import Scorer, open_image
from dpiqa.scoring.image_files import find_images
from dpiqa.scoring.map_files import MapFolder
from dpiqa.scoring.rows import COLUMNS
from support.commands import dpiqa, rows_of, usage_error
from support.images import encoded
from support.patience import PATIENCE, wait_for

NOT_UTF8 = os.fsdecode(b"caf\xe9.jpg")


@pytest.fixture
def run(tiny_checkpoint):
    """Runs `dpiqa score` with the tiny checkpoint; its stdout is a pipe, so the rows are CSV."""

    def run(*arguments, input=None):
        return dpiqa("score", *arguments, "--model", tiny_checkpoint, input=input)

    return run


@pytest.fixture
def folder(tmp_path, photos):
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    photos[0].save(root / "china.jpg")
    photos[1].save(root / "sub" / "flower.png")
    (root / "notes.txt").write_text("not a photo")
    return root


@pytest.fixture
def tiny_model(tiny_checkpoint):
    """For processes that load PyTorch and are slow enough to be stopped in the middle."""
    return ["--model", str(tiny_checkpoint)]


@pytest.fixture
def process(quick_model):
    """Starts `dpiqa score` with a tiny student in a process of its own."""

    def process(*arguments, model=quick_model, **options):
        command = [sys.executable, "-m", "dpiqa", "score", *map(str, arguments), *model]
        return subprocess.Popen(command, stderr=subprocess.PIPE, **options)

    return process


def errors_of(result):
    """The errors by the names of the files."""
    return {row["path"].rsplit("/", 1)[-1]: row["error"] for row in rows_of(result) if row["error"]}


class TestRows:
    def test_a_folder_in_a_pipe_is_csv_on_stdout_and_a_summary_on_stderr(self, run, folder):
        result = run(folder)
        assert result.exit_code == 0, result.output
        rows = rows_of(result)
        assert tuple(rows[0]) == COLUMNS
        assert [row["path"] for row in rows] == [str(folder / "china.jpg"), str(folder / "sub" / "flower.png")]
        assert (rows[0]["width"], rows[0]["height"], rows[0]["error"]) == ("640", "427", "")
        assert result.stderr.strip() == "2 scored by torch in float32, 1 other file skipped"

    def test_names_from_stdin(self, run, folder):
        result = run("-", input=f"{folder}/china.jpg\n{folder}/missing.jpg\n")
        assert [row["error"] for row in rows_of(result)] == ["", "no such file"]

    def test_a_pattern(self, run, folder):
        assert len(rows_of(run(f"{folder}/**/*.png"))) == 1

    def test_names_from_stdin_are_no_patterns(self, run, folder):
        (folder / "china.jpg").rename(folder / "gone1.jpg")
        result = run("-", input=f"{folder}/gone1.jpg\n{folder}/gone[1].jpg\n")
        assert errors_of(result) == {"gone[1].jpg": "no such file"}

    def test_a_list_with_a_byte_order_mark_and_windows_line_ends(self, run, folder):
        result = run("-", input=f"\ufeff{folder}/china.jpg\r\n\r\n{folder}/sub/flower.png\r\n")
        assert [row["error"] for row in rows_of(result)] == ["", ""]

    def test_a_file_that_is_named_twice_is_one_row(self, run, folder, monkeypatch):
        monkeypatch.chdir(folder)
        result = run("china.jpg", "./china.jpg", ".", folder)
        assert [row["path"] for row in rows_of(result)] == ["china.jpg", "./sub/flower.png"]
        assert "2 scored by torch in float32, 2 named again" in result.stderr

    def test_broken_exif_prints_nothing(self, process, tiny_model, folder, photo):
        (folder / "china.jpg").write_bytes(encoded(photo, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xffgarbage"))
        with process(folder / "china.jpg", model=tiny_model, stdout=subprocess.DEVNULL) as running:
            errors = running.communicate(timeout=PATIENCE)[1].decode()
        assert errors.strip() == "1 scored by torch in float32"

    def test_raw_files_are_named_in_the_summary(self, run, folder):
        for name in ("a.CR2", "b.cr2", "c.nef"):
            (folder / name).touch()
        assert run(folder).stderr.strip() == (
            "2 scored by torch in float32, 1 other file skipped, 3 RAW files (.CR2, .NEF): export as JPEG first"
        )

    def test_a_raw_file_that_is_named_is_an_error(self, run, folder):
        (folder / "c.nef").touch()
        assert errors_of(run(folder / "c.nef", folder)) == {"c.nef": "a RAW file: export it as JPEG first"}

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


class TestMaps:
    @pytest.fixture(autouse=True)
    def here(self, folder, monkeypatch):
        monkeypatch.chdir(folder.parent)

    def test_they_mirror_the_folder(self, run):
        result = run("photos", "--maps", "maps")
        assert result.exit_code == 0, result.output
        assert open_image("maps/photos/china_jpg.png").width > 2 * 640  # two pictures of it
        assert open_image("maps/photos/sub/flower_png.png")
        assert "2 maps written to maps" in result.stderr

    def test_photos_that_differ_in_their_suffix_have_maps_of_their_own(self, run, folder, photo):
        photo.save(folder / "china.png")
        assert run("photos", "--maps", "maps").exit_code == 0
        assert sorted(name for name in os.listdir("maps/photos") if name != "sub") == [
            "china_jpg.png",
            "china_png.png",
        ]

    def test_they_never_leave_their_folder(self, run, folder, tmp_path, monkeypatch):
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        assert run("../photos/china.jpg", "--maps", "maps").exit_code == 0
        assert (tmp_path / "here/maps" / (folder / "china_jpg.png").relative_to("/")).exists()

    def test_a_name_that_is_too_long_costs_one_map(self, run, folder, photo):
        photo.save(folder / f"{'x' * 250}.jpg")
        result = run("photos", "--maps", "maps")
        assert len(rows_of(result)) == 3
        assert result.exit_code == 0
        assert "1 map not written, the first since" in result.stderr
        assert open_image("maps/photos/china_jpg.png")

    def test_a_full_disk_costs_maps_but_no_scores(self, run, monkeypatch):
        monkeypatch.setattr("pathlib.Path.write_bytes", _disk_full)
        result = run("photos", "--maps", "maps")
        assert [row["error"] for row in rows_of(result)] == ["", ""]
        assert "2 maps not written" in result.stderr
        assert run("photos", "--maps", "maps", "--strict").exit_code == 1

    @pytest.mark.parametrize("options", [[], ["--overwrite"]])
    def test_a_photo_is_never_overwritten(self, folder, tiny_checkpoint, photo, options):
        (folder / "china_jpg.png").write_bytes(encoded(photo, "PNG"))
        before = (folder / "china_jpg.png").read_bytes()
        names = ["photos/china.jpg", "photos/china_jpg.png"]
        message = usage_error("score", *names, "--maps", ".", "--model", tiny_checkpoint, *options)
        assert "maps in photos would be among the photos" in message
        with pytest.raises(FileExistsError, match=r"china_jpg\.png is one of the photos"):
            MapFolder(".", names, None, overwrite=bool(options))
        assert (folder / "china_jpg.png").read_bytes() == before

    def test_maps_that_exist_are_replaced_only_with_overwrite(self, run, tiny_checkpoint, tmp_path):
        arguments = ["photos/china.jpg", "--maps", "maps"]
        run(*arguments)
        (tmp_path / "maps/photos/china_jpg.png").write_bytes(b"mine")
        assert "exists already" in usage_error("score", *arguments, "--model", tiny_checkpoint)
        assert (tmp_path / "maps/photos/china_jpg.png").read_bytes() == b"mine"
        assert run(*arguments, "--overwrite").stderr == "1 scored by torch in float32, 1 map written to maps\n"

    @pytest.mark.parametrize(
        ("inputs", "folder_of_maps"),
        [
            ("photos", "photos"),
            ("photos", "photos/maps"),
            ("photos", "photos/sub/new/maps"),
            (".", "."),
            ("photos", "."),
            ("photos/china.jpg", "photos"),
            ("photos/china.jpg", "."),
        ],
    )
    def test_they_would_not_be_scored_as_photos_next_time(self, folder, tiny_checkpoint, inputs, folder_of_maps):
        message = usage_error("score", inputs, "--maps", folder_of_maps, "--model", tiny_checkpoint)
        assert "would be scored as photos next time" in message
        assert not (folder / "maps").exists()
        assert not (folder / "photos").exists()

    @pytest.mark.parametrize(
        "arguments", [["photos", "--maps", "photos/.maps"], ["photos/*.jpg", "--maps", "photos/m"]]
    )
    def test_a_folder_that_is_not_walked_may_be_anywhere(self, run, arguments):
        assert run(*arguments).exit_code == 0

    def test_a_folder_that_cannot_be_written_to_is_found_first(self, folder, tiny_checkpoint, monkeypatch):
        monkeypatch.setattr(Scorer, "stream", lambda *arguments, **options: pytest.fail("scoring started"))
        for place in ("photos/china.jpg", "photos/china.jpg/maps"):
            assert "china.jpg" in usage_error("score", "photos/*/*.png", "--maps", place, "--model", tiny_checkpoint)
        monkeypatch.setattr("dpiqa.scoring.map_files.TemporaryFile", _read_only)
        message = usage_error("score", "photos", "--maps", "maps", "--model", tiny_checkpoint)
        assert "Permission denied" in message


def _disk_full(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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
        (folder / "itself.jpg").symlink_to(folder / "itself.jpg")
        assert errors_of(run(folder)).keys() == {*bad, "broken_link.jpg", "itself.jpg"}

    def test_a_pipe_is_not_waited_for(self, run, folder):
        os.mkfifo(folder / "b.jpg")
        assert errors_of(run(folder, folder / "b.jpg")) == {"b.jpg": "not a regular file"}

    def test_a_name_that_no_file_can_have_is_a_row(self, run, folder):
        result = run("-", input=f"{folder}/china.jpg\n{'x' * 300}.jpg\n")
        assert [bool(row["error"]) for row in rows_of(result)] == [False, True]

    @pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", None])
    def test_a_name_that_is_not_utf8(self, run, folder, photo, tmp_path, suffix):
        (folder / NOT_UTF8).write_bytes(encoded(photo))
        (folder / f"broken_{NOT_UTF8}").write_bytes(b"")
        result = run(folder, *(["-o", tmp_path / f"scores{suffix}"] if suffix else []))
        assert result.exit_code == 0, result.output
        assert result.stderr.startswith("3 scored by torch in float32, 1 error")
        if suffix is None:
            assert str(folder / r"caf\xe9.jpg") in [row["path"] for row in rows_of(result)]

    def test_a_name_on_stdin_that_is_not_utf8(self, run, folder, photo):
        (folder / NOT_UTF8).write_bytes(encoded(photo))
        result = run("-", input=os.fsencode(f"{folder}/{NOT_UTF8}"))
        assert [row["error"] for row in rows_of(result)] == [""]

    def test_one_missing_name_among_others_is_a_row(self, run, folder):
        assert errors_of(run(folder, "nope.jpg", "nope/*.png")) == {
            "nope.jpg": "no such file",
            "*.png": "no file matches this pattern",
        }

    def test_strict_turns_errors_into_status_1(self, run, folder):
        (folder / "empty.jpg").touch()
        assert run(folder).exit_code == 0
        assert run(folder, "--strict").exit_code == 1

    def test_strict_without_errors_is_status_0(self, run, folder):
        assert run(folder, "--strict").exit_code == 0

    def test_nothing_scored_at_all_is_status_1(self, run, folder):
        (folder / "empty.jpg").touch()
        assert run(folder / "empty.jpg").exit_code == 1
        assert run("-", input="nope.jpg\n").exit_code == 1


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["photos", "--no-such-option"], "No such option"),
            ([], "Missing argument"),
            (["*.nothing"], r"no file or folder matches \*\.nothing"),
            (["nope/"], "no file or folder matches nope/"),
            (["a", "b", "c", "d"], "matches a, b, c and 1 more"),
            (["photos", "-o", "scores.xlsx"], r"expected \.csv, \.jsonl, \.parquet"),
            (["photos", "-o", "nope/scores.csv"], "there is no folder nope"),
            (["photos", "--dtype", "float8"], "float8"),
            (
                ["photos", "--device", "abacus"],
                r"--device: cannot compute on 'abacus' here: expected auto, cpu, cuda, cuda:N or mps\.$",
            ),
            (["photos", "--workers", "0"], "workers"),
            (["photos", "--batch-size", "0"], "batch-size"),
            (["photos", "--batch-size", "99999999999999999999"], "batch-size"),
            (["empty"], "no photos found"),
            (["raw"], r"no photos found \(1 RAW file \(\.DNG\): export as JPEG first\)"),
        ],
    )
    def test_it_is_status_2_with_a_reason(self, folder, monkeypatch, arguments, message):
        monkeypatch.chdir(folder.parent)
        (folder.parent / "empty").mkdir()
        (folder.parent / "raw").mkdir()
        (folder.parent / "raw" / "a.dng").touch()
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(usage_error("score", *arguments))

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
    def test_cuda_where_there_is_none(self, folder):
        message = usage_error("score", folder, "--device", "cuda")
        assert message.startswith("Invalid value for --device: cannot compute on 'cuda' here")

    @pytest.mark.parametrize(
        ("option", "value"), [("--model", "no-such"), ("--device", "abacus"), ("--dtype", "float8")]
    )
    def test_the_option_that_is_wrong_is_named(self, folder, option, value):
        assert usage_error("score", folder, option, value).startswith(f"Invalid value for {option}: ")

    def test_a_missing_model_is_named(self, folder):
        assert str(folder / "no-model") in usage_error("score", folder, "--model", folder / "no-model")

    @pytest.mark.parametrize(
        ("file", "content", "message"),
        [
            ("model.safetensors", b"\x93" * 5000, "damaged or cut short"),
            ("model.safetensors", None, "no file named model.safetensors"),
            ("config.json", b"{", "not a valid JSON file"),
            ("config.json", b"\xff\xfe\x00", "not a valid JSON file"),
            ("config.json", b"[]", "expected a JSON object, found list"),
            ("config.json", b'{"model_type": "bert"}', "found model_type 'bert'"),
            ("config.json", b'{"model_type": "dpiqa-student", "image_size": "x"}', "expected int, got str"),
            ("preprocessor_config.json", b"[]", "is that of no processor"),
            ("preprocessor_config.json", None, "preprocessor_config.json"),
        ],
    )
    def test_a_damaged_checkpoint_is_one_sentence(self, folder, tiny_checkpoint, file, content, message):
        path = tiny_checkpoint / file
        path.rename(path.with_name("pytorch_model.bin"))  # which is not read
        if content is not None:
            path.write_bytes(content)
        said = usage_error("score", folder, "--model", tiny_checkpoint)
        assert said.startswith("Invalid value for --model: ")
        assert message in said
        assert "\n" not in said

    def test_low_rank_updates_are_to_be_merged_first(self, folder, tiny_checkpoint):
        (tiny_checkpoint / "adapter_config.json").write_text("{}")
        assert "merge_lora(" in usage_error("score", folder, "--model", tiny_checkpoint)

    def test_it_prints_and_writes_nothing_first(self, folder, tmp_path):
        (tmp_path / "scores.csv").write_text("old")
        usage_error("score", folder, "--model", "nope", "-o", tmp_path / "scores.csv", "--overwrite")
        assert (tmp_path / "scores.csv").read_text() == "old"
        assert not (tmp_path / "scores.csv.part").exists()


class TestOutputFiles:
    def test_an_existing_one_is_replaced_only_with_overwrite(self, run, folder, tmp_path):
        path = tmp_path / "scores.csv"
        path.write_text("old")
        assert "allow it with --overwrite" in usage_error("score", folder, "-o", path)
        assert path.read_text() == "old"
        assert run(folder, "-o", path, "--overwrite").exit_code == 0
        assert path.read_text().startswith("path,score")

    def test_one_that_is_also_an_input_is_refused(self, folder, tmp_path):
        path = tmp_path / "list.csv"
        path.write_text("mine")
        message = usage_error("score", folder, path, "-o", path, "--overwrite")
        assert "is also one of the inputs" in message
        assert path.read_text() == "mine"

    def test_a_run_that_is_cut_off_keeps_what_was_scored(self, run, folder, tmp_path, monkeypatch):
        """As by Ctrl-C after the first photo."""
        stream = Scorer.stream

        def interrupted(*arguments, **options):
            yield next(stream(*arguments, **options))
            raise KeyboardInterrupt

        monkeypatch.setattr(Scorer, "stream", interrupted)
        for suffix, read in ((".csv", _read_csv), (".jsonl", _read_jsonl), (".parquet", _read_parquet)):
            path = tmp_path / f"scores{suffix}"
            path.write_text("old")
            result = run(folder, "-o", path, "--overwrite", "--sort")
            assert result.exit_code == 130
            assert f"interrupted; what was scored until then is in {path}.part" in result.stderr
            assert path.read_text() == "old"
            assert [row["path"] for row in read(f"{path}.part")] == [str(folder / "china.jpg")]

    def test_a_terminal_that_is_closed_ends_a_run_in_order(self, run, folder, tmp_path, monkeypatch):
        def hung_up(*arguments, **options):
            signal.raise_signal(signal.SIGHUP)

        monkeypatch.setattr(Scorer, "stream", hung_up)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and stays so
        assert run(folder, "-o", tmp_path / "scores.parquet").exit_code == 128 + signal.SIGHUP
        assert _read_parquet(tmp_path / "scores.parquet.part") == []

    def test_rows_of_a_run_that_was_cut_off_are_not_overwritten_unasked(self, folder, tmp_path):
        (tmp_path / "scores.csv.part").write_text("rows")
        assert "is still going on" in usage_error("score", folder, "-o", tmp_path / "scores.csv")

    def test_a_read_only_folder_is_one_sentence(self, run, folder, tmp_path, monkeypatch):
        monkeypatch.setattr("dpiqa.scoring.rows.CsvFormat.__init__", _read_only)
        result = run(folder, "-o", tmp_path / "scores.csv")
        assert result.exit_code == 1
        assert result.stderr == f"cannot write {tmp_path / 'scores.csv'}: Permission denied\n"

    def test_a_run_that_is_ended_leaves_the_old_file_and_valid_rows(
        self, process, tiny_model, folder, photo, tmp_path
    ):
        for index in range(500):
            photo.resize((64, 64)).save(folder / f"{index}.bmp")
        path = tmp_path / "scores.csv"
        path.write_text("old")
        part = tmp_path / "scores.csv.part"
        arguments = (folder, "-o", path, "--overwrite", "--batch-size", "1", "--workers", "1")
        with process(*arguments, model=tiny_model) as running:
            wait_for(lambda: (part.exists() and part.read_text().count("\n") > 3) or running.poll() is not None)
            running.terminate()
            errors = running.communicate(timeout=PATIENCE)[1].decode()
        assert running.returncode == 128 + signal.SIGTERM, errors
        assert path.read_text() == "old"
        rows = _read_csv(part)
        assert 3 <= len(rows) < 502
        assert all(float(row["score"]) for row in rows)

    @pytest.mark.parametrize(
        ("suffix", "kind"), [(".csv", "CsvFormat"), (".jsonl", "JsonLinesFormat"), (".parquet", "ParquetFormat")]
    )
    def test_a_full_disk_is_one_sentence(self, run, folder, tmp_path, suffix, kind, monkeypatch):
        def full(*arguments):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(f"dpiqa.scoring.rows.{kind}.write", full)
        result = run(folder, "-o", tmp_path / f"scores{suffix}")
        assert result.exit_code == 1
        assert "No space left on device" in result.stderr
        assert "Traceback" not in result.output

    # Every format is stopped at every line of its writer in tests/scoring/test_score_files.py.
    @pytest.mark.slow
    def test_a_run_that_was_killed_is_gone_on_with(self, run, process, tiny_model, folder, photo, tmp_path):
        photo.resize((64, 64)).save(folder / "0.bmp")
        for index in range(1, 1500):
            os.link(folder / "0.bmp", folder / f"{index}.bmp")
        (folder / "broken.jpg").touch()
        path = tmp_path / "scores.parquet"
        part = tmp_path / "scores.parquet.part"
        with process(folder, "-o", path, model=tiny_model) as running:
            wait_for(lambda: any(part.glob("[0-9]*.parquet")) or running.poll() is not None)
            running.kill()
            running.communicate(timeout=PATIENCE)
        assert not path.exists()
        assert "go on with it with --resume" in usage_error("score", folder, "-o", path)
        other = run(folder, "-o", path, "--resume", "--dtype", "bfloat16")
        assert other.exit_code == 2
        assert "scores of two models cannot be mixed" in " ".join(other.stderr.split())
        resumed = run(folder, "-o", path, "--resume")
        assert resumed.exit_code == 0, resumed.output
        assert "kept from before" in resumed.stderr
        rows = _read_parquet(path)
        found = find_images([folder])
        assert [row["path"] for row in rows] == found.paths
        assert sum(bool(row["error"]) for row in rows) == 1
        assert sorted(file.name for file in tmp_path.glob("scores*")) == [path.name]
        assert (tmp_path / f".{path.name}.json").exists()
        again = run(folder, "-o", path, "--resume")
        assert (again.exit_code, "is finished" in again.stderr) == (0, True)

    def test_a_run_that_is_stopped_while_its_model_is_loaded_says_so(self, run, folder, tmp_path, monkeypatch):
        for stop, said, status in (
            (signal.SIGINT, "interrupted", 130),
            (signal.SIGTERM, "asked to stop", 143),
        ):
            monkeypatch.setattr(Scorer, "from_pretrained", lambda *_, stop=stop, **__: signal.raise_signal(stop))
            for output in ([], ["-o", tmp_path / "scores.csv"]):
                result = run(folder, *output)
                assert (result.exit_code, result.stderr) == (status, f"{said}\n")
            assert not list(tmp_path.glob("scores*"))

    def test_an_overwritten_file_is_not_gone_on_with_after_a_run_that_was_stopped_early(
        self, run, folder, tmp_path, monkeypatch
    ):
        path = tmp_path / "scores.csv"
        path.write_text("old")
        with monkeypatch.context() as patch:
            patch.setattr(Scorer, "from_pretrained", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
            assert run(folder, "-o", path, "--overwrite").exit_code == 143
        assert path.read_text() == "old"
        assert run(folder, "-o", path, "--resume").exit_code == 0
        assert len(_read_csv(path)) == 2

    def test_a_folder_that_cannot_be_written_to_is_said_plainly(self, run, folder, tmp_path, monkeypatch):
        monkeypatch.setattr("pathlib.Path.touch", _read_only)
        result = run(folder, "-o", tmp_path / "scores.csv")
        assert result.exit_code == 1
        assert result.stderr == f"cannot write {tmp_path / 'scores.csv'}: Permission denied\n"

    def test_resume_needs_an_output(self, folder):
        assert "name the file to go on with: --output FILE" in usage_error("score", folder, "--resume")

    @pytest.mark.parametrize("option", ["--sort", "--overwrite"])
    def test_resume_names_the_option_that_it_cannot_be_combined_with(self, folder, tmp_path, option):
        message = usage_error("score", folder, "-o", tmp_path / "scores.csv", "--resume", option)
        assert f"cannot be combined with {option}" in message

    def test_the_output_is_named_before_what_was_skipped(self, run, folder, tmp_path):
        (folder / "a.nef").write_bytes(b"raw")
        output = tmp_path / "scores.csv"
        assert f"written to {output}, 1 other file skipped, 1 RAW file" in run(folder, "-o", output).stderr

    def test_a_url_is_told_to_be_downloaded_first(self):
        assert "URLs are not fetched: download" in usage_error("score", "https://example.com/a.jpg")

    def test_stdout_that_is_full_is_one_sentence(self, process, folder):
        with open("/dev/full", "w") as full, process(folder, stdout=full) as running:
            errors = running.communicate(timeout=PATIENCE)[1].decode()
        assert running.returncode == 1
        assert errors.strip() == "cannot write the rows: No space left on device"

    def test_stdout_that_nobody_reads_is_silent(self, process, folder):
        reader, writer = os.pipe()
        os.close(reader)
        with process(folder, stdout=writer) as running:
            os.close(writer)
            errors = running.communicate(timeout=PATIENCE)[1].decode()
        assert (running.returncode, errors) == (1, "")


class TestResumeOfAFinishedFile:
    @pytest.fixture
    def resume(self, run, folder, tmp_path):
        """Scores the folder again with --resume."""
        run(folder, "-o", tmp_path / "scores.csv")

        def resume(*options, inputs=folder):
            result = run(inputs, "-o", tmp_path / "scores.csv", "--resume", *options)
            return result, _read_csv(tmp_path / "scores.csv")

        return resume

    def test_photos_that_came_new_are_added(self, resume, folder, photo):
        photo.save(folder / "b_new.jpg")
        result, rows = resume()
        assert [row["path"].rsplit("/", 1)[1] for row in rows] == ["china.jpg", "flower.png", "b_new.jpg"]
        assert "1 scored by torch in float32, 2 kept from before" in result.stderr

    def test_with_nothing_new_it_says_so_and_loads_no_model(self, resume, monkeypatch):
        monkeypatch.setattr(Scorer, "from_pretrained", lambda *_, **__: pytest.fail("a model is loaded"))
        result, _ = resume("--strict")
        assert result.exit_code == 0
        assert "scores.csv is finished: every photo has a row" in result.stderr

    def test_strict_counts_errors_that_are_kept(self, resume, folder):
        (folder / "empty.jpg").touch()
        for _ in range(2):
            assert resume("--strict")[0].exit_code == 1
            assert resume()[0].exit_code == 0

    def test_rows_of_photos_that_the_inputs_do_not_name_stay_and_are_counted(self, resume, folder, photo):
        photo.save(folder / "b_new.jpg")
        result, rows = resume(inputs=folder / "b_new.jpg")
        assert len(rows) == 3
        assert "2 rows of photos that the inputs do not name" in result.stderr
        result, _ = resume(inputs=folder / "b_new.jpg")
        assert "2 rows of photos that the inputs do not name" in result.stderr

    def test_a_file_whose_model_is_not_known_is_left_alone(self, resume, folder, photo, tmp_path):
        photo.save(folder / "b_new.jpg")
        (tmp_path / ".scores.csv.json").unlink()
        result, rows = resume()
        assert (result.exit_code, len(rows)) == (2, 2)
        assert "begin anew with --overwrite" in " ".join(result.stderr.replace("│", " ").split())

    def test_a_map_that_cannot_be_drawn_any_more_is_counted(self, resume, folder, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (folder / "china.jpg").write_bytes(b"broken")
        result, rows = resume("--maps", "maps", "--strict")
        assert result.exit_code == 1
        assert "1 map not written, the first since" in result.stderr
        assert [row["error"] for row in rows] == ["", ""]

    def test_a_map_has_its_name_once_it_is_whole(self, resume, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

        def stopped(path, content):
            with path.open("wb") as file:
                file.write(content[:9])
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("pathlib.Path.write_bytes", stopped)
            assert resume("--maps", "maps")[0].exit_code == 130
        assert not [path for path in tmp_path.glob("maps/**/*") if path.is_file()]
        assert "2 scored again for their maps" in resume("--maps", "maps")[0].stderr

    def test_maps_that_are_missing_are_drawn(self, resume, folder, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (folder / "empty.jpg").touch()
        for again in ("2 scored again for their maps", "1 scored again for their maps"):
            result, rows = resume("--maps", "maps")
            assert again in result.stderr
            assert len(rows) == 3
            assert len(list(tmp_path.glob("maps/**/*.png"))) == 2
            next(tmp_path.glob("maps/**/*.png")).unlink()
        assert resume("--maps", "maps")[0].exit_code == 0
        assert "is finished" in resume("--maps", "maps")[0].stderr


def _read_only(*arguments, **options):
    raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def _read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def _read_jsonl(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def _read_parquet(path):
    return pq.read_table(path).to_pylist()


def test_on_a_terminal_the_rows_are_a_table(folder, process):
    pty = pytest.importorskip("pty")
    (folder / "empty [raw].jpg").touch()
    master, slave = pty.openpty()
    running = process(folder, stdout=slave, env=os.environ | {"COLUMNS": "100"})
    os.close(slave)
    errors = running.communicate(timeout=PATIENCE)[1]
    output = " ".join(os.read(master, 100_000).decode().split())
    assert running.returncode == 0, errors
    assert "640x427" in output
    assert "empty [raw].jpg: the file is empty." in output
