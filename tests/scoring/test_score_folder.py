import pytest

from dpiqa.scoring.engines.score_folder import RowCounts, ScoreFolder
from support.shards import write_parquet

MODEL = {"fingerprint": "abc", "model": "a student with torch in float32"}


@pytest.fixture
def folder(tmp_path):
    """A folder with a row that has a score and two that have an error."""
    ScoreFolder(str(tmp_path / "scores")).begin(MODEL)
    write_parquet(tmp_path / "scores" / "1.parquet", {"key": ["a", "b", "c"], "error": [None, "broken", "empty"]})
    return ScoreFolder(str(tmp_path / "scores"))


def names(tmp_path):
    return sorted(path.name for path in (tmp_path / "scores").iterdir())


def test_a_new_folder_is_made_and_has_no_rows(tmp_path):
    folder = ScoreFolder(str(tmp_path / "deep" / "scores"))
    assert folder.counts() == RowCounts()
    folder.begin(MODEL)
    assert folder.counts() == RowCounts()


def test_rows_are_counted(folder):
    assert folder.counts() == RowCounts(scored=1, failed=2)


def test_rows_are_neither_mixed_nor_replaced_unasked(folder):
    with pytest.raises(FileExistsError, match="has scores already"):
        folder.begin(MODEL)


def test_rows_stay_when_a_run_goes_on(folder):
    folder.begin(MODEL, resume=True)
    assert folder.counts() == RowCounts(scored=1, failed=2)


def test_rows_of_another_model_are_refused(folder):
    with pytest.raises(ValueError, match="has scores of a student with torch in float32, and scores of two models"):
        folder.begin(MODEL | {"fingerprint": "def"}, resume=True)


def test_rows_with_other_carried_columns_are_refused(folder):
    with pytest.raises(ValueError, match="carried columns: none; this run would add: id, json"):
        folder.begin(MODEL, resume=True, carried=["json", "id"])
    folder.begin(MODEL, overwrite=True, carried=["json", "id"])
    folder.begin(MODEL, resume=True, carried=["id", "json"])


def test_rows_are_removed_when_asked(folder, tmp_path):
    folder.begin(MODEL | {"fingerprint": "def"}, overwrite=True)
    assert names(tmp_path) == [".dpiqa.json"]


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
def test_files_of_somebody_else_are_left_alone(tmp_path, options):
    (tmp_path / "precious.txt").touch()
    with pytest.raises(FileExistsError, match=r"did not write, such as precious\.txt"):
        ScoreFolder(str(tmp_path)).begin(MODEL, **options)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "scores").touch()
    with pytest.raises(FileExistsError, match="is a file"):
        ScoreFolder(str(tmp_path / "scores")).begin(MODEL)


def test_files_of_somebody_else_beside_rows_are_not_removed(folder, tmp_path):
    (tmp_path / "scores" / "kept").mkdir()
    with pytest.raises(FileExistsError, match="also has files that dpiqa did not write, such as kept"):
        folder.begin(MODEL, overwrite=True)
    assert names(tmp_path) == [".dpiqa.json", "1.parquet", "kept"]


@pytest.mark.parametrize("options", [{"resume": True}, {"overwrite": True}])
def test_what_is_read_is_neither_removed_nor_mixed_with_rows(folder, tmp_path, options):
    with pytest.raises(ValueError, match=r"also holds one of the inputs, .*1\.parquet"):
        folder.begin(MODEL, inputs=[str(tmp_path / "scores" / "1.parquet")], **options)
    assert names(tmp_path) == [".dpiqa.json", "1.parquet"]


def test_a_place_that_ray_does_not_find_again(tmp_path):
    with pytest.raises(ValueError, match="without a question mark"):
        ScoreFolder(str(tmp_path / "which?"))
