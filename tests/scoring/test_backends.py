"""ONNX Runtime and OpenVINO say what PyTorch says."""

import json
import math
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from dpiqa import DPIQAImageProcessor, DPIQAStudent, Scorer
from dpiqa.scoring.backends import load
from dpiqa.scoring.backends.torch_backend import TorchBackend
from dpiqa.scoring.export import export_student
from dpiqa.scoring.export_check import ExportError, ExportToleranceError, check_agreement, pictures
from support.commands import dpiqa
from support.patience import PATIENCE
from support.tiny_students import tiny_config

BACKENDS = ["onnx", "openvino"]
DTYPES = ("float32", "bfloat16")

pytestmark = pytest.mark.slow  # an export takes seconds


@pytest.fixture(scope="session")
def exported(tmp_path_factory, tiny_exportable):
    """A folder for each backend."""
    folders = {}
    for backend, package in load.EXPORTED.items():
        pytest.importorskip(package)
        folders[backend] = tmp_path_factory.mktemp("exported") / backend
        export_student(tiny_exportable, backend, folders[backend])
    return folders


@pytest.fixture(scope="session")
def tiny_exportable(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(0)
    config = tiny_config(interval_half_width=0.1, score_quantiles=[-1.0, 0.0, 1.0])
    DPIQAStudent(config).eval().save_pretrained(folder)
    processor = DPIQAImageProcessor(size={"height": 64, "width": 64}, do_normalize=True, image_mean=[0.5] * 3)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_scores_maps_and_calibration_are_those_of_torch(exported, tiny_exportable, photos, backend):
    reference = Scorer.from_pretrained(tiny_exportable)(photos, return_map=True)
    scorer = Scorer.from_pretrained(exported[backend])
    assert (scorer.backend.name, scorer.backend.device, scorer.backend.dtype) == (backend, "cpu", "float32")
    for expected, found in zip(reference, scorer(photos, return_map=True), strict=True):
        assert found.score == pytest.approx(expected.score, abs=1e-5)
        assert found.percentile == pytest.approx(expected.percentile, abs=1e-3)
        assert found.interval == pytest.approx(expected.interval, abs=1e-5)
        np.testing.assert_allclose(found.quality_map, expected.quality_map, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_threads_and_bad_photos(exported, photos, backend):
    scorer = Scorer.from_pretrained(exported[backend], workers=4)
    alone = [scorer(photo).score for photo in photos]
    results = scorer([photos[0], b"", photos[1], *photos * 10])
    assert [math.isnan(result.score) for result in results[:4]] == [False, True, False, False]
    assert [results[0].score, results[2].score] == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_exported_folder_has_card_processor_and_what_was_compared(exported, backend):
    folder = exported[backend]
    assert "exported by dpiqa" in (folder / "README.md").read_text()
    assert (folder / "preprocessor_config.json").exists()
    [agreement, *_] = json.loads((folder / "export.json").read_text())["agreement"]
    assert agreement["largest"] < 1e-4
    assert not list(folder.glob("*.safetensors"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_scoring_with_it_imports_neither_torch_nor_transformers(exported, photo, save, backend):
    script = (
        "import sys, dpiqa\n"
        f"score = dpiqa.Scorer.from_pretrained({str(exported[backend])!r})({str(save(photo, 'a.png'))!r})\n"
        "print(score.score, sorted({'torch', 'transformers', 'diffusers', 'scipy', 'datasets'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith(" []\n")


@pytest.mark.parametrize("backend", BACKENDS)
def test_photos_of_any_size_where_the_processor_does_not_resize(tmp_path, tiny_student, photos, backend):
    pytest.importorskip(load.EXPORTED[backend])
    tiny_student.save_pretrained(tmp_path / "student")
    DPIQAImageProcessor(do_resize=False).save_pretrained(tmp_path / "student")
    export_student(tmp_path / "student", backend, tmp_path / backend)
    images = [photos[0], photos[1].resize((100, 160))]
    expected = [score.score for score in Scorer.from_pretrained(tmp_path / "student")(images)]
    found = [score.score for score in Scorer.from_pretrained(tmp_path / backend)(images)]
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_student_with_the_spatial_head(tmp_path, photo, backend):
    pytest.importorskip(load.EXPORTED[backend])
    DPIQAStudent(tiny_config(head="spatial", image_size=64)).save_pretrained(tmp_path / "student")
    DPIQAImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path / "student")
    export_student(tmp_path / "student", backend, tmp_path / backend)
    found = Scorer.from_pretrained(tmp_path / backend)(photo, return_map=True)
    assert found.quality_map is None
    assert found.score == pytest.approx(Scorer.from_pretrained(tmp_path / "student")(photo).score, abs=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_checkpoint_is_exported_once_by_content(exported, tiny_exportable, photo, backend, caplog):
    first = Scorer.from_pretrained(tiny_exportable, backend=backend)
    assert "half a minute, once" in caplog.text
    caplog.clear()
    again = Scorer.from_pretrained(tiny_exportable, backend=backend)
    assert not caplog.text
    assert again.fingerprint == first.fingerprint != Scorer.from_pretrained(tiny_exportable).fingerprint
    assert again(photo).score == first(photo).score


def test_a_kept_export_is_named_as_the_checkpoint_was(tiny_exportable, tmp_path):
    Scorer.from_pretrained(tiny_exportable, backend="onnx")
    shutil.copytree(tiny_exportable, tmp_path / "copy")
    copy = Scorer.from_pretrained(tmp_path / "copy", backend="onnx")
    assert copy.backend.source == str(tmp_path / "copy")
    assert pickle.loads(pickle.dumps(copy)).backend.source == str(tmp_path / "copy")


def test_an_export_is_not_exported_again(exported, tmp_path):
    with pytest.raises(OSError, match=r"can only score. Name the checkpoint that it was exported from"):
        export_student(exported["onnx"], "onnx", tmp_path / "again")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_pickled_scorer_reads_the_exported_form_again(exported, photos, backend, tmp_path, monkeypatch):
    scorer = Scorer.from_pretrained(os.path.relpath(exported[backend]), workers=3)
    monkeypatch.chdir(tmp_path)
    copied = pickle.loads(pickle.dumps(scorer))
    assert copied(photos) == scorer(photos)
    assert (copied.fingerprint, copied.workers) == (scorer.fingerprint, 3)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_an_export_that_is_stopped_leaves_nothing(tiny_exportable, tmp_path, monkeypatch, save, photo, stop):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("dpiqa.scoring.export._write_network", lambda *_: signal.raise_signal(stop))
    result = dpiqa("export", "--format", "onnx", "-o", tmp_path / "new" / "x", "--model", tiny_exportable)
    assert result.exit_code == 128 + stop
    assert not any((tmp_path / "new").iterdir())
    result = dpiqa("score", save(photo, "a.png"), "--backend", "onnx", "--model", tiny_exportable)
    assert result.exit_code == 128 + stop
    assert not list((tmp_path / "assets").rglob(".onnx.*"))


def _fails(*arguments, **options):
    raise ExportError("it cannot be exported")


def test_what_exports_that_were_killed_have_left_is_removed_after_a_day(tiny_exportable, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("dpiqa.scoring.export.export_student", _fails)
    exports = tmp_path / "assets" / "dpiqa" / "exports"
    names = ("onnx-0/.onnx.now", "onnx-1/.onnx.old", "onnx-1/onnx", "openvino-1/.openvino.old")
    for name in names:
        (exports / name / "part").mkdir(parents=True)
        if not name.endswith("now"):
            os.utime(exports / name, (0, 0))
    with pytest.raises(ExportError):
        Scorer.from_pretrained(tiny_exportable, backend="onnx")
    assert [name for name in names if (exports / name).exists()] == ["onnx-0/.onnx.now", "onnx-1/onnx"]


def test_the_command_says_that_the_first_run_exports(tiny_exportable, tmp_path, photo, save, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("HF_ASSETS_CACHE", str(tmp_path / "assets"))
    arguments = ["score", str(save(photo, "a.png")), "--model", str(tiny_exportable), "--backend", "onnx"]
    runs = [
        subprocess.run([sys.executable, "-m", "dpiqa", *arguments], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert ["for onnx; this takes half a minute, once" in run.stderr for run in runs] == [True, False]


def test_auto_takes_a_backend_that_agrees_and_else_torch(exported, tiny_exportable, monkeypatch):
    monkeypatch.setattr(load, "installed_backends", lambda: ["onnx", "torch"])
    monkeypatch.setattr(load.os.path, "exists", lambda path: False)  # no GPU
    assert Scorer.from_pretrained(tiny_exportable, backend="auto").backend.name == "onnx"
    monkeypatch.setattr("dpiqa.scoring.export_check.FLOAT32_TOLERANCE", -1.0)
    monkeypatch.setattr(load, "_EXPORT_VERSION", "another")
    assert Scorer.from_pretrained(tiny_exportable, backend="auto").backend.name == "torch"
    with pytest.raises(ExportError, match="a largest difference of at most"):  # kept, and said when asked for
        Scorer.from_pretrained(tiny_exportable, backend="onnx")


@pytest.mark.parametrize("error", [OSError("the disk is full"), ImportError("no onnxscript"), ValueError("no")])
def test_auto_goes_on_with_torch_where_an_export_cannot_be_made(tiny_exportable, monkeypatch, caplog, error):
    def fails(*arguments):
        raise error

    monkeypatch.setattr(load, "_worth_a_try", lambda device, dtype: ["onnx"])
    monkeypatch.setattr(load, "_exported_form", fails)
    assert Scorer.from_pretrained(tiny_exportable, backend="auto").backend.name == "torch"
    assert f"goes on without onnx: {error}" in caplog.text


def test_another_process_was_faster(exported, tiny_exportable, monkeypatch, photo):
    def late(source, backend, folder):
        shutil.copytree(exported[backend], folder)  # by the other one, while this one was exporting
        os.replace(shutil.copytree(exported[backend], f"{folder}.mine"), folder)

    monkeypatch.setattr("dpiqa.scoring.export.export_student", late)
    assert math.isfinite(Scorer.from_pretrained(tiny_exportable, backend="onnx")(photo).score)


def test_bfloat16_that_does_not_agree_takes_nothing_but_itself_away(exported, tiny_exportable, tmp_path, monkeypatch):
    monkeypatch.setattr("dpiqa.scoring.export_check.BFLOAT16_TOLERANCE", -1.0)
    monkeypatch.setattr(
        "dpiqa.scoring.backends.openvino_backend.OpenvinoBackend.dtypes_here", classmethod(lambda cls: DTYPES)
    )
    [agreement] = export_student(tiny_exportable, "openvino", tmp_path / "x")
    assert agreement.dtype == "float32"
    with pytest.raises(ValueError, match="did not agree with PyTorch in bfloat16"):
        Scorer.from_pretrained(tmp_path / "x", dtype="bfloat16")


@pytest.mark.parametrize("backend", BACKENDS)
def test_photos_of_32_pixels(tmp_path, tiny_student, photo, backend):
    pytest.importorskip(load.EXPORTED[backend])
    tiny_student.save_pretrained(tmp_path / "student")
    DPIQAImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "student")
    export_student(tmp_path / "student", backend, tmp_path / backend)
    expected = Scorer.from_pretrained(tmp_path / "student")(photo).score
    assert Scorer.from_pretrained(tmp_path / backend)(photo).score == pytest.approx(expected, abs=1e-5)


def test_a_fingerprint_does_not_depend_on_what_else_was_exported(exported, tiny_exportable, tmp_path):
    for backend, folder in exported.items():
        export_student(tiny_exportable, backend, tmp_path / backend)
        again, first = (Scorer.from_pretrained(one).fingerprint for one in (tmp_path / backend, folder))
        assert again == first


def test_a_photo_that_cannot_be_opened_is_left_out_of_the_comparison(tiny_exportable, tmp_path, photo):
    pytest.importorskip("onnxruntime")
    [agreement] = export_student(tiny_exportable, "onnx", tmp_path / "x", photos=[photo, b"", photo])
    assert agreement.photos == 2


@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="children send no signal here")
def test_a_signal_after_two_openvino_scorers_are_gone_kills_nobody(exported):
    script = (
        "import dpiqa, faulthandler, signal, subprocess, sys\n"
        "faulthandler.enable()\n"  # handles signals on a stack of its own
        "signal.signal(signal.SIGCHLD, lambda *_: None)\n"
        f"scorers = [dpiqa.Scorer.from_pretrained({str(exported['openvino'])!r}) for _ in range(2)]\n"
        "del scorers[0]\n"
        "del scorers[0]\n"
        "for _ in range(20):\n"
        "    subprocess.run([sys.executable, '-V'], stdout=subprocess.DEVNULL)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_after_a_fork_openvino_says_that_it_cannot(exported, photo, save):
    script = (
        "import os, pickle, dpiqa\n"
        f"scorer = dpiqa.Scorer.from_pretrained({str(exported['openvino'])!r})\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    try:\n"
        f"        scorer([{str(save(photo, 'a.png'))!r}])\n"
        "    except RuntimeError as error:\n"
        "        print(error, flush=True)\n"
        "    try:\n"
        "        pickle.loads(pickle.dumps(scorer))\n"
        "    except RuntimeError as error:\n"
        "        print(error, flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.count("cannot compute in a process that was forked") == 2


def test_auto_is_torch_for_a_teacher_or_another_device(tiny_exportable):
    assert Scorer.from_pretrained(tiny_exportable, backend="auto", dtype="float16").backend.name == "torch"


class TestErrors:
    def test_an_unknown_backend(self, tiny_exportable):
        with pytest.raises(ValueError, match=r"Unknown backend 'tpu': expected auto, torch, openvino, onnx"):
            Scorer.from_pretrained(tiny_exportable, backend="tpu")

    def test_a_backend_that_is_not_installed(self, tiny_exportable, monkeypatch):
        monkeypatch.setattr(load, "find_spec", lambda name: None)
        with pytest.raises(ImportError, match=r"onnx is not installed: pip install"):
            Scorer.from_pretrained(tiny_exportable, backend="onnx")

    def test_another_backend_than_it_was_exported_for(self, exported):
        with pytest.raises(ValueError, match="was exported for onnx, and cannot be computed with torch"):
            Scorer.from_pretrained(exported["onnx"], backend="torch")

    def test_a_type_or_device_that_it_does_not_have(self, exported):
        with pytest.raises(ValueError, match="onnx computes in float32 here, not in 'bfloat16'"):
            Scorer.from_pretrained(exported["onnx"], dtype="bfloat16")
        with pytest.raises(ValueError, match="onnx computes on the CPU only, not on cuda"):
            Scorer.from_pretrained(exported["onnx"], device="cuda")

    @pytest.mark.parametrize(("backend", "file"), [("onnx", "model.onnx"), ("openvino", "openvino_model.xml")])
    def test_a_damaged_file(self, exported, tmp_path, backend, file):
        shutil.copytree(exported[backend], tmp_path / "damaged")
        (tmp_path / "damaged" / file).write_bytes(b"garbage")
        with pytest.raises(OSError, match=f"{file} cannot be read by"):
            Scorer.from_pretrained(tmp_path / "damaged")

    @pytest.mark.parametrize(
        ("file", "content", "message"),
        [
            ("export.json", "{}", "expected a text as backend, found None"),
            ("export.json", '{"backend": ["onnx"]}', "expected a text as backend"),
            ("export.json", '{"backend": "tensorrt", "source": "x", "fingerprint": "y"}', "found 'tensorrt'"),
            ("preprocessor_config.json", "{}", "is that of no processor"),
            ("preprocessor_config.json", '{"size": 3, "image_mean": "a", "do_normalize": true}', "of no processor"),
            ("config.json", "[]", "expected a JSON object"),
        ],
    )
    def test_damaged_settings_are_one_sentence(self, exported, tmp_path, file, content, message):
        shutil.copytree(exported["onnx"], tmp_path / "damaged")
        (tmp_path / "damaged" / file).write_text(content)
        with pytest.raises(OSError, match=re.escape(message)):
            Scorer.from_pretrained(tmp_path / "damaged")

    def test_a_configuration_without_a_calibration(self, exported, tmp_path, photo):
        shutil.copytree(exported["onnx"], tmp_path / "bare")
        (tmp_path / "bare" / "config.json").write_text('{"model_type": "dpiqa-student"}')
        assert Scorer.from_pretrained(tmp_path / "bare")(photo).interval is None

    def test_a_folder_that_is_not_empty(self, tiny_exportable):
        with pytest.raises(FileExistsError, match="is not empty"):
            export_student(tiny_exportable, "onnx", tiny_exportable)

    def test_int8_needs_photos(self, tiny_exportable, tmp_path):
        with pytest.raises(ValueError, match="at least 50 of them, got 0"):
            export_student(tiny_exportable, "onnx", tmp_path / "x", quantize="int8")

    def test_scores_that_do_not_agree_leave_nothing(self, tiny_exportable, tmp_path, monkeypatch):
        pytest.importorskip("onnxruntime")
        monkeypatch.setattr("dpiqa.scoring.export_check.FLOAT32_TOLERANCE", -1.0)
        with pytest.raises(ExportToleranceError):
            export_student(tiny_exportable, "onnx", tmp_path / "x")
        assert list(tmp_path.iterdir()) == []

    def test_a_rank_correlation_that_is_too_low(self, tiny_exportable):
        backend = TorchBackend.from_pretrained(tiny_exportable, "dpiqa-student")

        class Noisy:
            name, dtype, reader = "noisy", "bfloat16", backend.reader

            def __call__(self, pixels):
                return np.random.default_rng(pixels[0, 0, 0, 0]).random(1), None

        with pytest.raises(ExportToleranceError, match=r"SRCC -?0\.\d+: an SRCC of at least 0\.999"):
            check_agreement(backend, Noisy(), pictures(64, 64) * 8)
