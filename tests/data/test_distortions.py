"""Synthetic distortions, and whether scores follow them."""

import csv
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter
from typer.testing import CliRunner

from dpiqa import open_image
from dpiqa.cli import app
from dpiqa.data.distortions import (
    CAMERA_DISTORTIONS,
    DISTORTIONS,
    LEVELS,
    Strengths,
    distort,
    distort_mixed,
    distort_to_level,
    distorted_set,
    make_distorted_set,
)
from dpiqa.evaluation.consistency import Distorted, rank_consistency, read_distorted
from support.commands import dpiqa, usage_error
from support.images import mean_difference


def test_the_kinds_are_kadids():
    assert len(DISTORTIONS) == 25


@pytest.mark.parametrize("kind", [*DISTORTIONS, *CAMERA_DISTORTIONS])
def test_every_level_is_further_from_the_photo(photo, kind):
    photo = photo.crop((160, 100, 480, 320))
    differences = [mean_difference(distort_to_level(photo, kind, level), photo) for level in range(1, LEVELS + 1)]
    assert differences[0] > 0
    assert differences == sorted(differences)


def test_a_distortion_is_the_same_every_time(photo):
    first, second = (distort_to_level(photo, "white noise", 3, seed=1) for _ in range(2))
    assert mean_difference(first, second) == 0
    assert mean_difference(first, distort_to_level(photo, "white noise", 3, seed=2)) > 0


def test_levels_may_lie_between_two(photo):
    differences = [mean_difference(distort_to_level(photo, "white noise", level), photo) for level in (2, 2.5, 3)]
    assert differences[0] < differences[1] < differences[2]


@pytest.mark.parametrize(("kind", "level"), [("fog", 1), ("jpeg", 0), ("jpeg", 6)])
def test_unknown_kinds_and_levels_are_errors(photo, kind, level):
    with pytest.raises(ValueError, match="a level from 1 to 5"):
        distort_to_level(photo, kind, level)


@pytest.mark.parametrize(
    ("kind", "strengths"),
    [
        ("jpeg", (95, 40, 8)),
        ("gaussian blur", (0.5, 3, 8)),
        ("white noise", (0.01, 0.1, 0.3)),
        ("downscale", (1.5, 4, 12)),
    ],
)
def test_strengths_are_not_only_those_of_the_levels(photo, kind, strengths):
    differences = [mean_difference(distort(photo, kind, strength), photo) for strength in strengths]
    assert 0 < differences[0] < differences[1] < differences[2]


def test_an_unknown_kind_names_the_known(photo):
    with pytest.raises(ValueError, match=r"Unknown distortion 'fog': expected one of gaussian blur, .*, downscale"):
        distort(photo, "fog", 1)


class TestMixture:
    @pytest.mark.parametrize("kind", Strengths._fields)
    def test_stronger_is_further_from_the_original(self, kind, photo):
        distances = [
            mean_difference(distort_mixed(photo, Strengths(**{kind: strength})), photo)
            for strength in (0, 30, 60, 100)
        ]
        assert distances[0] == 0
        assert distances == sorted(distances)
        assert distances[3] > 3

    def test_it_is_repeatable(self, photo):
        first, second = (distort_mixed(photo, Strengths(50, 50, 50, 50)) for _ in range(2))
        assert first.tobytes() == second.tobytes()

    def test_a_narrow_picture_survives(self):
        assert distort_mixed(Image.new("RGB", (32, 900)), Strengths(100, 100, 100, 100)).size == (32, 900)

    @pytest.mark.parametrize("strength", [-1, 101, float("nan")])
    def test_strengths_are_from_0_to_100(self, photo, strength):
        with pytest.raises(ValueError, match="from 0 to 100, got blur="):
            distort_mixed(photo, Strengths(blur=strength))


