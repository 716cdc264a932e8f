"""Splits: the same everywhere, and nothing on two sides."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from dpiqa.data import Rating, assign_splits, load_ratings, split_digest
from dpiqa.data.scenes import near_duplicates, scene_groups, scene_hashes
from dpiqa.data.splits import identical_across
from support import releases


def ratings(count, **fields):
    return [Rating(f"{index}.jpg", Path(f"{index}.jpg"), 0.5, **fields) for index in range(count)]


class TestAssignSplits:
    def test_shares(self):
        assert Counter(assign_splits(ratings(1000))) == {"train": 720, "validation": 80, "test": 200}

    def test_it_is_the_same_on_every_machine(self):
        digest = split_digest(ratings(100), assign_splits(ratings(100), seed=3))
        assert digest == "884ce6da739a4c4756238f880292077ed7148e754b814bab0751c365189ced60"

    def test_the_order_of_the_labels_does_not_matter(self):
        rows = ratings(100)
        backwards = rows[::-1]
        assert split_digest(rows, assign_splits(rows)) == split_digest(backwards, assign_splits(backwards))

    def test_seeds_differ(self):
        assert assign_splits(ratings(100), seed=0) != assign_splits(ratings(100), seed=1)

    def test_references_stay_together(self):
        rows = [Rating(f"{ref}-{n}", Path("x"), 0.5, reference=f"I{ref}") for ref in range(20) for n in range(5)]
        sides = {(row.reference, split) for row, split in zip(rows, assign_splits(rows), strict=True)}
        assert len(sides) == 20

    def test_groups_replace_the_official_split(self):
        rows = ratings(100, split="test")
        splits = assign_splits(rows, groups=[index // 10 for index in range(100)])
        assert set(Counter(splits).values()) == {20, 70, 10}


class TestNothingOnTwoSides:
    @pytest.fixture
    def root(self, tmp_path):
        (tmp_path / "spaq").mkdir()
        return releases.spaq(tmp_path / "spaq")

    def test_byte_identical_photos(self, root):
        first = load_ratings("spaq", root)
        by_split = {split: rating for rating, split in zip(first.ratings, first.splits, strict=True)}
        by_split["train"].path.write_bytes(by_split["test"].path.read_bytes())
        again = load_ratings("spaq", root)
        names = [rating.name for rating in again.ratings]
        assert by_split["train"].name not in names
        assert by_split["test"].name in names
        assert identical_across([rating.path for rating in again.ratings], again.splits) == []

    def test_scenes_on_request(self, root):
        loaded = load_ratings("spaq", root)
        by_split = {split: rating for rating, split in zip(loaded.ratings, loaded.splits, strict=True)}
        darker = ImageEnhance.Brightness(releases.picture(int(by_split["test"].name[:5]) - 1)).enhance(0.8)
        darker.save(by_split["train"].path)
        pair = {by_split["train"].name, by_split["test"].name}
        scenes = load_ratings("spaq", root, split_by="scene")
        sides = {s for r, s in zip(scenes.ratings, scenes.splits, strict=True) if r.name in pair}
        assert len(sides) == 1

    def test_scenes_inside_an_official_train_split(self, tmp_path):
        root = releases.biq2021(tmp_path / "BIQ2021")
        plain = load_ratings("biq2021", root)
        train = [rating for rating in plain.ratings if rating.split == "train"]
        sides = {rating.name: split for rating, split in zip(plain.ratings, plain.splits, strict=True)}
        held_out = next(rating for rating in train if sides[rating.name] == "validation")
        twin = next(rating for rating in train if sides[rating.name] == "train")
        with Image.open(held_out.path) as photo:
            ImageEnhance.Brightness(photo).enhance(0.9).save(twin.path)
        scenes = load_ratings("biq2021", root, split_by="train scene")
        sides = {rating.name: split for rating, split in zip(scenes.ratings, scenes.splits, strict=True)}
        assert sides[held_out.name] == sides[twin.name]
        assert {name for name, split in sides.items() if split == "test"} == {
            rating.name for rating in plain.ratings if rating.split == "test"
        }
        assert scenes.official


class TestScenes:
    def test_the_same_scene_is_one_group(self, photos):
        darker = ImageEnhance.Brightness(photos[0]).enhance(0.7)
        smaller = photos[0].resize((320, 214))
        groups = scene_groups(scene_hashes([photos[0], photos[1], darker, smaller]))
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
