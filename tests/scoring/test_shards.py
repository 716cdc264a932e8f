"""Parquet files and tars become rows of photos, and what is damaged in them rows with an error."""

import os

import pyarrow as pa
import pytest

from dpiqa.scoring.engines.inputs import find_inputs
from dpiqa.scoring.engines.photos import file_system, score_photos, table_of
from dpiqa.scoring.engines.shards import read_shard
from support.shards import damage_row_group, write_parquet, write_tar


def rows(path, **options):
    """What a shard gives, by key."""
    listed = [row for batch in read_shard(str(path), **options) for row in batch]
    assert len({row["key"] for row in listed}) == len(listed)
    return {row["key"].removeprefix(str(path)): row for row in listed}


def text(*names):
    return [pa.field(name, pa.string()) for name in names]


class TestParquet:
    def test_rows_of_bytes_are_counted_from_0(self, tmp_path):
        path = write_parquet(tmp_path / "a.parquet", {"image": [b"one", b"two"]})
        assert {key: row["bytes"] for key, row in rows(path).items()} == {"#0": b"one", "#1": b"two"}

    def test_a_column_of_datasets_holds_bytes_or_paths(self, tmp_path):
        images = [{"bytes": b"one", "path": "x.jpg"}, {"bytes": None, "path": "/y.jpg"}]
        found = rows(write_parquet(tmp_path / "a.parquet", {"image": images}))
        assert (found["#0"]["bytes"], found["#1"]["file"]) == (b"one", b"/y.jpg")

    def test_paths_start_from_the_folder_of_the_table(self, tmp_path):
        path = write_parquet(tmp_path / "a.parquet", {"name": ["x.jpg", "/y.jpg", "s3://bucket/z.jpg"]})
        found = rows(path, image_column="name").values()
        assert [row["path"] for row in found] == ["x.jpg", "/y.jpg", "s3://bucket/z.jpg"]
        assert [row["file"] for row in found] == [os.fsencode(tmp_path / "x.jpg"), b"/y.jpg", b"s3://bucket/z.jpg"]

    def test_columns_are_carried(self, tmp_path):
        path = write_parquet(tmp_path / "a.parquet", {"image": [b"one"], "id": [7], "text": ["seven"]})
        assert rows(path, carried=[pa.field("id", pa.int64())])["#0"]["id"] == 7

    def test_carried_values_that_do_not_fit_the_first_file_are_errors(self, tmp_path):
        path = write_parquet(tmp_path / "a.parquet", {"image": [b"one", b"two"], "id": ["7", "eight"]})
        found = rows(path, carried=[pa.field("id", pa.int64())])
        assert "holds other values than the first file (the column 'id' has string for int64" in found["#1"]["error"]
        assert table_of(list(found.values()), [pa.field("id", pa.int64())])["id"].null_count == 2

    def test_carried_values_of_another_type_that_fit_are_taken(self, tmp_path):
        path = write_parquet(tmp_path / "a.parquet", {"image": [b"one"], "id": pa.array([7], pa.int8())})
        assert rows(path, carried=[pa.field("id", pa.int64())])["#0"]["id"] == 7

    def test_a_null_is_an_error(self, tmp_path):
        path = write_parquet(tmp_path / "a.parquet", {"image": [b"one", None]})
        assert rows(path)["#1"]["error"] == "no photo in this row: the value is null"

    def test_another_column_is_an_error_that_lists_them(self, tmp_path):
        path = write_parquet(tmp_path / "a.parquet", {"picture": [b"one"], "id": [7]})
        assert "expected a column 'image', found 'picture', 'id'" in rows(path)[""]["error"]

    def test_a_column_of_numbers_is_an_error(self, tmp_path):
        path = write_parquet(tmp_path / "a.parquet", {"image": [7]})
        assert "expected bytes, paths or URLs of photos in the column 'image', found int64" in rows(path)[""]["error"]

    def test_every_row_of_a_damaged_row_group_is_an_error(self, tmp_path):
        path = write_parquet(tmp_path / "a.parquet", {"image": [b"%d" % n * 500 for n in range(9)]}, row_group_size=3)
        damage_row_group(path, 1)
        found = rows(path)
        assert list(found) == [f"#{n}" for n in range(9)]
        assert [n for n in range(9) if found[f"#{n}"].get("error")] == [3, 4, 5]
        assert "row group 1 of this Parquet file is damaged" in found["#3"]["error"]

    @pytest.mark.parametrize("content", [b"", b"PAR1 and no more"])
    def test_a_file_without_an_end_is_one_error(self, tmp_path, content):
        (tmp_path / "a.parquet").write_bytes(content)
        [row] = rows(tmp_path / "a.parquet").values()
        assert "this Parquet file cannot be read" in row["error"]


