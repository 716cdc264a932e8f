"""Data sets as they are released, and the user's own, become one schema."""

import json
import shutil

import numpy as np
import pytest
from datasets import Dataset, Image, load_dataset
from typer.testing import CliRunner

from dpiqa import open_image
from dpiqa.cli import app
from dpiqa.data import RELEASES, load_iqa_dataset, load_iqa_splits, load_ratings
from support import releases

# Photos, MOS of the first as released and normalised, and its deviation in units of the normalised MOS.
EXPECTED = {
    "biq2021": (12, 0.0, 0.0, None),
    "clive": (10, 7.0, 0.07, 0.2),
    "kadid10k": (30, 5.0, 1.0, 0.2),
    "koniq10k": (10, 0.0, 0.0, 0.125),
    "livefb": (10, 70.0, 0.7, None),
    "spaq": (10, 0.0, 0.0, None),
    "tid2013": (20, 0.0, 0.0, None),
}


@pytest.fixture
def release(tmp_path):
    def make(name):
        (tmp_path / name).mkdir()
        return releases.MAKE[name](tmp_path / name)

    return make


class TestReleases:
    def test_every_data_set_is_tested(self):
        assert EXPECTED.keys() == RELEASES.keys() == releases.MAKE.keys()

    @pytest.mark.parametrize("name", EXPECTED)
    def test_a_release_in_the_common_schema(self, release, name):
        photos, raw, mos, std = EXPECTED[name]
        dataset = load_iqa_dataset(name, release(name))
        assert dataset.column_names == ["image", "mos", "mos_raw", "mos_std", "reference", "name"]
        assert dataset.features["image"] == Image(decode=False)
        assert len(dataset) == photos
        first = dataset[0]
        assert (first["mos_raw"], first["mos"]) == (pytest.approx(raw), pytest.approx(mos))
        assert first["mos_std"] == (None if std is None else pytest.approx(std))
        assert all(0 <= value <= 1 for value in dataset["mos"])
        assert open_image(first["image"]["path"]).size == (48, 48)

    def test_clive_skips_the_images_that_trained_the_observers(self, release):
        assert not [name for name in load_iqa_dataset("clive", release("clive"))["name"] if name.startswith("t")]

    def test_synthetic_sets_name_their_references(self, release):
        assert set(load_iqa_dataset("tid2013", release("tid2013"))["reference"]) == {f"I0{i}" for i in range(1, 6)}

    def test_official_splits_are_kept(self, release):
        loaded = load_ratings("koniq10k", release("koniq10k"))
        assert loaded.official
        assert loaded.splits == ["train"] * 4 + ["validation"] * 4 + ["test"] * 2

    def test_an_official_split_without_validation_gets_one_from_train(self, release):
        loaded = load_ratings("biq2021", release("biq2021"))
        assert loaded.splits[9:] == ["test"] * 3
        assert set(loaded.splits[:9]) == {"train", "validation"}

    def test_missing_and_unreadable_images_are_counted_and_named(self, release, caplog):
        root = release("spaq")
        (root / "TestImage" / "00003.jpg").unlink()
        (root / "TestImage" / "00004.jpg").write_bytes(b"")
        message = (
            r"2 of 10 images are missing or unreadable: 00003.jpg \(no such file\), 00004.jpg \(the file is empty"
        )
        with pytest.raises(FileNotFoundError, match=message):
            load_iqa_dataset("spaq", root)
        assert len(load_iqa_dataset("spaq", root, allow_missing=True)) == 8
        assert "They are left out" in caplog.text

    def test_a_folder_that_is_no_release_is_an_error(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="as its authors release it"):
            load_iqa_dataset("kadid10k", tmp_path)

    def test_a_release_needs_its_folder(self):
        with pytest.raises(ValueError, match=r"KonIQ-10k has to be downloaded first \(http"):
            load_iqa_dataset("koniq10k")

    @pytest.mark.parametrize(("argument", "value"), [("split", "dev"), ("split_by", "author")])
    def test_unknown_words_are_errors(self, release, argument, value):
        with pytest.raises(ValueError, match=value):
            load_iqa_dataset("spaq", release("spaq"), **{argument: value})

    def test_three_splits_at_once_are_those_of_one_at_a_time(self, tmp_path):
        releases.save_pictures(tmp_path, [f"{index}.png" for index in range(30)])
        rows = [f"{index}.png,{index / 30}" for index in range(30)]
        (tmp_path / "photos.csv").write_text("\n".join(["path,mos", *rows]) + "\n")
        splits = load_iqa_splits(tmp_path / "photos.csv", seed=1)
        assert list(splits.photos) == ["train", "validation", "test"]
        assert [len(photos) for photos in splits.photos.values()] == [21, 3, 6]
        assert not splits.official
        for split, photos in splits.photos.items():
            alone = load_iqa_dataset(tmp_path / "photos.csv", split=split, seed=1)
            assert photos["name"][:] == alone["name"][:]

    def test_too_few_photos_to_split_are_an_error(self, tmp_path):
        releases.save_pictures(tmp_path, ["a.png", "b.png"])
        (tmp_path / "photos.csv").write_text("path,mos\na.png,0.1\nb.png,0.9\n")
        with pytest.raises(ValueError, match=r"photos\.csv has too few photos for .*test \(1\)"):
            load_iqa_splits(tmp_path / "photos.csv")


