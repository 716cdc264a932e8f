import csv
import errno
import io
import json
import os
import sys
from contextlib import contextmanager, suppress

import pyarrow.parquet as pq
import pytest

from dpiqa import Score
from dpiqa.scoring import rows, score_files
from dpiqa.scoring.rows import COLUMNS, CsvWriter, to_row
from dpiqa.scoring.score_files import open_writer, reserve

ROWS = [
    to_row("a, b.jpg", Score(0.5, 40.0, (0.3, 0.7), width=640, height=427)),
    to_row("ü.jpg", Score(float("nan"), error="no such file")),
]


def test_a_row_has_every_column():
    assert tuple(ROWS[0]) == COLUMNS
    assert (ROWS[0]["score"], ROWS[0]["low"], ROWS[0]["high"], ROWS[0]["error"]) == (0.5, 0.3, 0.7, None)


def test_an_error_row_has_no_score():
    assert ROWS[1]["score"] is None
    assert ROWS[1]["error"] == "no such file"


def write(path):
    with open_writer(path) as writer:
        for row in ROWS:
            writer.write(row)


def test_csv(tmp_path):
    write(tmp_path / "x.csv")
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == {
        "path": "a, b.jpg",
        "score": "0.50000",
        "percentile": "40.000",
        "low": "0.30000",
        "high": "0.70000",
        "width": "640",
        "height": "427",
        "error": "",
    }
    assert (rows[1]["path"], rows[1]["score"], rows[1]["error"]) == ("ü.jpg", "", "no such file")


def test_numbers_have_the_decimals_on_which_backends_agree():
    row = to_row("a.jpg", Score(0.123456789, 40.12345678, (0.023456789, 0.223456789)))
    assert [row[name] for name in ("score", "percentile", "low", "high")] == [0.12346, 40.123, 0.02346, 0.22346]


def test_csv_to_an_open_file_leaves_it_open():
    file = io.StringIO()
    CsvWriter(file).write(ROWS[0])
    assert file.getvalue().startswith(",".join(COLUMNS) + "\n")


def test_a_bare_carriage_return_in_a_name_splits_no_row():
    file = io.StringIO()
    CsvWriter(file).write(to_row("a\rb\nc.jpg", Score(0.5)))
    [row] = csv.DictReader(io.StringIO(file.getvalue(), newline=""))
    assert row["path"] == "a\rb\nc.jpg"
    assert file.getvalue().endswith(",\n")


def test_what_is_not_utf8_is_written_as_numbers():
    row = to_row("caf\udce9.jpg", Score(float("nan"), error="cannot open caf\udce9.jpg"))
    assert (row["path"], row["error"]) == (r"caf\xe9.jpg", r"cannot open caf\xe9.jpg")


