import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import dpiqa
from dpiqa import Scorer
from dpiqa.data import load_iqa_dataset
from support import releases

STUDY = Path(__file__).parents[2] / "studies" / "bundled_student"


@pytest.fixture
def study(monkeypatch):
    """Gives a script of the study by its name."""
    monkeypatch.syspath_prepend(STUDY)
    names = ("teachers", "train")
    yield {name: import_module(name) for name in names}.__getitem__
    for name in names:
        del sys.modules[name]


@pytest.mark.slow
def test_the_student_is_distilled_from_teachers_and_takes_the_interval_of_unseen_sources(tmp_path, photos, study):
    release = releases.biq2021(tmp_path / "BIQ2021", photos, train=60, test=6)
    shared = ["--data", str(release), "--batch-size", "8", "--max-steps", "2"]

    def run(script, name, *arguments):
        script = study(script)
        script.main(script.make_parser().parse_args([*shared, "--output", str(tmp_path / name), *arguments]))
        return tmp_path / name

    teacher = run("teachers", "teacher")
    other = run("teachers", "other", "--leave-out", "ss02", "--size", "64")

    versions = tmp_path / "versions"
    options = ["--versions", str(versions), "--every", "2"]
    unseen = f"koniq10k={releases.koniq10k(tmp_path / 'koniq10k')}"
    without = ["--leave-out", "ss02", "--unseen", unseen]
    folder = run("train", "no-ss02", *options, *without, "--teachers", str(teacher / "apart"), str(other / "apart"))
    without = json.loads((folder / "result.json").read_text())
    assert without["photos"]["train"] + without["photos"]["validation"] < 60
    assert list(without["unseen"]) == ["ss02", "koniq10k"]
    for figures in (without["validation"], *without["unseen"].values()):
        assert set(figures) == {"teachers", "student"}
        assert all(-1 <= figure["srcc"] <= 1 and figure["rmse"] > 0 for figure in figures.values())
    made = set(versions.iterdir())

    both = ["--teachers", str(teacher / "apart"), str(teacher / "one-scale")]
    student = run("train", "student", *options, *both, "--interval-from", str(folder / "result.json"))
    # The scores of another teacher are new, and no versions are.
    assert {path.suffix for path in set(versions.iterdir()) - made} == {".npy"}
    distances = list(without["unseen_distances"].values())
    result = json.loads((student / "result.json").read_text())
    assert result["interval_half_width"] == pytest.approx(np.quantile(distances, 0.9), abs=1e-5)
    weights = load_file(student / "checkpoint" / "model.safetensors")
    *ends, between = (load_file(teacher / stage / "model.safetensors") for stage in ("apart", "one-scale", "mean"))
    frozen, trained = "backbone.embeddings.convolution.weight", "head.hidden.weight"
    assert torch.equal(weights[frozen], ends[0][frozen])
    assert weights[trained].dtype == torch.float16
    mean = sum(end[trained].float() for end in ends) / 2
    torch.testing.assert_close(between[trained].float(), mean, atol=1e-4, rtol=1e-3)
    assert (weights[trained].float() - mean).abs().max() > 2e-4  # half precision rounds by less
    assert 0 <= Scorer.from_pretrained(student / "checkpoint")(photos[0]).percentile <= 100

    # Nothing is left to train: what a resumed run calibrates and measures is what was trained.
    run("train", "student", *options, *both, "--resume")
    assert json.loads((student / "result.json").read_text())["validation"] == result["validation"]
    assert torch.equal(load_file(student / "checkpoint" / "model.safetensors")[trained], weights[trained])
    with pytest.raises(FileExistsError, match="already holds a model"):
        run("train", "student", *options, *both)


@pytest.mark.slow
def test_the_student_starts_where_it_is_told_and_sees_photos_without_opinions(tmp_path, photos, study):
    release = releases.biq2021(tmp_path / "BIQ2021", photos, train=60, test=6)
    student = study("teachers").pretrained_student("lite0", 64)
    start, teacher = tmp_path / "start", dpiqa.bundled_checkpoint()
    student.save_pretrained(start)
    further = releases.livefb(tmp_path / "livefb")
    train = study("train")
    arguments = ["--data", str(release), "--livefb", str(further), "--output", str(tmp_path / "student")]
    options = ["--start", str(start), "--teachers", str(teacher), "--batch-size", "8", "--max-steps", "2"]
    train.main(train.make_parser().parse_args([*arguments, *options]))
    weights, released = (
        load_file(folder / "model.safetensors") for folder in (tmp_path / "student" / "checkpoint", start)
    )
    frozen = "backbone.encoder.blocks.0.projection.project_conv.weight"
    assert torch.equal(weights[frozen], released[frozen].half())
    found = json.loads((tmp_path / "student" / "result.json").read_text())["photos"]
    assert sum(found.values()) == 60 + len(load_iqa_dataset(f"livefb={further}"))