class TestTar:
    def test_every_photo_is_a_row(self, tmp_path):
        path = write_tar(tmp_path / "a.tar", {"x/1.jpg": b"one", "x/1.txt": b"words", "x/2.left.PNG": b"two"})
        assert {key: row["bytes"] for key, row in rows(path).items()} == {"/x/1.jpg": b"one", "/x/2.left.PNG": b"two"}

    @pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz"])
    def test_it_can_be_compressed(self, tmp_path, name):
        assert rows(write_tar(tmp_path / name, {"1.jpg": b"one"}))["/1.jpg"]["bytes"] == b"one"

    def test_one_suffix_can_be_asked_for(self, tmp_path):
        path = write_tar(tmp_path / "a.tar", {"1.jpg": b"one", "1.mask.png": b"mask"})
        assert list(rows(path, image_column="jpg")) == ["/1.jpg"]

    def test_files_of_the_sample_are_carried_as_text(self, tmp_path):
        path = write_tar(tmp_path / "a.tar", {"x/1.jpg": b"one", "x/1.json": b'{"a": 1}', "x/2.jpg": b"two"})
        found = rows(path, carried=text("json", "__key__"))
        assert (found["/x/1.jpg"]["json"], found["/x/1.jpg"]["__key__"]) == ('{"a": 1}', "x/1")
        assert found["/x/2.jpg"].get("json") is None

    def test_a_sample_without_a_photo_is_an_error(self, tmp_path):
        path = write_tar(tmp_path / "a.tar", {"1.txt": b"words", "1.json": b"{}", "2.jpg": b"two"})
        assert rows(path)["/1"]["error"] == "no photo in this sample: found .txt, .json"

    def test_two_files_of_one_name_are_two_rows(self, tmp_path):
        path = write_tar(tmp_path / "a.tar", [("1.jpg", b"one"), ("1.jpg", b"two"), ("2.jpg", b"x"), ("1.jpg", b"y")])
        assert list(rows(path)) == ["/1.jpg", "/1.jpg#2", "/2.jpg", "/1.jpg#3"]

    def test_a_name_that_is_no_text_can_be_carried(self, tmp_path):
        path = write_tar(tmp_path / "a.tar", {"b\udcff.jpg": b"one"})
        found = rows(path, carried=text("__key__"))["/b\\xff.jpg"]
        assert table_of([found], text("__key__"))["__key__"].to_pylist() == ["b\\xff"]

    def test_hidden_files_and_folders_are_passed_over(self, tmp_path):
        assert list(rows(write_tar(tmp_path / "a.tar", {"x/._1.jpg": b"mac", "x/1.jpg": b"one"}))) == ["/x/1.jpg"]

    @pytest.mark.parametrize("length", range(0, 6 * 512 + 1, 128))
    def test_a_tar_that_is_cut_off_anywhere_is_an_error_behind_what_is_whole(self, tmp_path, length):
        # Three files of a header and a block each, before the end.
        whole = write_tar(tmp_path / "a.tar", {f"{n}.jpg": bytes(512) for n in range(3)}).read_bytes()
        path = tmp_path / "cut.tar"
        path.write_bytes(whole[:length])
        found = rows(path)
        num_whole = sum(length >= 1024 * n + 1024 for n in range(3))
        assert sum("bytes" in row for row in found.values()) == num_whole
        counted = {1: "1 sample", 2: "2 samples", 3: "3 samples"}.get(num_whole)
        message = f"what follows its first {counted} is not scored" if counted else "this tar cannot be read ("
        assert message in found[""]["error"]

    @pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
    def test_a_file_of_no_bytes_is_called_empty(self, tmp_path, name):
        (tmp_path / name).touch()
        assert rows(tmp_path / name)[""]["error"] == "this tar cannot be read (it is empty)"

    def test_a_damaged_header_is_an_error_and_no_end(self, tmp_path):
        path = write_tar(tmp_path / "a.tar", {f"{n}.jpg": b"photo" for n in range(3)})
        content = bytearray(path.read_bytes())
        content[1024 + 150] ^= 1  # in the checksum of the second header
        path.write_bytes(content)
        found = rows(path)
        assert list(found) == ["/0.jpg", ""]
        assert "what follows its first 1 sample is not scored" in found[""]["error"]

    def test_compressed_data_that_are_damaged_are_an_error(self, tmp_path):
        path = write_tar(tmp_path / "a.tar.gz", {f"{n}.jpg": os.urandom(50_000) for n in range(3)})
        content = bytearray(path.read_bytes())
        content[70_000:90_000] = bytes(20_000)
        path.write_bytes(content)
        found = rows(path)
        assert "/0.jpg" in found
        assert "this tar is damaged" in found[""]["error"]

    def test_what_is_no_tar_is_one_error(self, tmp_path):
        (tmp_path / "a.tar").write_bytes(b"no tar" * 1000)
        [row] = rows(tmp_path / "a.tar").values()
        assert "this tar cannot be read" in row["error"]


