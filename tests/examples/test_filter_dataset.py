"""examples/filter_dataset.py: the same rows every time, and nothing scored twice."""

import datasets
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, Image, Value, load_dataset

from dpiqa import Scorer
from support import releases
from support.examples import load_example, wrong_use
from support.images import encoded


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def folder(tmp_path):
    """A folder of Parquet with seven photos, one of them damaged and two of them the same."""
    data = [encoded(releases.picture(seed), "PNG") for seed in range(6)]
    data = [*data[:3], b"no picture", *data[3:]]
    data[6] = data[0]
    entries = [{"bytes": one, "path": None} for one in data]
    types = Features(image=Image(), label=Value("int64"))
    rows = Dataset.from_dict({"image": entries, "label": list(range(7))}, features=types)
    rows.to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    return tmp_path / "data"


@pytest.fixture
def example():
    return load_example("filter_dataset")


@pytest.fixture
def scored(monkeypatch):
    """How many photos were scored."""
    count = []
    call = Scorer.__call__

    def counted(scorer, images, **options):
        count.extend(images)
        return call(scorer, images, **options)

    monkeypatch.setattr(Scorer, "__call__", counted)
    return count


def kept(folder):
    return [label for path in sorted(folder.iterdir()) for label in pq.read_table(path)["label"].to_pylist()]


def expected(folder, checkpoint, number):
    """Labels of the best photos."""
    rows = load_dataset(str(folder), split="train").cast_column("image", Image(decode=False))
    results = Scorer.from_pretrained(checkpoint)(rows["image"])
    order = sorted((row for row in range(7) if results[row].error is None), key=lambda row: (-results[row].score, row))
    return sorted(order[:number])


@pytest.mark.parametrize("num_proc", [1, 2])
def test_the_best_rows_are_kept_in_their_order(example, folder, tmp_path, tiny_checkpoint, capsys, num_proc):
    example.main(str(folder), tmp_path / "kept", model=str(tiny_checkpoint), num_proc=num_proc)
    assert kept(tmp_path / "kept") == expected(folder, tiny_checkpoint, 3)
    assert "3 of 7 photos are in" in (out := capsys.readouterr().out)
    assert "1 cannot be scored" in out


def test_another_share_scores_nothing_again(example, folder, tmp_path, tiny_checkpoint, scored):
    for share in (0.5, 1, 0.01):
        example.main(str(folder), tmp_path / f"kept-{share}", share, model=str(tiny_checkpoint))
    assert len(scored) == 7
    assert [len(kept(tmp_path / f"kept-{share}")) for share in (0.5, 1, 0.01)] == [3, 6, 0]


def test_a_run_that_was_cut_off_goes_on(example, folder, tmp_path, tiny_checkpoint, scored, monkeypatch):
    monkeypatch.setattr(example, "PIECE", 2)
    call = example.ScoreImages.__call__

    def cut_off(score, images):
        if len(scored) >= 4:
            raise KeyboardInterrupt
        return call(score, images)

    with monkeypatch.context() as patched:
        patched.setattr(example.ScoreImages, "__call__", cut_off)
        with pytest.raises(KeyboardInterrupt):
            example.main(str(folder), tmp_path / "kept", model=str(tiny_checkpoint))
    assert not (tmp_path / "kept").exists()
    example.main(str(folder), tmp_path / "kept", model=str(tiny_checkpoint))
    assert len(scored) == 7
    assert kept(tmp_path / "kept") == expected(folder, tiny_checkpoint, 3)
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_photos_in_files_of_their_own_are_written_with_the_rows(example, tmp_path, tiny_checkpoint):
    releases.save_pictures(tmp_path / "photos", ["a.png", "b.png"])
    example.main(str(tmp_path / "photos"), tmp_path / "kept", 1, model=str(tiny_checkpoint))
    (tmp_path / "photos").rename(tmp_path / "gone")
    (path,) = (tmp_path / "kept").iterdir()
    assert [row["image"].size for row in Dataset.from_parquet(str(path))] == [(48, 48)] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "--output", "data"], "data holds files already"),
        (["data", "--image-column", "photo"], "There is no column photo in data: expected one of ['image', 'label']"),
        (["data", "--image-column", "label"], "The column label of data holds no photos: found Value('int64')"),
        (["data", "--split", "other"], "Unknown split \"other\". Should be one of ['train']"),
        (["./nothere/at/all"], "Couldn't find any data file"),
        (["data", "--output", "notes.txt"], "'notes.txt' is a file"),
        (["data", "--share", "2"], "'--share'"),
        (["data", "--share", "0"], "--share 0 keeps no photo"),
    ],
)
def test_wrong_use(folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder.parent)
    (folder.parent / "notes.txt").touch()
    assert message in wrong_use("filter_dataset", *arguments)
