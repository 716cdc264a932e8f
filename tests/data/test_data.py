"""Data sets as they are released, and the user's own, become one schema."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Image, load_dataset
from huggingface_hub.utils import filter_repo_objects
from typer.testing import CliRunner

from dpiqa import open_image
from dpiqa.cli import app
from dpiqa.data import RELEASES, DataSource, load_iqa_dataset, load_iqa_splits
from dpiqa.data.prepare import prepare_dataset, push_dataset
from support import releases
from support.commands import dpiqa, usage_error

SPLITS = ("train", "validation", "test")
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
        assert dataset.column_names == [
            "image",
            "name",
            "mos",
            "mos_raw",
            "mos_std",
            "reference",
            "group",
            "scene",
            "split",
        ]
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
        loaded = load_iqa_splits("koniq10k", release("koniq10k"))
        assert loaded.official
        assert loaded.photos["split"][:] == ["train"] * 4 + ["validation"] * 4 + ["test"] * 2

    def test_an_official_split_without_validation_gets_one_from_train(self, release):
        splits = load_iqa_splits("biq2021", release("biq2021")).photos["split"][:]
        assert splits[9:] == ["test"] * 3
        assert set(splits[:9]) == {"train", "validation"}

    def test_official_splits_can_be_ignored(self, release):
        root = release("koniq10k")
        loaded = load_iqa_splits("koniq10k", root, use_official=False)
        assert not loaded.official
        assert loaded.digest != load_iqa_splits("koniq10k", root).digest

    def test_another_seed_reads_nothing_again(self, release):
        root = release("spaq")
        loaded = load_iqa_splits("spaq", root)
        expected = load_iqa_splits("spaq", root, seed=1).digest
        shutil.rmtree(root / "Annotations", ignore_errors=True)
        (root / "MOS and Image attribute scores.xlsx").unlink()
        assert loaded.with_seed(1).digest == expected != loaded.digest

    def test_groups_are_the_sources(self, release):
        assert set(load_iqa_dataset("biq2021", release("biq2021"))["group"]) == {"ss01", "ss02", "ss03"}

    @pytest.mark.parametrize(
        ("name", "file", "content", "message"),
        [
            ("spaq", "MOS and Image attribute scores.xlsx", b"no spreadsheet", "scores.xlsx: expected an Excel file"),
            ("clive", "Data/AllMOS_release.mat", b"no matrix", "AllMOS_release.mat: expected a MATLAB file"),
            ("kadid10k", "dmos.csv", b"dist_img,mos\na.png,1\n", "expected the columns .*var, found dist_img, mos"),
            ("koniq10k", "koniq10k_distributions_sets.csv", b"", "expected the columns .*, found none"),
            ("livefb", "labels_image.csv", b"name,mos\n\xff.jpg,1\n", "expected a CSV file in UTF-8"),
            ("biq2021", "Test (Images and MOS).csv", b"Image Name,MOS\na.jpg,high\n", "line 2: expected a number in"),
            ("biq2021", "Test (Images and MOS).csv", b"Image Name,MOS\na.jpg\n", "line 2: expected a number in"),
            ("biq2021", "Test (Images and MOS).csv", b"Image Name,MOS\n,1\n", "line 2: expected a text in"),
            ("tid2013", "mos_with_names.txt", b"1.0\n", r'line 1: expected "5.51 I01_01_1.bmp" or such, found .1.0'),
        ],
    )
    def test_broken_labels_are_errors_that_name_file_and_line(self, release, name, file, content, message):
        root = release(name)
        (root / file).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load_iqa_dataset(name, root)

    def test_columns_of_a_spreadsheet_are_checked(self, release):
        from openpyxl import Workbook

        root, workbook = release("spaq"), Workbook()
        workbook.active.append(["Image name", "Score"])
        workbook.save(root / "MOS and Image attribute scores.xlsx")
        workbook.close()
        with pytest.raises(ValueError, match="expected the columns Image name and MOS, found Image name, Score"):
            load_iqa_dataset("spaq", root)

    def test_variables_of_a_matrix_file_are_checked(self, release):
        root = release("clive")
        shutil.copy(root / "Data" / "AllMOS_release.mat", root / "Data" / "AllStdDev_release.mat")
        with pytest.raises(ValueError, match="expected the variable AllStdDev_release, found AllMOS_release"):
            load_iqa_dataset("clive", root)

    def test_missing_and_unreadable_images_are_counted_and_named(self, release, caplog):
        root = release("spaq")
        (root / "TestImage" / "00003.jpg").unlink()
        (root / "TestImage" / "00004.jpg").write_bytes(b"")
        message = r"cannot find or read 2 of 10 photos: 00003.jpg \(no such file\), 00004.jpg \(the file is empty"
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
        assert [len(splits[split]) for split in ("train", "validation", "test")] == [18, 6, 6]
        assert not splits.official
        for split in ("train", "validation", "test"):
            alone = load_iqa_dataset(tmp_path / "photos.csv", split=split, seed=1)
            assert splits[split]["name"][:] == alone["name"][:]

    def test_one_half_of_validation_chooses_and_the_other_calibrates(self, tmp_path):
        releases.save_pictures(tmp_path, [f"{index}.png" for index in range(60)])
        rows = [f"{index}.png,{index / 60},I{index // 2}" for index in range(60)]
        (tmp_path / "photos.csv").write_text("\n".join(["path,mos,reference", *rows]) + "\n")
        splits = load_iqa_splits(tmp_path / "photos.csv")
        selection, calibration = splits.halve_validation()
        assert {*selection["name"], *calibration["name"]} == set(splits["validation"]["name"])
        assert not {*selection["scene"]} & {*calibration["scene"]}
        assert abs(len(selection) - len(calibration)) <= 2


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

    @pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
    def test_a_table_leaves_nothing_in_the_users_home(self, folder, suffix, monkeypatch):
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "home")
        table = folder / f"labels.{suffix}"
        write = {"csv": Dataset.to_csv, "jsonl": Dataset.to_json, "parquet": Dataset.to_parquet}[suffix]
        write(Dataset.from_list(self.ROWS), table)
        assert len(load_iqa_dataset(table, mos_range=(1, 5))) == 6
        assert not (folder / "home").exists()

    def test_a_table_is_read_without_progress_bars(self, folder, capfd):
        Dataset.from_list(self.ROWS).to_csv(folder / "labels.csv")
        capfd.readouterr()
        load_iqa_dataset(folder / "labels.csv", mos_range=(1, 5))
        assert capfd.readouterr().err == ""

    def test_paths_start_from_the_root(self, folder, tmp_path_factory):
        table = tmp_path_factory.mktemp("elsewhere") / "labels.csv"
        Dataset.from_list(self.ROWS).to_csv(table)
        assert len(load_iqa_dataset(table, folder, mos_range=(1, 5))) == 6

    def test_a_scale_that_does_not_fit_is_an_error(self, folder):
        Dataset.from_list(self.ROWS).to_csv(folder / "labels.csv")
        with pytest.raises(ValueError, match=r"run from 1 to 5, outside of the rating scale 0 to 1"):
            load_iqa_dataset(folder / "labels.csv")

    def test_the_hint_is_the_range_that_was_found_not_the_one_that_was_given(self, folder):
        rows = [row | {"mos": 12.5 * (index + 1)} for index, row in enumerate(self.ROWS)]
        Dataset.from_list(rows).to_csv(folder / "labels.csv")
        message = (
            r"run from 12\.5 to 75, outside of the rating scale 1 to 5\. .* --mos-range 12 75 .*mos_range=\(12, 75\)"
        )
        with pytest.raises(ValueError, match=message):
            load_iqa_dataset(folder / "labels.csv", mos_range=(1, 5))
        assert len(load_iqa_dataset(folder / "labels.csv", mos_range=(12, 75))) == 6

    def test_an_image_folder_with_metadata(self, folder):
        rows = [{"file_name": row["path"], "score": index / 5} for index, row in enumerate(self.ROWS)]
        Dataset.from_list(rows).to_csv(folder / "metadata.csv")
        assert load_iqa_dataset(folder)["mos"][:] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])

    def test_a_folder_of_photos_without_scores_says_where_they_belong(self, folder):
        with pytest.raises(
            ValueError, match=r"no opinion scores: put a metadata\.csv with the columns file_name and mos"
        ):
            load_iqa_dataset(folder)

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
            ("path,mos\na.png,inf\n", "row 1: mos is inf, expected a finite number"),
            ("path,mos\na.png,0.1\na.png,0.9\n", "a.png has two opinion scores, 0.1 and 0.9"),
        ],
    )
    def test_bad_tables_are_errors_that_name_the_row(self, tmp_path, text, message):
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            load_iqa_dataset(tmp_path / "labels.csv")

    def test_rows_that_stand_twice_are_told_and_used_once(self, folder, caplog):
        Dataset.from_list([*self.ROWS, self.ROWS[0]]).to_csv(folder / "labels.csv")
        assert len(load_iqa_dataset(folder / "labels.csv", mos_range=(1, 5))) == 6
        assert "1 repeated row left out" in caplog.text

    def test_a_byte_order_mark_is_no_part_of_a_column(self, folder):
        (folder / "labels.csv").write_text("path,mos\nphotos/0.png,0.5\n", encoding="utf-8-sig")
        assert load_iqa_dataset(folder / "labels.csv")["name"][:] == ["photos/0.png"]


class TestDataSource:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("koniq10k=/data/k", DataSource("koniq10k", "/data/k")),
            ("photos.csv", DataSource("photos.csv")),
            ("photos.csv:1:5", DataSource("photos.csv", None, (1.0, 5.0))),
            ("org/name", DataSource("org/name")),
        ],
    )
    def test_one_description(self, text, expected):
        assert DataSource.parse(text) == expected

    def test_the_option_is_for_data_sets_without_a_scale_of_their_own(self):
        assert DataSource.parse("photos.csv", (0, 10)).mos_range == (0, 10)
        assert DataSource.parse("photos.csv:1:5", (1, 5)).mos_range == (1, 5)
        assert DataSource.parse("koniq10k=/data/k", (0, 10)).mos_range is None

    def test_two_scales_for_one_table_are_refused(self):
        for read in (DataSource.parse, lambda text, scale: DataSource.of(text, mos_range=scale)):
            with pytest.raises(ValueError, match="names its rating scale, and another one was given, 0:10"):
                read("photos.csv:1:5", (0, 10))

    @pytest.mark.parametrize("scale", [(1, 1), (float("nan"), float("nan")), (0, float("inf"))])
    def test_what_is_no_scale_is_refused_at_once(self, scale):
        with pytest.raises(ValueError, match="is no rating scale: expected the lowest and the highest"):
            DataSource("photos.csv", None, scale)

    @pytest.mark.parametrize("text", ["photos.csv:5:1", "photos.csv:1e1:1"])
    def test_a_scale_that_is_reversed_is_said_to_be(self, text):
        with pytest.raises(ValueError, match="is reversed: expected the lowest and the highest"):
            DataSource.parse(text)

    @pytest.mark.parametrize("name", ["a=b.csv", "photos.csv:1:5", "c=d"])
    def test_what_is_there_is_meant_as_it_stands(self, tmp_path, monkeypatch, name):
        monkeypatch.chdir(tmp_path)
        (tmp_path / name).write_text("path,mos\n")
        assert DataSource.parse(name) == DataSource(name)

    @pytest.mark.parametrize("text", ["koniq", "koniq=/data/k", "org/no-such-set", "no/such/folder"])
    def test_unknown_names_are_answered_with_the_known(self, text):
        name = text.partition("=")[0]
        with pytest.raises(FileNotFoundError, match=f"{name} cannot be loaded.*koniq10k.*Hub data set"):
            load_iqa_splits(text)


class TestPrepare:
    @pytest.fixture
    def prepared(self, release, tmp_path):
        output = tmp_path / "prepared"
        arguments = ["prepare", f"koniq10k={release('koniq10k')}", "-o", str(output)]
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

    def test_the_card_says_what_it_is(self, prepared):
        card = (prepared / "README.md").read_text()
        for part in ("KonIQ-10k", "Licence", "Hosu", "the split that it came with", "0.8 .. 0.9 ####", "SHA-256"):
            assert part in card

    def test_it_comes_back_as_it_was(self, release, tmp_path):
        table = tmp_path / "photos.csv"
        releases.save_pictures(tmp_path, [f"{index}.png" for index in range(20)])
        rows = [f"{index}.png,{1 + index / 5},{'ab'[index % 2]},I{index // 2}" for index in range(20)]
        table.write_text("\n".join(["path,mos,group,reference", *rows]) + "\n")
        before = load_iqa_splits(table, mos_range=(1, 5))
        prepare_dataset(before, tmp_path / "prepared")
        after = load_iqa_splits(tmp_path / "prepared", cache_dir=str(tmp_path / "cache"))
        assert after.digest == before.digest
        assert after.with_seed(1).digest == before.with_seed(1).digest
        assert after.mos_range == before.mos_range == (1, 5)
        assert not after.official
        by_name = {row["name"]: row for row in after.photos.remove_columns("image")}
        for row in before.photos.remove_columns("image"):
            assert by_name[row["name"]] == row
        with pytest.raises(ValueError, match="several: 0 to 10, 1 to 5"):
            load_iqa_splits(tmp_path / "prepared", mos_range=(0, 10), cache_dir=str(tmp_path / "cache"))

    @pytest.mark.parametrize("name", ["koniq10k", "biq2021"])
    def test_an_official_split_stays_official(self, release, tmp_path, name):
        before = load_iqa_splits(name, release(name))
        prepare_dataset(before, tmp_path / "prepared")
        after = load_iqa_splits(tmp_path / "prepared", cache_dir=str(tmp_path / "cache"))
        assert after.official
        assert [after.with_seed(seed).digest for seed in (0, 1)] == [before.with_seed(seed).digest for seed in (0, 1)]

    def test_another_seed_than_that_of_the_readers_is_refused(self, release, tmp_path):
        with pytest.raises(ValueError, match="cut with seed 0, and these splits have 1"):
            prepare_dataset(load_iqa_splits("spaq", release("spaq"), seed=1), tmp_path / "prepared")

    def test_a_folder_with_files_is_refused(self, release, tmp_path):
        splits = load_iqa_splits("koniq10k", release("koniq10k"))
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "README.md").write_text("mine")
        for overwrite in (False, True):
            with pytest.raises(FileExistsError, match="holds files already"):
                prepare_dataset(splits, tmp_path / "mine", overwrite=overwrite)
        assert (tmp_path / "mine" / "README.md").read_text() == "mine"

    def test_what_was_prepared_is_replaced_on_request(self, prepared, release):
        splits = load_iqa_splits("spaq", release("spaq"))
        with pytest.raises(FileExistsError):
            prepare_dataset(splits, prepared)
        assert sum(prepare_dataset(splits, prepared, overwrite=True).values()) == 10
        assert "SPAQ" in (prepared / "README.md").read_text()
        assert sorted(path.name for path in prepared.iterdir()) == ["README.md", "data"]

    @pytest.mark.parametrize(("file", "content"), [("data/mine.parquet", "x"), ("README.md", "my own words")])
    def test_what_others_put_there_is_never_replaced(self, prepared, release, file, content):
        (prepared / file).write_text(content)
        with pytest.raises(FileExistsError, match="replaces a prepared data set only"):
            prepare_dataset(load_iqa_splits("spaq", release("spaq")), prepared, overwrite=True)
        assert (prepared / file).read_text() == content

    def test_a_call_that_is_cut_off_leaves_nothing_to_load(self, release, tmp_path, monkeypatch):
        splits = load_iqa_splits("koniq10k", release("koniq10k"))
        with monkeypatch.context() as patch:
            patch.setattr("dpiqa.data.prepare._card", raise_interrupt)
            with pytest.raises(KeyboardInterrupt):
                prepare_dataset(splits, tmp_path / "out")
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".partial"]
        assert prepare_dataset(splits, tmp_path / "out") == {"train": 4, "validation": 4, "test": 2}

    def test_only_what_was_written_is_sent(self, prepared, monkeypatch):
        (prepared / ".env").write_text("SECRET=1")
        (prepared / "data" / "id_rsa").write_text("SECRET")
        (prepared / "data" / "private.parquet").write_text("SECRET")
        sent = []

        class Api:
            def create_repo(self, repo_id, **options):
                return repo_id

            def upload_folder(self, folder_path, allow_patterns, **options):
                files = [str(f.relative_to(folder_path)) for f in Path(folder_path).rglob("*") if f.is_file()]
                sent.extend(filter_repo_objects(files, allow_patterns=allow_patterns))

        monkeypatch.setattr("huggingface_hub.HfApi", Api)
        push_dataset(prepared, "org/name")
        assert sorted(Path(name).suffix for name in sent) == [".md", ".parquet", ".parquet", ".parquet"]

    def test_a_name_that_the_hub_would_not_take_is_found_first(self, release, tmp_path):
        arguments = ["prepare", f"spaq={release('spaq')}", "-o", tmp_path / "out"]
        message = usage_error(*arguments, "--push-to", "name")
        assert message.startswith("Invalid value for --push-to: name: expected a name such as organisation/name")
        assert not (tmp_path / "out").exists()

    def test_a_hub_that_does_not_take_it_is_one_sentence(self, release, tmp_path):
        result = dpiqa("prepare", f"spaq={release('spaq')}", "-o", tmp_path / "out", "--push-to", "org/name")
        assert result.exit_code == 1
        assert result.stderr.startswith("the Hub did not take it: ")
        assert (tmp_path / "out" / "README.md").exists()


def raise_interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def test_any_data_set_with_images_and_scores(tmp_path):
    pictures = [{"image": releases.picture(seed), "quality": float(seed)} for seed in range(5)]
    Dataset.from_list(pictures).cast_column("image", Image()).to_parquet(tmp_path / "hub" / "train.parquet")
    dataset = load_iqa_dataset(tmp_path / "hub", mos_range=(0, 4), cache_dir=str(tmp_path / "cache"))
    assert dataset["mos"][:] == pytest.approx(np.linspace(0, 1, 5))
    with pytest.raises(ValueError, match="outside of the rating scale 0 to 1"):
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
        return {split: {image["bytes"] for image in splits[split]["image"]} for split in SPLITS}

    def test_one_table_is_cut_in_three(self, save, tmp_path):
        file = save("train", 30) / "train.parquet"
        splits = self.load(file, tmp_path)
        photos = self.photos(splits)
        assert [len(images) for images in photos.values()] == [18, 6, 6]
        assert len(set.union(*photos.values())) == 30
        assert not splits.official
        alone = load_iqa_dataset(file, split="test", cache_dir=str(tmp_path / "cache"))
        assert alone["name"][:] == splits["test"]["name"][:]
        assert self.photos(self.load(file, tmp_path, seed=1)) != photos

    def test_its_own_column_of_splits_counts(self, save, tmp_path):
        column = ["train"] * 20 + ["validation"] * 6 + ["test"] * 4
        splits = self.load(save("all", 30, split=column) / "all.parquet", tmp_path)
        assert [len(splits[split]) for split in SPLITS] == [20, 6, 4]
        assert splits.official

    def test_validation_is_cut_from_train_where_there_is_a_test_split(self, save, tmp_path):
        save("train", 20)
        splits = self.load(save("test", 5, first=20), tmp_path)
        assert [len(splits[split]) for split in SPLITS] == [15, 5, 5]
        assert splits.official

    def test_three_splits_stay_as_they_are(self, save, tmp_path):
        for split, count in (("train", 6), ("validation", 3), ("test", 4)):
            folder = save(split, count, first=10 * count)
        splits = self.load(folder, tmp_path)
        assert [len(splits[split]) for split in SPLITS] == [6, 3, 4]

    @pytest.mark.parametrize("name", ["val", "valid", "dev"])
    def test_validation_has_several_names(self, save, tmp_path, name):
        rename = tmp_path / "hub" / "README.md"
        for split, count in (("train", 6), ("validation", 3), ("test", 4)):
            folder = save(split, count, first=10 * count)
        files = {"train": "train", name: "validation", "test": "test"}
        listed = "\n".join(f"  - split: {split}\n    path: {file}.parquet" for split, file in files.items())
        rename.write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{listed}\n---\n")
        splits = self.load(folder, tmp_path)
        assert [len(splits[split]) for split in SPLITS] == [6, 3, 4]

    def test_scenes_stay_together(self, save, tmp_path):
        splits = self.load(save("train", 30), tmp_path, split_by="scene")
        assert len(set(splits.photos["scene"])) > 20

    @pytest.mark.parametrize("options", [{"allow_missing": True}, {"root": "."}])
    def test_options_that_need_files_are_errors(self, save, tmp_path, options):
        with pytest.raises(ValueError, match="for released sets and tables of paths only"):
            self.load(save("train", 30), tmp_path, **options)


class TestDescriptionsWithOddNames:
    def test_a_path_with_an_equals_sign_may_have_a_scale(self, tmp_path):
        (tmp_path / "a=b.csv").write_text("path,mos\n")
        name = str(tmp_path / "a=b.csv")
        assert DataSource.parse(name) == DataSource(name)
        assert DataSource.parse(f"{name}:1:5") == DataSource(name, None, (1.0, 5.0))

    @pytest.mark.parametrize("text", ["koniq10k=/data/k:1:5", "koniq10k:1:5"])
    def test_a_release_takes_no_other_scale(self, text):
        with pytest.raises(ValueError, match="KonIQ-10k has a rating scale of its own"):
            DataSource.parse(text)


def test_a_table_of_training_photos_stays_one_when_it_is_prepared(tmp_path):
    releases.save_pictures(tmp_path, [f"{index}.png" for index in range(20)])
    rows = [f"{index}.png,{index / 20},train" for index in range(20)]
    (tmp_path / "photos.csv").write_text("\n".join(["path,mos,split", *rows]) + "\n")
    before = load_iqa_splits(tmp_path / "photos.csv")
    prepare_dataset(before, tmp_path / "prepared")
    after = load_iqa_splits(tmp_path / "prepared", cache_dir=str(tmp_path / "cache"))
    assert len(after["test"]) == 0
    assert after.digest == before.digest
