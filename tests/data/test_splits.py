"""Splits: the same everywhere, and nothing on two sides."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from dpiqa.data import assign_splits, load_iqa_splits, split_digest
from dpiqa.data.images import identical_images
from dpiqa.data.scenes import near_duplicates, scene_groups, scene_hashes, scene_names
from support import releases
from support.images import encoded


def names(count):
    return [f"{index}.jpg" for index in range(count)]


def unsplit(count):
    return [None] * count


class TestAssignSplits:
    def test_shares(self):
        assert Counter(assign_splits(names(1000), unsplit(1000))) == {"train": 720, "validation": 80, "test": 200}

    def test_small_sets_hold_out_more(self):
        assert Counter(assign_splits(names(100), unsplit(100))) == {"train": 60, "validation": 20, "test": 20}

    def test_it_is_the_same_on_every_machine(self):
        digest = split_digest(names(100), assign_splits(names(100), unsplit(100), seed=3))
        assert digest == "08c3e82b844283e249e98933d1658cb5f2e546b61984dd3e99e7f4694edffc8a"

    def test_the_order_of_the_labels_does_not_matter(self):
        forwards, backwards = names(100), names(100)[::-1]
        digests = {split_digest(order, assign_splits(order, unsplit(100))) for order in (forwards, backwards)}
        assert len(digests) == 1

    def test_seeds_differ(self):
        assert assign_splits(names(100), unsplit(100), 0) != assign_splits(names(100), unsplit(100), 1)

    def test_scenes_stay_together(self):
        scenes = [f"I{index // 5}" for index in range(100)]
        sides = set(zip(scenes, assign_splits(scenes, unsplit(100)), strict=True))
        assert len(sides) == 20

    def test_what_is_released_stays(self):
        released = ["test"] * 30 + ["train"] * 70
        splits = assign_splits(names(100), released)
        assert splits[:30] == ["test"] * 30
        assert Counter(splits[30:]) == {"train": 52, "validation": 18}


class TestNothingOnTwoSides:
    @pytest.fixture
    def root(self, tmp_path):
        (tmp_path / "spaq").mkdir()
        return releases.spaq(tmp_path / "spaq")

    def files(self, splits):
        """Name and file of one photo of each split."""
        return {row["split"]: (row["name"], Path(row["image"]["path"])) for row in splits.photos}

    def test_byte_identical_photos(self, root, caplog):
        of = self.files(load_iqa_splits("spaq", root))
        of["train"][1].write_bytes(of["test"][1].read_bytes())
        again = load_iqa_splits("spaq", root).photos
        assert of["train"][0] not in again["name"][:]
        assert of["test"][0] in again["name"][:]
        assert identical_images(again) == []
        assert "Left out: 1 photo that a later split (train, validation, test) has too" in caplog.text

    def test_scenes_on_request(self, root):
        of = self.files(load_iqa_splits("spaq", root))
        darker = ImageEnhance.Brightness(releases.picture(int(of["test"][0][:5]) - 1)).enhance(0.8)
        darker.save(of["train"][1])
        scenes = load_iqa_splits("spaq", root, split_by="scene").photos
        sides = {row["split"] for row in scenes if row["name"] in (of["train"][0], of["test"][0])}
        assert len(sides) == 1

    def test_scenes_inside_an_official_train_split(self, tmp_path):
        root = releases.biq2021(tmp_path / "BIQ2021")
        plain = load_iqa_splits("biq2021", root)
        of = self.files(plain)
        with Image.open(of["validation"][1]) as photo:
            ImageEnhance.Brightness(photo).enhance(0.9).save(of["train"][1])
        scenes = load_iqa_splits("biq2021", root, split_by="scene")
        sides = dict(zip(scenes.photos["name"], scenes.photos["split"], strict=True))
        assert sides[of["validation"][0]] == sides[of["train"][0]]
        assert set(scenes["test"]["name"]) == set(plain["test"]["name"])
        assert scenes.official


def as_column(photo):
    """A PIL image as an entry of an image column."""
    return {"bytes": encoded(photo, "PNG"), "path": None}


class TestScenes:
    def test_the_order_of_a_table_does_not_matter(self, tmp_path):
        rows = [f"{index}.png,{index / 40}" for index in range(40)]
        releases.save_pictures(tmp_path, [row.split(",")[0] for row in rows])
        digests = []
        for ordered in (rows, rows[::-1], rows[7:] + rows[:7]):
            (tmp_path / "photos.csv").write_text("\n".join(["path,mos", *ordered]))
            digests.append(load_iqa_splits(tmp_path / "photos.csv", split_by="scene").digest)
        assert len(set(digests)) == 1

    def test_a_scene_has_the_name_of_one_of_its_photos(self):
        hashes = np.zeros((4, 256), bool)
        hashes[1] = hashes[3] = True
        assert scene_names(["d", "b", "c", "a"], hashes) == ["c", "a", "c", "a"]

    def test_the_same_scene_is_one_group(self, photos):
        darker = ImageEnhance.Brightness(photos[0]).enhance(0.7)
        smaller = photos[0].resize((320, 214))
        groups = scene_groups(scene_hashes([as_column(photo) for photo in (photos[0], photos[1], darker, smaller)]))
        assert groups[0] == groups[2] == groups[3] != groups[1]

    def test_groups_follow_chains(self):
        hashes = np.zeros((3, 256), bool)
        hashes[1, :15] = True
        hashes[2, :30] = True
        assert len(set(scene_groups(hashes, max_distance=20))) == 1
        assert len(set(scene_groups(hashes, max_distance=10))) == 3

    def test_near_duplicates_are_counted_in_bits(self):
        rng = np.random.default_rng(0)
        a, b = rng.random((50, 256)) < 0.5, rng.random((40, 256)) < 0.5
        b[7] = a[3]
        b[7, :20] ^= True
        b[8] = a[4]
        b[8, :21] ^= True
        rows, columns = near_duplicates(a, b, max_distance=20)
        assert (rows.tolist(), columns.tolist()) == ([3], [7])

    def test_hashes_are_computed_once(self, photos, monkeypatch):
        images = [as_column(photo) for photo in photos]
        first = scene_hashes(images)
        monkeypatch.setattr("dpiqa.data.scenes.open_image", pytest.fail)
        np.testing.assert_array_equal(scene_hashes(images), first)

    def test_a_damaged_photo_is_a_scene_of_its_own(self, photos):
        whole = as_column(photos[0])
        damaged = {"bytes": whole["bytes"][:5000], "path": None}
        groups = scene_groups(scene_hashes([whole, damaged, damaged, as_column(photos[1])]))
        assert groups[1] == groups[2]
        assert len(set(groups.tolist())) == 3

    def test_no_photos_have_no_scenes(self):
        assert scene_hashes([]).shape == (0, 256)
        assert scene_groups(scene_hashes([])).tolist() == []
