import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dpiqa import Scorer
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

    teacher = run("teachers", "teacher", "--photos", str(tmp_path / "photos"))
    other = run("teachers", "other", "--photos", str(tmp_path / "photos"), "--leave-out", "ss02", "--size", "64")
    assert len(list((tmp_path / "photos").iterdir())) == 2

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

    with pytest.raises(FileExistsError, match="already holds a model"):
        run("train", "student", *options, *both)
    start = ["--start", str(teacher / "mean"), "--teachers", str(other / "apart")]
    run("train", "from-one", *options, *start)
