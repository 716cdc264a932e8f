"""Synthetic distortions, and whether scores follow them."""

import csv

import numpy as np
import pytest
from PIL import ImageFilter
from typer.testing import CliRunner

from dpiqa import open_image
from dpiqa.cli import app
from dpiqa.data.distortions import DISTORTIONS, LEVELS, distort, make_distorted_set
from dpiqa.evaluation.consistency import Distorted, rank_consistency, read_distorted
from support.images import mean_difference


def test_the_kinds_are_kadids():
    assert len(DISTORTIONS) == 25


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_every_level_is_further_from_the_photo(photo, kind):
    differences = [mean_difference(distort(photo, kind, level), photo) for level in range(1, LEVELS + 1)]
    assert differences[0] > 0
    assert differences == sorted(differences)


def test_a_distortion_is_the_same_every_time(photo):
    first, second = (distort(photo, "white noise", 3, seed=1) for _ in range(2))
    assert mean_difference(first, second) == 0
    assert mean_difference(first, distort(photo, "white noise", 3, seed=2)) > 0


@pytest.mark.parametrize(("kind", "level"), [("fog", 1), ("jpeg", 0), ("jpeg", 6)])
def test_unknown_kinds_and_levels_are_errors(photo, kind, level):
    with pytest.raises(ValueError, match="a level from 1 to 5"):
        distort(photo, kind, level)


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

    def test_evaluate_has_a_table_for_it(self, save, photos, tmp_path, tiny_checkpoint):
        paths = [save(photo, f"in/{index}.png") for index, photo in enumerate(photos)]
        make_distorted_set(paths, tmp_path / "distorted", max_side=64, kinds=["jpeg", "gaussian blur"])
        command = ["evaluate", "--data", str(tmp_path / "distorted"), "--model", str(tiny_checkpoint)]
        result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "results")])
        assert result.exit_code == 0, result.output
        assert "tiny-checkpoint on distorted" in result.output
        assert "| gaussian blur |" in (tmp_path / "results" / "consistency.md").read_text()

    def test_two_photos_of_one_name_are_an_error(self, save, photo, tmp_path):
        paths = [save(photo, "a/x.png"), save(photo.filter(ImageFilter.BLUR), "b/x.png")]
        with pytest.raises(ValueError, match="same name"):
            make_distorted_set(paths, tmp_path / "out")


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
