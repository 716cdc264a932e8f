"""The checkpoint inside the package: what it is, and that its numbers can be trusted."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from safetensors import safe_open

import dpiqa
from dpiqa import DPIQAStudent, Scorer
from dpiqa.data.distortions import distort

RESIDUALS = json.loads((Path(__file__).parents[1] / "support" / "golden" / "bundled_biq2021_test.json").read_text())


@pytest.fixture(scope="module")
def folder():
    return dpiqa.bundled_checkpoint()


@pytest.fixture(scope="module")
def scorer():
    return Scorer.from_pretrained()


def test_it_is_small_and_half_precision(folder):
    weights = folder / "model.safetensors"
    assert weights.stat().st_size < 12e6
    with safe_open(weights, "pt") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert kinds == {"F16", "I64"}
    assert DPIQAStudent.from_pretrained(folder).num_parameters() < 6e6


def test_it_holds_no_pickle(folder):
    assert {path.suffix for path in folder.iterdir()} == {".json", ".md", ".safetensors"}


def test_it_is_calibrated(scorer):
    config = scorer.config
    assert len(config.score_quantiles) == 101
    assert config.interval_coverage == 0.9


def test_the_interval_covers_its_share_of_the_test_split(scorer):
    """Residuals of the official test split, from the predictions of `dpiqa evaluate --data biq2021=BIQ2021`."""
    residuals = np.array(RESIDUALS["residuals"])
    assert len(residuals) == 2000
    coverage = np.mean(np.abs(residuals) <= scorer.config.interval_half_width)
    assert 0.88 <= coverage <= 0.92
    assert coverage == pytest.approx(RESIDUALS["figures"]["official test split"]["coverage"], abs=0.002)


def test_the_card_states_the_measured_figures(folder):
    card = (folder / "README.md").read_text()
    for part in ("official test split", "without scenes of the train split", "ss01", "ss02", "ss03"):
        assert f"{RESIDUALS['figures'][part]['srcc']:.3f}" in card
    assert "without a diffusion teacher" in card


@pytest.mark.parametrize("radius", [1, 2, 4, 8])
def test_blur_lowers_the_score(scorer, photos, radius):
    for photo in photos:
        assert scorer(photo.filter(ImageFilter.GaussianBlur(radius))).score < scorer(photo).score


@pytest.mark.parametrize(("kind", "strength"), [("gaussian blur", 4.0), ("white noise", 25 / 255), ("jpeg", 8.0)])
def test_the_quality_map_shows_damage_of_a_sixteenth(scorer, photos, kind, strength):
    """Damage one cell of a 4x4 grid: the map's 10x10 values must fall more there than elsewhere."""
    for photo in photos:
        width, height = photo.width // 4, photo.height // 4
        before = scorer([photo], return_map=True)[0].quality_map
        for cell, values in ((1, slice(2, 5)), (2, slice(5, 8))):
            box = (cell * width, cell * height, (cell + 1) * width, (cell + 1) * height)
            damaged = photo.copy()
            damaged.paste(distort(photo, kind, strength).crop(box), box)
            fall = before - scorer([damaged], return_map=True)[0].quality_map
            inside = np.zeros_like(fall, bool)
            inside[values, values] = True
            assert fall[inside].mean() > fall[~inside].mean()


@pytest.mark.parametrize("colour", ["black", "white", "red", "skyblue"])
def test_a_flat_colour_scores_low(scorer, colour):
    assert scorer(Image.new("RGB", (512, 512), colour)).percentile < 15


def test_random_pixels_score_low(scorer):
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    assert scorer(Image.fromarray(noise)).percentile < 15


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_quality_map_shows_where_the_photo_is_bad(scorer, photos, side):
    """Blur one half: the map must fall more there than in the other half."""
    for photo in photos:
        half = photo.width // 2
        box = (0, 0, half, photo.height) if side == "left" else (half, 0, photo.width, photo.height)
        damaged = photo.copy()
        damaged.paste(photo.crop(box).filter(ImageFilter.GaussianBlur(6)), box)
        before, after = (scorer([image], return_map=True)[0].quality_map for image in (photo, damaged))
        fall = before - after
        left, right = fall[:, :4].mean(), fall[:, -4:].mean()
        assert (left > right) if side == "left" else (right > left)


def test_a_mirror_image_scores_nearly_the_same(scorer, photos):
    for photo in photos:
        mirrored = photo.transpose(0)
        assert scorer(mirrored).score == pytest.approx(scorer(photo).score, abs=0.03)


def test_scores_are_the_same_alone_and_together(scorer, photos):
    alone = [scorer(photo).score for photo in photos]
    together = [score.score for score in scorer(photos * 3)]
    assert together == pytest.approx(alone * 3, abs=1e-5)


def test_percentiles_and_intervals_follow_the_scores(scorer, photos):
    good = scorer(photos[1])
    bad = scorer(photos[1].filter(ImageFilter.GaussianBlur(8)))
    assert good.percentile > bad.percentile
    assert good.interval[0] < good.score < good.interval[1]


def test_the_half_precision_file_is_computed_in_float32(scorer):
    assert scorer.model.dtype == torch.float32
