"""Columns of scores in frames and data sets, whatever their photos are stored as."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict, Features, Image, Value

import dpiqa
from dpiqa.integrations.frames import COLUMNS, add_scores
from dpiqa.scoring.rows import to_row
from support.images import encoded

pd = pytest.importorskip("pandas")

KINDS = {
    "pandas": lambda photos: pd.DataFrame({"key": range(len(photos)), "image": photos}),
    "pyarrow": lambda photos: pa.table({"key": range(len(photos)), "image": photos}),
    "datasets": lambda photos: Dataset.from_dict({"key": list(range(len(photos))), "image": photos}),
}


@pytest.fixture
def files(photos, tmp_path):
    """Paths of two photographs, and of a file that is none between them."""
    paths = [tmp_path / "a.png", tmp_path / "broken.png", tmp_path / "b.png"]
    photos[0].save(paths[0])
    paths[1].write_bytes(b"no picture")
    photos[1].save(paths[2])
    return [str(path) for path in paths]


@pytest.fixture(params=KINDS)
def make(request):
    """Makes a table of one kind from a list of photos."""
    return KINDS[request.param]


def rows_of(table):
    """The rows of any of the tables, with None for what is missing."""
    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table, preserve_index=False)
    return table.to_pylist() if isinstance(table, pa.Table) else list(table)


def expected(scorer, sources):
    """What `dpiqa score` would write of the photos."""
    rows = [to_row("", score) for score in scorer(sources)]
    return [{name: row[name] for name in COLUMNS} for row in rows]


def added(table, prefix=""):
    return [{name: row[prefix + name] for name in COLUMNS} for row in rows_of(table)]


class TestEveryKind:
    def test_paths_get_the_rows_of_the_command_errors_included(self, make, files, tiny_scorer):
        table = make(files)
        scored = add_scores(table, scorer=tiny_scorer)
        assert type(scored) is type(table)
        assert [row["key"] for row in rows_of(scored)] == [0, 1, 2]
        assert [row["image"] for row in rows_of(scored)] == files
        assert added(scored) == expected(tiny_scorer, files)
        assert [row["score"] is None for row in rows_of(scored)] == [False, True, False]
        assert "not an image" in rows_of(scored)[1]["error"]

    def test_bytes(self, make, files, tiny_scorer):
        data = [Path(path).read_bytes() for path in files]
        assert added(add_scores(make(data), scorer=tiny_scorer)) == expected(tiny_scorer, data)

    def test_entries_of_an_image_column(self, make, files, tiny_scorer):
        entries = [{"bytes": None, "path": path} for path in files]
        entries[0] = {"bytes": Path(files[0]).read_bytes(), "path": "elsewhere.png"}
        assert added(add_scores(make(entries), scorer=tiny_scorer)) == expected(tiny_scorer, files)

    def test_a_missing_photo_is_an_error_of_its_row(self, make, files, tiny_scorer):
        row = rows_of(add_scores(make([files[0], None]), scorer=tiny_scorer))[1]
        assert row["score"] is None
        assert "Expected a path, bytes, file" in row["error"]

    def test_the_table_that_was_given_stays_as_it_was(self, make, files, tiny_scorer):
        table = make(files)
        add_scores(table, scorer=tiny_scorer)
        assert {*rows_of(table)[0]} == {"key", "image"}

    def test_a_table_without_rows(self, make, tiny_scorer):
        scored = add_scores(make([]), scorer=tiny_scorer)
        names = scored.columns if isinstance(scored, pd.DataFrame) else scored.column_names
        assert [*names] == ["key", "image", *COLUMNS]

    def test_a_prefix_lets_two_models_stand_side_by_side(self, make, files, tiny_scorer):
        once = add_scores(make(files), scorer=tiny_scorer)
        twice = add_scores(once, scorer=tiny_scorer, prefix="other_")
        assert added(twice, "other_") == added(once)

    def test_a_prefix_that_is_no_text(self, make, files):
        with pytest.raises(TypeError, match="Expected text as the prefix, got None"):
            add_scores(make(files), prefix=None)

    def test_a_url_is_an_error_of_its_row(self, make, tiny_scorer):
        (row,) = rows_of(add_scores(make(["https://example.org/a.jpg"]), scorer=tiny_scorer))
        assert row["error"] == "URLs are not opened here: download the photo first."

    def test_columns_are_not_replaced(self, make, files, tiny_scorer):
        once = add_scores(make(files), scorer=tiny_scorer)
        with pytest.raises(ValueError, match="The table has error, high, low, percentile, score already"):
            add_scores(once, scorer=tiny_scorer)

    def test_a_column_that_is_not_there(self, make, files, tiny_scorer):
        with pytest.raises(ValueError, match=r"Expected one column 'photo', found 0 in \['key', 'image'\]"):
            add_scores(make(files), "photo", scorer=tiny_scorer)


def test_pil_images_in_a_frame(photos, tiny_scorer):
    frame = pd.DataFrame({"photo": photos}, index=[7, 7])
    scored = add_scores(frame, "photo", scorer=tiny_scorer)
    assert [*scored.index] == [7, 7]
    assert added(scored.drop(columns="photo")) == expected(tiny_scorer, photos)


def test_the_columns_of_a_frame_are_numbers_and_text(files, tiny_scorer):
    scored = add_scores(pd.DataFrame({"image": files}), scorer=tiny_scorer)
    assert scored["score"].dtype == "float64"
    assert scored["score"].isna().tolist() == scored["error"].notna().tolist() == [False, True, False]


def test_the_columns_of_an_arrow_table_have_types_without_any_value(photo, tiny_scorer):
    scored = add_scores(pa.table({"image": [encoded(photo)]}), scorer=tiny_scorer)
    assert scored.schema.field("error").type == pa.string()
    assert scored.schema.field("percentile").type == pa.float64()


class TestDataset:
    @pytest.fixture
    def table(self, photos):
        data = [{"bytes": encoded(photo), "path": None} for photo in photos]
        rows = {"image": [data[0], {"bytes": b"broken", "path": None}, data[1]], "label": [3, 4, 5]}
        return Dataset.from_dict(rows, features=Features(image=Image(), label=Value("int64")))

    def test_images_that_would_be_decoded(self, table, photos, tiny_scorer):
        scored = add_scores(table, scorer=tiny_scorer)
        assert scored.features["image"] == Image()
        assert scored["score"][0] == expected(tiny_scorer, [encoded(photos[0])])[0]["score"]
        assert [error is None for error in scored["error"]] == [True, False, True]

    def test_a_selection_in_another_order(self, table, tiny_scorer):
        whole = add_scores(table, scorer=tiny_scorer)
        scored = add_scores(table.select([2, 0]), scorer=tiny_scorer)
        assert scored["label"][:] == [5, 3]
        assert scored["score"][:] == [whole["score"][2], whole["score"][0]]

    def test_a_format_does_not_matter(self, table, tiny_scorer):
        formatted = table.with_format("numpy", columns=["label"])
        assert (
            add_scores(formatted, scorer=tiny_scorer).with_format(None)["score"][:]
            == (add_scores(table, scorer=tiny_scorer)["score"][:])
        )

    def test_one_split_at_a_time(self, table):
        with pytest.raises(TypeError, match="Give one split of a DatasetDict at a time"):
            add_scores(DatasetDict(train=table))


def test_without_a_scorer_the_bundled_student_scores(photo):
    scored = dpiqa.add_scores(pa.table({"image": [encoded(photo)]}))
    assert 0 < scored["score"][0].as_py() < 1
    assert 0 <= scored["percentile"][0].as_py() <= 100
    assert scored["low"][0].as_py() < scored["score"][0].as_py() < scored["high"][0].as_py()


def test_a_table_of_arrow_does_not_import_datasets(photo, tmp_path):
    photo.save(tmp_path / "photo.png")
    code = (
        "import sys, dpiqa, pyarrow as pa;"
        f"dpiqa.add_scores(pa.table({{'image': [{str(tmp_path / 'photo.png')!r}]}}));"
        "print([name for name in ('datasets', 'diffusers', 'ray') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