@pytest.mark.parametrize("name", ["a.tar", "a.parquet"])
def test_a_missing_file_is_one_error(tmp_path, name):
    [row] = rows(tmp_path / name).values()
    assert "cannot be read (no such file)" in row["error"]


@pytest.mark.parametrize("name", ["a.tar", "a.parquet"])
def test_an_error_that_passes_is_raised(tmp_path, name):
    with pytest.raises(FileNotFoundError):
        rows(tmp_path / name, retried=["No such file"])


def test_an_error_that_passes_is_raised_for_a_photo_behind_a_url(tiny_scorer):
    row = {"key": "a", "path": "a", "bytes": None, "file": b"file:///no/such.jpg", "error": None}
    with pytest.raises(FileNotFoundError):
        score_photos(tiny_scorer, [row], retried=["No such file"])


def test_a_url_is_read_by_the_file_system_of_its_scheme(tmp_path):
    write_tar(tmp_path / "a.tar", {"1.jpg": b"one"})
    assert list(rows(f"file://{tmp_path}/a.tar")) == ["/1.jpg"]


def test_web_servers_are_not_read_from():
    with pytest.raises(ValueError, match="download the photos first"):
        file_system("https://example.org/a.tar")


def test_a_carried_value_of_another_type_is_an_error():
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        table_of([{"key": "a", "path": "a", "id": "seven"}], [pa.field("id", pa.int64())])


class TestInputs:
    def test_photos_shards_and_urls(self, tmp_path, photo):
        photo.save(tmp_path / "a.jpg")
        write_parquet(tmp_path / "a.parquet", {"image": [b"one"]})
        write_tar(tmp_path / "b.tar", {"1.jpg": b"one"})
        inputs = find_inputs([str(tmp_path), f"{tmp_path}/*.tar", f"{tmp_path}/a.parquet", f"file://{tmp_path}"])
        assert inputs.listed == [(f"{tmp_path}/a.jpg", None), (f"file://{tmp_path}/a.jpg", None)]
        assert inputs.shards == [f"{tmp_path}/b.tar", f"{tmp_path}/a.parquet"]
        assert not inputs.names_only

    @pytest.mark.parametrize("name", ["a[1].tar", "a::b.tar", "a#b%20.tar"])
    def test_a_file_of_this_very_name_comes_before_a_pattern(self, tmp_path, name):
        path = str(write_tar(tmp_path / name, {"1.jpg": b"one"}))
        assert find_inputs([path]).shards == [path]
        assert rows(path)["/1.jpg"]["bytes"] == b"one"

    def test_a_pattern_in_a_url(self, tmp_path):
        write_tar(tmp_path / "b.tar", {"1.jpg": b"one"})
        assert find_inputs([f"file://{tmp_path}/*.tar"]).shards == [f"file://{tmp_path}/b.tar"]

    def test_a_list_of_names_is_names_only(self, tmp_path):
        path = write_parquet(tmp_path / "a.parquet", {"name": ["x.jpg"]})
        assert find_inputs([str(path)], image_column="name").names_only

    def test_carried_columns_come_once_with_the_type_of_the_first_file(self, tmp_path):
        path = write_parquet(tmp_path / "a.parquet", {"image": [b"one"], "id": [7]})
        assert find_inputs([str(path)], carry=["id", "id"]).carried == [pa.field("id", pa.int64())]

    @pytest.mark.parametrize("column", ["id", "score"])
    def test_a_column_that_cannot_be_carried(self, tmp_path, column):
        path = write_parquet(tmp_path / "a.parquet", {"image": [b"one"], "score": [0.5]})
        with pytest.raises(ValueError, match=f"{column}"):
            find_inputs([str(path)], carry=[column])

    @pytest.mark.parametrize("name", ["{}/*.tar", "file://{}/*.tar", "file://{}"])
    def test_nothing_is_there(self, tmp_path, name):
        with pytest.raises(ValueError, match=r"no file matches|no photo, Parquet file or tar"):
            find_inputs([name.format(tmp_path)])


def test_photos_are_scored_in_order_wherever_they_are(tiny_scorer, save, photo):
    path = save(photo, "a.jpg")
    sources = [
        {"error": "not there"},
        {"file": os.fsencode(path)},
        {"bytes": path.read_bytes()},
        {"file": f"file://{path}".encode()},
        {"file": b"file:///no/such.jpg"},
        {"bytes": b"no photo"},
    ]
    rows = [{"key": "a", "path": "a", "bytes": None, "file": None, "error": None} | source for source in sources]
    scores = score_photos(tiny_scorer, rows)
    assert [score.error is None for score in scores] == [False, True, True, True, False, False]
    assert [score.score for score in scores[1:4]] == pytest.approx([tiny_scorer(path).score] * 3)
    assert (scores[0].error, scores[4].error) == ("not there", "no such file")
