"""A Scorer in the processes of `datasets.map(num_proc=...)`."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from dpiqa.scoring import forks
from support.patience import PATIENCE

SCRIPT = """
import sys
import datasets
import torch
from dpiqa import Scorer

torch.set_num_threads(2)
rows = datasets.Dataset.from_list([{"image": {"bytes": None, "path": sys.argv[2]}}] * 4)
rows = rows.cast_column("image", datasets.Image(decode=False))
scorer = Scorer.from_pretrained(sys.argv[1])
expected = scorer(sys.argv[2]).score  # starts PyTorch's threads, which a fork leaves behind

def score(batch):
    many = [result.score for result in scorer(batch["image"])]
    one = scorer(batch["image"][0]).score  # in the thread that forked, after those of the pool
    return {"score": [one, *many[1:]]}

scored = rows.map(score, batched=True, batch_size=2, num_proc=2)
print(max(abs(value - expected) for value in scored["score"]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.slow
def test_a_scorer_made_before_the_fork(tiny_checkpoint, photo, save, tmp_path):
    environment = os.environ | {"HF_DATASETS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", SCRIPT, str(tiny_checkpoint), str(save(photo, "photo.png"))]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:  # it hangs, and so do its children
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors
    assert float(output) < 1e-5


def test_another_device_than_the_cpu_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(forks, "_forked", True)
    with pytest.raises(RuntimeError, match=r"cannot compute on cuda\. Leave num_proc out.*spawn"):
        forks.prepare_after_fork(torch.device("cuda"))
