import numpy as np
import pytest
from PIL import ImageEnhance

from biq2021 import make_release
from dpiqa.data.biq2021 import read_biq2021
from dpiqa.data.scenes import near_duplicates, scene_groups, scene_hashes


class TestBiq2021:
    @pytest.fixture
    def release(self, tmp_path, photos):
        return make_release(tmp_path / "BIQ2021", photos, train=6, test=3)

    def test_both_splits_are_read_in_the_order_of_their_files(self, release):
        train, test = read_biq2021(release, "train"), read_biq2021(str(release), "test")
        assert [photo.subset for photo in train] == ["ss01", "ss02", "ss03"] * 2
        assert len(test) == 3
        assert all(0 <= photo.mos <= 1 for photo in train)

    def test_names_are_matched_whatever_their_case(self, release):
        assert {photo.path.suffix for photo in read_biq2021(release, "train")} == {".jpg", ".JPG"}
        assert all(photo.path.exists() for photo in read_biq2021(release, "train"))

    def test_missing_images_are_counted_and_named(self, release):
        (release / "Images" / "ss01 (Train0).jpg").unlink()
        with pytest.raises(FileNotFoundError, match=r"1 images of Train.*ss01 \(Train0\)\.jpg"):
            read_biq2021(release, "train")

    def test_an_unknown_split_is_an_error(self, release):
        with pytest.raises(ValueError, match=r"'validation'.*train, test"):
            read_biq2021(release, "validation")


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