def test_json_lines(tmp_path):
    write(tmp_path / "x.jsonl")
    assert [json.loads(line) for line in (tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines()] == ROWS


def test_parquet(tmp_path):
    write(tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.to_pylist() == ROWS
    assert str(table.schema.field("width").type) == "int32"


def test_parquet_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("dpiqa.scoring.rows._PARQUET_ROW_GROUP", 1)
    write(tmp_path / "x.parquet")
    assert pq.ParquetFile(tmp_path / "x.parquet").num_row_groups == 2


def test_another_suffix_is_an_error_that_lists_the_known(tmp_path):
    with (
        pytest.raises(ValueError, match=r"cannot write \.xlsx: expected \.csv, \.jsonl, \.parquet"),
        open_writer(tmp_path / "x.xlsx"),
    ):
        pass


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_file_has_its_name_once_it_is_whole(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with open_writer(path) as writer:
        writer.write(ROWS[0])
        assert not path.exists()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_an_existing_file_is_replaced_only_when_asked(tmp_path):
    (tmp_path / "x.csv").write_text("old")
    with pytest.raises(FileExistsError, match="exists already"), open_writer(tmp_path / "x.csv"):
        pass
    with open_writer(tmp_path / "x.csv", overwrite=True) as writer:
        writer.write(ROWS[0])
    assert (tmp_path / "x.csv").read_text().startswith("path,score")


def read(path):
    """The rows of a file, or of what a run that was cut off has left."""
    if ".parquet" in path.name:
        return pq.read_table(path).to_pylist()
    if ".jsonl" in path.name:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def named(name):
    return to_row(name, Score(0.5))


def cut_off(path, *rows):
    """A run that writes some rows and is interrupted."""
    with suppress(KeyboardInterrupt), open_writer(path, model=MODEL) as writer:
        for row in rows:
            writer.write(row)
        raise KeyboardInterrupt


def denied(*arguments, **options):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextmanager
def stopped_at(number):
    """Ends the block before the line of this number, among those that it executes in rows.py and score_files.py."""
    left = number

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename not in (rows.__file__, score_files.__file__):
            return None
        if event == "line":
            left -= 1
            if not left:
                sys.settrace(None)
                raise SystemExit
        return trace

    before = sys.gettrace()
    if number:
        sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


MODEL = {"fingerprint": "abc", "model": "a student with torch in float32"}
SUFFIXES = [".csv", ".jsonl", ".parquet"]


class TestResume:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_rows_of_a_run_that_was_cut_off_stay_and_more_follow(self, tmp_path, suffix):
        path = tmp_path / f"x{suffix}"
        cut_off(path, *ROWS)
        assert len(read(tmp_path / f"x{suffix}.part")) == 2
        with open_writer(path, resume=True, model=MODEL) as writer:
            assert writer.earlier.done == {"a, b.jpg": 1, "ü.jpg": 1}
            assert (writer.earlier.num_done, writer.earlier.failed) == (2, {"ü.jpg": 1})
            writer.write(named("c.jpg"))
        assert [row["path"] for row in read(path)] == ["a, b.jpg", "ü.jpg", "c.jpg"]
        assert {file.name for file in tmp_path.iterdir()} == {path.name, f".{path.name}.json"}

    @pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
    def test_a_row_that_was_cut_anywhere_is_written_again(self, tmp_path, suffix):
        names = ["plain.jpg", 'quo"te\nline.jpg', "last.jpg"]
        whole = tmp_path / f"whole{suffix}"
        with open_writer(whole, model=MODEL) as writer:
            for name in names:
                writer.write(named(name))
        content = whole.read_bytes()
        path = tmp_path / f"x{suffix}"
        for length in range(len(content) + 1):
            (tmp_path / f"x{suffix}.part").write_bytes(content[:length])
            (tmp_path / f"x{suffix}.part.json").write_text(json.dumps(MODEL))
            with open_writer(path, resume=True, model=MODEL, overwrite=True) as writer:
                for name in names[writer.earlier.num_done :]:
                    writer.write(named(name))
            assert path.read_bytes() == content, length

    def test_a_parquet_chunk_that_was_not_finished_is_dropped(self, tmp_path):
        part = tmp_path / "x.parquet.part"
        cut_off(tmp_path / "x.parquet", ROWS[0])
        (part / ".000000001.parquet").write_bytes(b"PAR1 and no more")
        assert len(read(part)) == 1
        with open_writer(tmp_path / "x.parquet", resume=True, model=MODEL) as writer:
            writer.write(ROWS[1])
        assert read(tmp_path / "x.parquet") == ROWS

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of files that are not closed
    @pytest.mark.parametrize("begun", ["anew", "before", "finished"])
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_a_run_that_is_stopped_anywhere_can_be_gone_on_with(self, tmp_path, suffix, begun, monkeypatch):
        monkeypatch.setattr("dpiqa.scoring.rows._PARQUET_ROW_GROUP", 2)
        earlier = [] if begun == "anew" else [named("1.jpg"), named("2.jpg"), named("3.jpg")]
        new = [named("4.jpg"), named("5.jpg"), named("6.jpg")]

        def score(path, wanted, stop_at=None):
            with stopped_at(stop_at), open_writer(path, resume=True, model=MODEL) as writer:
                for row in wanted:
                    if row["path"] not in writer.earlier.done:
                        writer.write(row)

        for line in range(1, 1_000):
            path = tmp_path / str(line) / f"x{suffix}"
            path.parent.mkdir()
            if begun == "finished":
                score(path, earlier)
            elif begun == "before":
                cut_off(path, *earlier)
            is_whole = False
            with suppress(SystemExit):
                score(path, new, stop_at=line)
                is_whole = True
            score(path, new)
            score(path, [named("7.jpg")])
            assert sorted(row["path"] for row in read(path)) == [
                row["path"] for row in [*earlier, *new, named("7.jpg")]
            ], line
            assert {file.name for file in path.parent.iterdir()} == {path.name, f".{path.name}.json"}, line
            if is_whole:
                break
        else:
            pytest.fail("the run never came to its end")

    @pytest.mark.parametrize("resume", [True, False])
    @pytest.mark.parametrize("name", ["precious.txt", "precious.parquet"])
    def test_a_part_with_files_of_somebody_else_is_left_alone(self, tmp_path, name, resume):
        path, part = tmp_path / "x.parquet", tmp_path / "x.parquet.part"
        cut_off(path, *ROWS)
        (part / name).touch()
        other = MODEL | {"fingerprint": "def"}
        with (
            pytest.raises(FileExistsError, match="other files, such as precious"),
            open_writer(path, resume=resume, overwrite=not resume, model=other),
        ):
            pass
        assert (part / name).exists()
        assert json.loads((tmp_path / "x.parquet.part.json").read_text()) == MODEL

    @pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
    def test_a_disk_that_is_full_leaves_whole_rows(self, tmp_path, suffix):
        resource = pytest.importorskip("resource")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_010, limits[1]))
        try:
            with suppress(OSError), open_writer(tmp_path / f"x{suffix}", model=MODEL) as writer:
                for number in range(100):
                    writer.write(named(f"{number}.jpg"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert read(tmp_path / f"x{suffix}.part")[-1]["path"].endswith(".jpg")
        assert (tmp_path / f"x{suffix}.part").read_bytes().endswith(b"\n")

    def test_another_model_is_refused(self, tmp_path):
        path = tmp_path / "x.csv"
        cut_off(path, *ROWS)
        for model in (MODEL | {"fingerprint": "def"}, None):
            with (
                pytest.raises(ValueError, match="has scores of a student with torch in float32, and scores of two"),
                open_writer(path, resume=True, model=model),
            ):
                pass

    def test_two_runs_do_not_write_one_file(self, tmp_path):
        path = tmp_path / "x.csv"
        with open_writer(path) as writer:
            with pytest.raises(FileExistsError, match="another run is writing"), open_writer(path, overwrite=True):
                pass
            writer.write(ROWS[0])
        assert len(read(path)) == 1

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_rows_are_added_to_a_file_that_is_finished(self, tmp_path, suffix):
        path = tmp_path / f"x{suffix}"
        with open_writer(path, model=MODEL) as writer:
            writer.write(ROWS[0])
        for name in ("c.jpg", "d.jpg"):
            before = path.read_bytes()
            with open_writer(path, resume=True, model=MODEL) as writer:
                writer.write(named(name))
                assert path.read_bytes() == before
        assert [row["path"] for row in read(path)] == ["a, b.jpg", "c.jpg", "d.jpg"]

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_a_run_that_is_killed_while_it_takes_up_a_finished_file_loses_no_row(self, tmp_path, suffix, monkeypatch):
        path = tmp_path / f"x{suffix}"
        with open_writer(path, model=MODEL) as writer:
            writer.write(ROWS[0])
        with monkeypatch.context() as patch:
            patch.setattr("dpiqa.scoring.rows.shutil.copyfile", denied)
            with suppress(PermissionError), open_writer(path, resume=True, model=MODEL):
                pytest.fail("nothing is denied")
        with open_writer(path, resume=True, model=MODEL) as writer:
            assert writer.earlier.num_done == 1
        assert [row["path"] for row in read(path)] == ["a, b.jpg"]

    def test_none_are_added_to_a_file_of_another_model(self, tmp_path):
        with open_writer(tmp_path / "x.csv", model=MODEL) as writer:
            writer.write(ROWS[0])
        with (
            pytest.raises(ValueError, match="has scores of a student with torch in float32, and scores of two"),
            open_writer(tmp_path / "x.csv", resume=True, model=MODEL | {"fingerprint": "def"}),
        ):
            pass
        assert not (tmp_path / "x.csv.part").exists()

    @pytest.mark.parametrize(("model", "reason"), [(MODEL, "was changed since"), (None, r"is without \.x\.csv\.json")])
    def test_none_are_added_where_the_model_of_a_finished_file_is_not_known(self, tmp_path, model, reason):
        path = tmp_path / "x.csv"
        with open_writer(path, model=model) as writer:
            writer.write(ROWS[0])
        path.write_text(path.read_text().replace("0.5", "0.6"))
        with (
            pytest.raises(ValueError, match=f"{reason}.*begin anew with --overwrite"),
            open_writer(path, resume=True, model=MODEL),
        ):
            pass

    def test_a_run_that_was_killed_before_its_first_row_is_gone_on_with_and_not_the_older_file(self, tmp_path):
        path = tmp_path / "x.csv"
        write(path)
        with suppress(KeyboardInterrupt), reserve(path, overwrite=True):
            raise KeyboardInterrupt
        with open_writer(path, resume=True, model=MODEL) as writer:
            assert writer.earlier.num_done == 0
            writer.write(named("c.jpg"))
        assert [row["path"] for row in read(path)] == ["c.jpg"]

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_an_error_before_the_first_row_leaves_all_as_it_was(self, tmp_path, suffix):
        cut_off(tmp_path / f"x{suffix}", *ROWS)
        before = read(tmp_path / f"x{suffix}.part")
        for name in ("x", "y"):
            with suppress(ValueError), reserve(tmp_path / f"{name}{suffix}", overwrite=True):
                raise ValueError
        assert read(tmp_path / f"x{suffix}.part") == before
        assert not (tmp_path / f"y{suffix}.part").exists()

    def test_a_folder_that_cannot_be_written_to_is_not_taken_for_another_run(self, tmp_path, monkeypatch):
        monkeypatch.setattr("pathlib.Path.touch", denied)
        with pytest.raises(PermissionError), open_writer(tmp_path / "x.csv"):
            pass

    def test_a_resumed_run_leaves_the_note_of_its_model_alone(self, tmp_path):
        cut_off(tmp_path / "x.csv", *ROWS)
        note = tmp_path / "x.csv.part.json"
        before = note.stat()
        with suppress(KeyboardInterrupt), open_writer(tmp_path / "x.csv", resume=True, model=MODEL):
            raise KeyboardInterrupt
        after = note.stat()
        assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)

    @pytest.mark.parametrize(
        ("suffix", "content"),
        [
            (".csv", "a,b\n1,2\n"),
            (".csv", "path,error\n" + 200_000 * "x" + ",\n"),
            (".jsonl", 100_000 * "[" + "\n"),
            (".jsonl", '{"a": 1}\n'),
            (".jsonl", "[1]\n"),
            (".jsonl", "x\n"),
        ],
    )
    def test_a_part_that_is_none_is_one_sentence(self, tmp_path, suffix, content):
        (tmp_path / f"x{suffix}.part").write_text(content)
        (tmp_path / f"x{suffix}.part.json").write_text(json.dumps(MODEL))
        with (
            pytest.raises(ValueError, match="holds no rows of scores"),
            open_writer(tmp_path / f"x{suffix}", resume=True, model=MODEL),
        ):
            pass

    def test_a_note_that_is_none_is_another_model(self, tmp_path):
        cut_off(tmp_path / "x.csv", *ROWS)
        (tmp_path / "x.csv.part.json").write_text("[1]")
        with (
            pytest.raises(ValueError, match="has scores of a model that is not known"),
            open_writer(tmp_path / "x.csv", resume=True, model=MODEL),
        ):
            pass


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_of_somebody_else_is_not_removed(tmp_path, suffix):
    precious = tmp_path / f"x{suffix}.part" / "precious"
    precious.parent.mkdir()
    precious.touch()
    with (
        pytest.raises(FileExistsError, match="other files, such as precious"),
        open_writer(tmp_path / f"x{suffix}", overwrite=True),
    ):
        pass
    assert precious.exists()
