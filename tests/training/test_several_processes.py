"""Training in two processes (gloo) gives what one gives."""

import subprocess
import sys

import pytest

from dpiqa.evaluation.report import read_results
from support import releases
from support.patience import PATIENCE


@pytest.mark.slow
def test_two_processes_give_the_metrics_of_one(tmp_path, tiny_checkpoint):
    releases.save_pictures(tmp_path, [f"{index}.png" for index in range(37)])
    # Batches come out even: accelerate fills an incomplete last step with photos from the start.
    split = ["train"] * 24 + ["validation"] * 6 + ["test"] * 7
    rows = [f"{index}.png,{index % 5 / 4},{split[index]}" for index in range(37)]
    (tmp_path / "photos.csv").write_text("\n".join(["path,mos,split", *rows]) + "\n")
    figures = {}
    for processes in (1, 2):
        arguments = {
            "data": tmp_path / "photos.csv",
            "model": tiny_checkpoint,
            "output_dir": tmp_path / str(processes),
            "name": "mine",
            "mirror": True,
            # What compares the photos of a batch cannot be the same in halves of it.
            "plcc_weight": 0,
            "per_device_train_batch_size": 8 // processes,
            "num_train_epochs": 3,
            "logging_steps": 1,
            "resamples": 20,
        }
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        command += ["-m", "dpiqa", "train", "student", *(f"--{name}={value}" for name, value in arguments.items())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr[-2000:]
        (_, after) = read_results(tmp_path / str(processes) / "results.json")
        figures[processes] = {name: metric["value"] for name, metric in after.metrics.items()}
        assert after.photos == 7
    assert figures[2] == pytest.approx(figures[1], abs=1e-4)
