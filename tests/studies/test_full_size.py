"""The study of the full-size teacher, on tiny ones."""

import contextlib
import importlib.util
import io
import math
import re
from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file

from dpiqa import DPIQAModel
from support import teachers

ROOT = Path(__file__).parents[2]


def load(script):
    spec = importlib.util.spec_from_file_location(script, ROOT / "studies" / "full_size" / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def counted():
    """What the script prints about a tiny teacher, and what it returns."""
    pytest.importorskip("peft")
    count, printed = load("count"), io.StringIO()
    arguments = count.make_parser().parse_args(["--utilisation", "0.5", "--lora-rank", "2"])
    with contextlib.redirect_stdout(printed):
        returned = count.main(arguments, teachers.config())
    return printed.getvalue(), *returned


class TestCounts:
    def test_a_training_step_is_that_of_its_parts(self, counted):
        _, training, ways = counted
        assert sum(training.values()) == ways["everything"].step

    def test_low_rank_updates_and_checkpointing_change_what_they_should(self, counted):
        whole, again, low_rank, _ = counted[2].values()
        assert again.step > whole.step > low_rank.step
        assert (again.trained, again.weights) == (whole.trained, whole.weights)
        assert low_rank.trained < whole.trained

    def test_the_tables(self, counted):
        assert "hours of one H100 at 50 % of its peak" in counted[0]
        rows = re.findall(r"^\| (everything|LoRA, rank 2), (float32|bfloat16) \|", counted[0], re.MULTILINE)
        assert len(rows) == 4

    def test_keeping_latents_saves_the_autoencoder_in_every_epoch_but_the_first(self):
        count = load("count")
        forward = {"autoencoder": 100, "unet": 10}
        arguments = count.make_parser().parse_args(["--photos", "6", "--validation", "0", "--test", "0"])
        kept, every_step = (count.run_flop(30, forward, arguments, latents_kept=kept) for kept in (True, False))
        # The one encoding is in float32, which counts twice.
        assert every_step - kept == 2 * 6 * 100 * (15 - 2)


def test_two_steps_in_bfloat16_with_low_rank_updates_and_checkpointing(capsys):
    pytest.importorskip("peft")
    steps = load("steps")
    options = ["--lora-rank", "2", "--activation-checkpointing", "--image-size", "32"]
    row = steps.main(steps.make_parser().parse_args(options), teachers.config())
    assert len(row["seconds"]) == len(row["losses"]) == 2
    assert all(math.isfinite(loss) for loss in row["losses"])
    assert capsys.readouterr().out.strip().endswith("}")


def test_a_teacher_can_be_made_of_the_stand_in(tmp_path):
    stand_in = load("stand_in")
    stand_in.main(stand_in.make_parser().parse_args(["--output", str(tmp_path)]), teachers.config())
    teacher = DPIQAModel.from_stable_diffusion(tmp_path, text_model=tmp_path / "clip", prompts=["sharp", "blurred"])
    assert teacher.dtype == torch.float32
    assert teacher.text_adapter.prompt_embeddings.shape == (2, 24)


def test_accelerate_reads_the_configuration_for_several_gpus():
    config = load_config_from_file(str(ROOT / "examples" / "accelerate_gpus.yaml"))
    assert (config.distributed_type, config.num_processes, config.mixed_precision) == ("MULTI_GPU", 4, "bf16")
