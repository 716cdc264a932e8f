import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import dpiqa
from dpiqa import Scorer
from dpiqa.data import load_iqa_dataset
from support import releases

STUDY = Path(__file__).parents[2] / "studies" / "bundled_student"


@pytest.fixture
def train(monkeypatch):
    monkeypatch.syspath_prepend(STUDY)
    yield import_module("train")
    del sys.modules["train"]


@pytest.mark.slow
def test_the_student_goes_on_from_the_one_before(tmp_path, photos, train):
    release = releases.biq2021(tmp_path / "BIQ2021", photos, train=60, test=6)
    livefb = releases.livefb(tmp_path / "livefb")
    start, output = dpiqa.bundled_checkpoint(), tmp_path / "student"
    arguments = ["--data", str(release), "--livefb", str(livefb), "--start", str(start), "--output", str(output)]

    def run(*options):
        shared = ["--batch-size", "8", "--max-steps", "2", "--every", "2"]
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
    assert result["photos"]["train"] < 60 + len(load_iqa_dataset(f"livefb={livefb}"))
    for source in ("held out", "livefb"):
        assert set(result[source]) == {"start", "student"}
        assert all(-1 <= figure["srcc"] <= 1 and figure["rmse"] > 0 for figure in result[source].values())
    scorer = Scorer.from_pretrained(output / "checkpoint")
    assert 0 <= scorer(photos[0]).percentile <= 100

    # Nothing is left to train: a resumed run saves the same weights, or a mean of the start and them.
    again, _ = run("--share", "1", "--resume")
    assert torch.equal(again[learnt], trained[learnt])
    between, _ = run("--share", "0.5", "--resume")
    mean = (trained[learnt].float() + before[learnt].float()) / 2
    torch.testing.assert_close(between[learnt].float(), mean, atol=1e-3, rtol=1e-3)
    with pytest.raises(FileExistsError, match="already holds a model"):
        run()