class TestOwnPhotos:
    @pytest.fixture
    def folder(self, tmp_path):
        releases.save_pictures(tmp_path, [f"photos/{index}.png" for index in range(6)])
        return tmp_path

    ROWS = [{"path": f"photos/{index}.png", "mos": 1 + index * 0.8, "std": 0.4} for index in range(6)]

    @pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
    def test_tables_on_any_scale(self, folder, suffix):
        table = folder / f"labels.{suffix}"
        write = {"csv": Dataset.to_csv, "jsonl": Dataset.to_json, "parquet": Dataset.to_parquet}[suffix]
        write(Dataset.from_list(self.ROWS), table)
        dataset = load_iqa_dataset(table, mos_range=(1, 5))
        assert dataset["mos"][:] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
        assert dataset[0]["mos_std"] == pytest.approx(0.1)

    def test_paths_start_from_the_root(self, folder, tmp_path_factory):
        table = tmp_path_factory.mktemp("elsewhere") / "labels.csv"
        Dataset.from_list(self.ROWS).to_csv(table)
        assert len(load_iqa_dataset(table, folder, mos_range=(1, 5))) == 6

    def test_a_scale_that_does_not_fit_is_an_error(self, folder):
        Dataset.from_list(self.ROWS).to_csv(folder / "labels.csv")
        with pytest.raises(ValueError, match=r"from 1 to 5, outside of 0 to 1: give mos_range"):
            load_iqa_dataset(folder / "labels.csv")

    def test_an_image_folder_with_metadata(self, folder):
        rows = [{"file_name": row["path"], "score": index / 5} for index, row in enumerate(self.ROWS)]
        Dataset.from_list(rows).to_csv(folder / "metadata.csv")
        assert load_iqa_dataset(folder)["mos"][:] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])

    def test_own_splits_are_kept(self, folder):
        rows = [row | {"split": "val" if index == 2 else "test"} for index, row in enumerate(self.ROWS)]
        Dataset.from_list(rows).to_csv(folder / "labels.csv")
        dataset = load_iqa_dataset(folder / "labels.csv", mos_range=(1, 5), split="validation")
        assert dataset["name"][:] == ["photos/2.png"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("file,mos\na.png,1\n", "expected a column path or"),
            ("path,grade\na.png,1\n", "expected a column mos or"),
            ("path,mos\na.png,1\nb.png,high\n", "row 2: mos is 'high'"),
            ("path,mos,split\na.png,1,holdout\n", "row 1: unknown split 'holdout'"),
            ("path,mos\n", "has no rows"),
        ],
    )
    def test_bad_tables_are_errors_that_name_the_row(self, tmp_path, text, message):
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            load_iqa_dataset(tmp_path / "labels.csv")


class TestPrepare:
    @pytest.fixture
    def prepared(self, release, tmp_path):
        output = tmp_path / "prepared"
        arguments = ["prepare", "koniq10k", "--root", str(release("koniq10k")), "-o", str(output)]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        shutil.rmtree(tmp_path / "koniq10k")  # the images are inside now
        return output

    def test_plain_load_dataset_reads_it(self, prepared, tmp_path):
        loaded = load_dataset(str(prepared), cache_dir=str(tmp_path / "cache"))
        assert {split: len(rows) for split, rows in loaded.items()} == {"train": 4, "validation": 4, "test": 2}
        assert loaded["train"][0]["image"].size == (48, 48)

    def test_it_comes_back_in_the_common_schema(self, prepared, tmp_path):
        dataset = load_iqa_dataset(prepared, split="test", cache_dir=str(tmp_path / "cache"))
        assert dataset.features["image"] == Image(decode=False)
        assert dataset["mos"][:] == pytest.approx([0.8, 0.9])
        assert dataset["mos_raw"][:] == pytest.approx([80, 90])
        assert open_image(dataset[0]["image"]["bytes"]).size == (48, 48)

    def test_it_can_be_streamed(self, prepared, tmp_path):
        stream = load_iqa_dataset(prepared, split="test", streaming=True)
        assert [round(row["mos"], 6) for row in stream] == [0.8, 0.9]
        file = next((prepared / "data").glob("train*.parquet"))
        assert len(list(load_iqa_dataset(file, streaming=True))) == 4

    def test_the_card_says_what_it_is(self, prepared):
        card = (prepared / "README.md").read_text()
        for part in ("KonIQ-10k", "Licence", "Hosu", "its authors' split", "0.8 .. 0.9 ####", "SHA-256"):
            assert part in card

    def test_it_overwrites_nothing(self, prepared, release):
        again = ["prepare", "koniq10k", "--root", str(prepared), "-o", str(prepared)]
        result = CliRunner().invoke(app, again)
        assert result.exit_code == 2
        assert "holds Parquet files" in result.output