class TestDistortedSet:
    def test_the_command_writes_photos_and_labels(self, save, photos, tmp_path):
        save(photos[0], "in/china.jpg")
        result = CliRunner().invoke(
            app, ["distort", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--max-side", "64"]
        )
        assert result.exit_code == 0, result.output
        rows = read_distorted(tmp_path / "out")
        assert len(rows) == 1 + 25 * 5
        assert {open_image(row.path).size for row in rows} == {(64, 43)}
        with (tmp_path / "out" / "distortions.csv").open() as file:
            assert next(csv.DictReader(file))["distortion"] == "pristine"

    def test_the_command_says_what_it_leaves_out(self, save, photo, tmp_path):
        save(photo.resize((40, 40)), "in/china.png")
        os.mkfifo(tmp_path / "in" / "pipe.png")
        (tmp_path / "in" / "broken.png").touch()
        (tmp_path / "in" / "raw.nef").touch()
        result = dpiqa("distort", tmp_path / "in", "-o", tmp_path / "out")
        assert result.exit_code == 0, result.output
        assert result.stdout.endswith("out: 1 of 3 photos, each with its distorted versions\n")
        assert f"{tmp_path / 'in' / 'pipe.png'} is left out: not a regular file" in result.stderr
        assert "1 RAW file (.NEF): export as JPEG first" in result.stderr

    def test_the_command_does_not_blame_the_photos_for_the_folder(self, save, photo, tmp_path):
        save(photo, "in/x.png")
        message = usage_error("distort", tmp_path / "in", "-o", tmp_path / "in")
        assert message.startswith(f"Invalid value: {tmp_path / 'in'} holds files already")

    def test_the_command_writes_nothing_without_a_photo(self, tmp_path):
        (tmp_path / "in").mkdir()
        os.mkfifo(tmp_path / "in" / "pipe.png")
        assert "no photos found (not a regular file)" in usage_error(
            "distort", tmp_path / "in", "-o", tmp_path / "out"
        )
        assert not (tmp_path / "out").exists()

    def test_evaluate_has_a_table_for_it(self, save, photos, tmp_path, tiny_checkpoint):
        paths = [save(photo, f"in/{index}.png") for index, photo in enumerate(photos)]
        make_distorted_set(paths, tmp_path / "distorted", max_side=64, kinds=["jpeg", "gaussian blur"])
        command = ["evaluate", "--data", str(tmp_path / "distorted"), "--model", str(tiny_checkpoint)]
        result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "results")])
        assert result.exit_code == 0, result.output
        assert "tiny-checkpoint on distorted" in result.output
        assert "SRCC" not in result.output
        assert not (tmp_path / "results" / "results.md").exists()
        assert "| gaussian blur |" in (tmp_path / "results" / "consistency.md").read_text()

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (
                lambda folder, text: (folder / "photo--jpeg-3.png").unlink(),
                "lacks 1 of 6 photos, such as photo--jpeg-3.png",
            ),
            (lambda folder, text: (folder / "distortions.csv").write_text(text[:-40]), "is cut off|lacks 1 photos"),
            (
                lambda folder, text: (folder / "distortions.csv").write_text(text.split("\n")[0]),
                "before its first photo",
            ),
        ],
    )
    def test_what_a_killed_run_leaves_is_explained(self, save, photo, tmp_path, spoil, message):
        make_distorted_set([save(photo, "photo.png")], tmp_path / "out", max_side=64, kinds=["jpeg"])
        spoil(tmp_path / "out", (tmp_path / "out" / "distortions.csv").read_text())
        with pytest.raises(ValueError, match=f"is incomplete: .*({message}).*dpiqa distort"):
            read_distorted(tmp_path / "out")

    def test_two_photos_of_one_name_are_an_error(self, save, photo, tmp_path):
        paths = [save(photo, "a/x.png"), save(photo.filter(ImageFilter.BLUR), "b/x.png")]
        with pytest.raises(ValueError, match=r"a.x\.png and .*b.x\.png would be distorted under the same name"):
            make_distorted_set(paths, tmp_path / "out")

    def test_panoramas_keep_32_pixels(self, save, tmp_path):
        path = save(Image.new("RGB", (2000, 100), "teal"), "in/panorama.png")
        make_distorted_set([path], tmp_path / "out", max_side=512)
        assert {open_image(row.path).size for row in read_distorted(tmp_path / "out")} == {(640, 32)}

    def test_a_folder_with_files_is_refused(self, save, photo, tmp_path):
        path, mine = save(photo, "in/x.png"), save(photo, "out/mine.png")
        options = {"max_side": 64, "kinds": ["jpeg"]}
        with pytest.raises(FileExistsError, match="holds files already"):
            make_distorted_set([path], tmp_path / "out", **options)
        assert make_distorted_set([path], tmp_path / "out", overwrite=True, **options) == 1
        assert mine.exists()
        assert len(read_distorted(tmp_path / "out")) == 6

    def test_photos_are_never_replaced_by_their_copies(self, save, photo, tmp_path):
        path = save(photo, "in/x.png")
        with pytest.raises(ValueError, match="holds the pristine photos"):
            make_distorted_set([path], tmp_path / "in", overwrite=True)
        assert open_image(path).size == photo.size

    def test_what_is_cut_off_is_a_set_of_whole_photos(self, save, photos, tmp_path, monkeypatch, tiny_scorer):
        paths = [save(photo, f"in/{index}.png") for index, photo in enumerate(photos)]
        real = distorted_set.distort_to_level

        def killed(photo, kind, level, seed):
            if seed == 1 and level == 3:
                raise KeyboardInterrupt
            return real(photo, kind, level, seed)

        monkeypatch.setattr(distorted_set, "distort_to_level", killed)
        with pytest.raises(KeyboardInterrupt):
            make_distorted_set(paths, tmp_path / "out", max_side=64, kinds=["jpeg"])
        rows = read_distorted(tmp_path / "out")
        assert [(row.reference, row.level) for row in rows] == [("0", level) for level in range(LEVELS + 1)]
        scores = {row.name: tiny_scorer(row.path).score for row in rows}
        assert len(rank_consistency(rows, scores)) == 2

    def test_what_is_cut_off_at_once_is_said_to_be(self, save, photo, tmp_path, monkeypatch):
        path = save(photo, "in/x.png")
        with monkeypatch.context() as patch:
            patch.setattr(distorted_set, "distort_to_level", raise_interrupt)
            with pytest.raises(KeyboardInterrupt):
                make_distorted_set([path], tmp_path / "out")
        with pytest.raises(ValueError, match=r"was cut off before its first photo.*again with --overwrite"):
            read_distorted(tmp_path / "out")

    @pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
    def test_names_of_any_bytes_and_length(self, save, photo, tmp_path):
        source = save(photo, "in/x.png")
        names = [os.fsdecode(b"caf\xe9.png"), "n" * 251 + ".png", "=a,b.png"]
        paths = [shutil.copy(source, tmp_path / "in" / name) for name in names]
        assert make_distorted_set(paths, tmp_path / "out", max_side=64, kinds=["jpeg"]) == 3
        rows = read_distorted(tmp_path / "out")
        assert [row.reference for row in rows if row.level == 0] == ["caf\\xe9", "n" * 180, "=a,b"]
        assert all(row.path.exists() for row in rows)

    def test_damaged_photos_are_left_out(self, save, photo, tmp_path, caplog):
        sound, damaged = save(photo, "in/sound.png"), tmp_path / "in" / "damaged.png"
        damaged.write_bytes(sound.read_bytes()[:5000])
        options = {"max_side": 64, "kinds": ["jpeg"]}
        assert make_distorted_set([damaged, sound], tmp_path / "out", **options) == 1
        assert f"{damaged} is left out: " in caplog.text
        with pytest.raises(ValueError, match="None of the photos can be opened"):
            make_distorted_set([damaged], tmp_path / "other", **options)


