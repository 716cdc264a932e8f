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
from dpiqa.data import load_iqa_dataset, load_iqa_splits
from support import releases

STUDY = Path(__file__).parents[2] / "studies" / "bundled_student"


@pytest.fixture
def train(monkeypatch):
    monkeypatch.syspath_prepend(STUDY)
    yield import_module("train")
    del sys.modules["train"]


@pytest.mark.slow
def test_the_student_goes_on_from_the_one_before(tmp_path, photos, train, monkeypatch):
    release = releases.biq2021(tmp_path / "BIQ2021", photos, train=100, test=6)
    livefb = releases.livefb(tmp_path / "livefb")
    start, output = dpiqa.bundled_checkpoint(), tmp_path / "student"
    arguments = ["--data", str(release), "--livefb", str(livefb), "--start", str(start), "--output", str(output)]

    learnt_from = []
    train_on = train.train
    monkeypatch.setattr(train, "train", lambda student, *rest: learnt_from.append(rest[0]) or train_on(student, *rest))

    def run(*options):
        shared = ["--batch-size", "4", "--max-steps", "2", "--every", "2"]
        train.main(train.make_parser().parse_args([*arguments, *shared, *options]))
        return load_file(output / "checkpoint" / "model.safetensors"), json.loads((output / "result.json").read_text())

    trained, result = run("--share", "1")
    before = load_file(start / "model.safetensors")
    frozen, learnt = "backbone.embeddings.convolution.weight", "head.hidden.weight"
    assert torch.equal(trained[frozen], before[frozen])
    assert trained[learnt].dtype == torch.float16
    assert (trained[learnt].float() - before[learnt].float()).abs().max() > 2e-4  # half precision rounds by less

    held_out = train.held_out_photos(release)
    assert result["photos"]["held out"] == len(held_out) > 0
    assert set(held_out["split"][:]) <= {"train", "validation"}
    rows = load_iqa_splits("biq2021", release, split_by="scene")["train"]
    assert set(rows["name"][:]) & set(held_out["name"][:])
    others = rows.filter(lambda name: name not in held_out["name"][:], input_columns="name")
    further = load_iqa_dataset(f"livefb={livefb}")
    assert result["photos"]["train"] == len(others) + len(further)
    # Its own scores, standardised, are what it learns, and no opinion is.
    own = train.scores_of(start, others).tolist() + train.scores_of(start, further).tolist()
    labels = [learnt_from[0][index]["labels"].item() for index in range(len(own))]
    np.testing.assert_allclose(labels, (own - np.mean(own)) / np.std(own), atol=1e-3)
    for source in ("held out", "livefb"):
        assert set(result[source]) == {"start", "student"}
        assert all(-1 <= figure["srcc"] <= 1 and figure["rmse"] > 0 for figure in result[source].values())
    scorer = Scorer.from_pretrained(output / "checkpoint")
    assert 0 <= scorer(photos[0]).percentile <= 100
    distances = np.abs([score.score for score in scorer.stream(held_out["image"])] - np.array(held_out["mos"][:]))
    assert scorer.config.interval_half_width == result["interval_half_width"]
    assert np.mean(distances <= result["interval_half_width"] + 1e-5) >= 0.9

    # Nothing is left to train: a resumed run saves the same weights, or a mean of the start and them.
    again, _ = run("--share", "1", "--resume")
    assert torch.equal(again[learnt], trained[learnt])
    between, _ = run("--share", "0.5", "--resume")
    mean = (trained[learnt].float() + before[learnt].float()) / 2
    torch.testing.assert_close(between[learnt].float(), mean, atol=1e-3, rtol=1e-3)
    with pytest.raises(FileExistsError, match="already holds a model"):
        run()