def test_any_data_set_with_images_and_scores(tmp_path):
    pictures = [{"image": releases.picture(seed), "quality": float(seed)} for seed in range(5)]
    Dataset.from_list(pictures).cast_column("image", Image()).to_parquet(tmp_path / "hub" / "train.parquet")
    dataset = load_iqa_dataset(tmp_path / "hub", mos_range=(0, 4), cache_dir=str(tmp_path / "cache"))
    assert dataset["mos"][:] == pytest.approx(np.linspace(0, 1, 5))
    with pytest.raises(ValueError, match="outside of 0 to 1"):
        load_iqa_dataset(tmp_path / "hub", cache_dir=str(tmp_path / "cache"))
    assert json.dumps(dataset[0]["reference"]) == "null"


class TestPhotosInside:
    """Data sets that hold the photos themselves, as the Hub has them."""

    @pytest.fixture
    def save(self, tmp_path):
        def save(part, count, first=0, **columns):
            pictures = [{"image": releases.picture(first + row), "mos": row / count} for row in range(count)]
            dataset = Dataset.from_list(pictures).cast_column("image", Image())
            for name, values in columns.items():
                dataset = dataset.add_column(name, values)
            dataset.to_parquet(tmp_path / "hub" / f"{part}.parquet")
            return tmp_path / "hub"

        return save

    def load(self, name, tmp_path, **options):
        return load_iqa_splits(name, cache_dir=str(tmp_path / "cache"), **options)

    def photos(self, splits):
        return {split: {image["bytes"] for image in rows["image"]} for split, rows in splits.photos.items()}

    def test_one_table_is_cut_in_three(self, save, tmp_path):
        file = save("train", 30) / "train.parquet"
        splits = self.load(file, tmp_path)
        photos = self.photos(splits)
        assert [len(images) for images in photos.values()] == [21, 3, 6]
        assert len(set.union(*photos.values())) == 30
        assert not splits.official
        alone = load_iqa_dataset(file, split="test", cache_dir=str(tmp_path / "cache"))
        assert alone["name"][:] == splits.photos["test"]["name"][:]
        assert self.photos(self.load(file, tmp_path, seed=1)) != photos

    def test_its_own_column_of_splits_counts(self, save, tmp_path):
        column = ["train"] * 20 + ["validation"] * 6 + ["test"] * 4
        splits = self.load(save("all", 30, split=column) / "all.parquet", tmp_path)
        assert [len(rows) for rows in splits.photos.values()] == [20, 6, 4]
        assert splits.official

    def test_validation_is_cut_from_train_where_there_is_a_test_split(self, save, tmp_path):
        save("train", 20)
        splits = self.load(save("test", 5, first=20), tmp_path)
        assert [len(rows) for rows in splits.photos.values()] == [18, 2, 5]
        assert splits.official

    def test_three_splits_stay_as_they_are(self, save, tmp_path):
        for split, count in (("train", 6), ("validation", 3), ("test", 4)):
            folder = save(split, count, first=10 * count)
        assert [len(rows) for rows in self.load(folder, tmp_path).photos.values()] == [6, 3, 4]

    @pytest.mark.parametrize("options", [{"split_by": "scene"}, {"allow_missing": True}, {"root": "."}])
    def test_options_that_need_files_are_errors(self, save, tmp_path, options):
        with pytest.raises(ValueError, match=f"{next(iter(options))}: only for released sets and tables"):
            self.load(save("train", 30), tmp_path, **options)

    def test_a_part_of_one_table_cannot_be_streamed(self, save):
        with pytest.raises(ValueError, match="can be streamed as a whole"):
            load_iqa_dataset(save("train", 3) / "train.parquet", split="test", streaming=True)
