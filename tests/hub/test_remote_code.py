"""Checkpoints with code: they load in a process that has no dpiqa."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from transformers import pipeline

from dpiqa import DPIQAImageProcessor, ImageQualityAssessmentPipeline
from dpiqa.hub.remote_code import save_with_code
from support import teachers

pytestmark = pytest.mark.slow  # fresh interpreters

LOAD = """
import sys

class NoDpiqa:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "dpiqa":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoDpiqa())
import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModel, pipeline

folder = sys.argv[1]
AutoConfig.from_pretrained(folder, trust_remote_code=True)
processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
pixels = processor(sys.argv[2], return_tensors="pt").pixel_values
with torch.no_grad():
    score = model(pixels).score.item()
rate = pipeline("image-quality-assessment", model=folder, trust_remote_code=True)
print(type(model).__module__.split(".")[0], score, rate(sys.argv[2])["score"])
"""


@pytest.mark.parametrize("kind", ["student", "teacher"])
def test_it_loads_without_dpiqa(kind, tmp_path, tiny_student, photo, save, monkeypatch):
    model = tiny_student if kind == "student" else teachers.teacher()
    processor = DPIQAImageProcessor(size={"height": 64, "width": 64})
    save_with_code(model, processor, tmp_path / "checkpoint")
    path = save(photo, "photo.png")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    command = [sys.executable, "-c", textwrap.dedent(LOAD), str(tmp_path / "checkpoint"), str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    module, score, from_pipeline = result.stdout.split()
    assert module == "transformers_modules"
    expected = model(processor(str(path), return_tensors="pt").pixel_values).score.item()
    assert float(score) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert float(from_pipeline) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", ["student", "teacher"])
def test_where_dpiqa_is_installed_its_own_code_runs(kind, tmp_path, tiny_student, tiny_processor, photo):
    model = tiny_student if kind == "student" else teachers.teacher()
    save_with_code(model, tiny_processor, tmp_path)
    rate = pipeline("image-quality-assessment", model=str(tmp_path))
    assert type(rate) is ImageQualityAssessmentPipeline
    assert type(rate.model) is type(model)
    assert np.isfinite(rate(photo)["score"])


def test_saving_as_usual_exports_no_code(tmp_path, tiny_student, tiny_processor):
    save_with_code(tiny_student, tiny_processor, tmp_path / "with")
    tiny_student.save_pretrained(tmp_path / "without")
    assert list((tmp_path / "with").glob("*.py"))
    assert not list((tmp_path / "without").glob("*.py"))
    config = (tmp_path / "without" / "config.json").read_text()
    assert "auto_map" not in config
    assert "custom_pipelines" not in config
