import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from dpiqa import Score
from dpiqa.scoring.rows import COLUMNS, CsvWriter, to_row
from dpiqa.scoring.score_files import open_writer

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
        "score": "0.500000",
        "percentile": "40.000000",
        "low": "0.300000",
        "high": "0.700000",
        "width": "640",
        "height": "427",
        "error": "",
    }
    assert (rows[1]["path"], rows[1]["score"], rows[1]["error"]) == ("ü.jpg", "", "no such file")


def test_csv_to_an_open_file_leaves_it_open():
    file = io.StringIO()
    with CsvWriter(file) as writer:
        writer.write(ROWS[0])
    assert file.getvalue().startswith(",".join(COLUMNS) + "\n")


def test_a_bare_carriage_return_in_a_name_splits_no_row():
    file = io.StringIO()
    with CsvWriter(file) as writer:
        writer.write(to_row("a\rb\nc.jpg", Score(0.5)))
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