def raise_interrupt(*arguments):
    raise KeyboardInterrupt


class TestRankConsistency:
    @staticmethod
    def rows(levels=3):
        names = [("a.png", "a", "pristine", 0), ("b.png", "b", "pristine", 0)]
        names += [(f"{r}-{level}.png", r, "jpeg", level) for r in "ab" for level in range(1, levels + 1)]
        return [Distorted(name, name, reference, kind, level) for name, reference, kind, level in names]

    def test_falling_scores_are_consistent(self):
        scores = {row.name: 1 - row.level / 10 for row in self.rows()}
        jpeg, everything = rank_consistency(self.rows(), scores)
        assert (jpeg.steps, jpeg.references) == (1, 1)
        assert jpeg.drop == pytest.approx(0.3)
        assert everything.distortion == "all"

    def test_a_step_up_is_counted(self):
        scores = {row.name: 1 - row.level / 10 for row in self.rows()} | {"a-2.png": 0.95}
        jpeg = rank_consistency(self.rows(), scores)[0]
        assert jpeg.steps == pytest.approx(5 / 6)
        assert jpeg.references == 0.5

    def test_photos_without_a_score_are_left_out(self):
        scores = {row.name: 1 - row.level / 10 for row in self.rows()} | {"a-2.png": np.nan}
        assert rank_consistency(self.rows(), scores)[0].references == 1
