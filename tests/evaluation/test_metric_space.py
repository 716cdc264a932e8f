"""The metric Space: its page and endpoint, put together as on the Hub, and the metric for `evaluate`."""

import gc
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import evaluate
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from dpiqa.evaluation.metrics import correlation_report
from support.patience import PATIENCE, get, post

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "spaces" / "iqa-correlation"

# gradio's own, in its server's threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*no_silent_downcasting", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def space():
    """The module app.py."""
    spec = importlib.util.spec_from_file_location("metric_space_app", FOLDER / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def url(space, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        app = space.build_app()
        _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **space.LAUNCH)
        yield url
        app.close()
        gc.collect()


@pytest.fixture(scope="module")
def client(url):
    return Client(url, verbose=False)


@pytest.fixture(scope="module")
def metric():
    return evaluate.load(str(FOLDER))


@pytest.fixture
def scores_and_mos():
    rng = np.random.default_rng(0)
    mos = rng.uniform(size=50)
    return mos + 0.1 * rng.standard_normal(50), mos


@pytest.mark.slow
class TestPage:
    def test_its_endpoint_gives_the_figures_of_the_package(self, client, scores_and_mos):
        lines = [f"{score},{mos}" for score, mos in zip(*scores_and_mos, strict=True)]
        figures = client.predict("\n".join(["score,mos", *lines]), api_name="/figures")
        report = correlation_report(*scores_and_mos)
        assert figures["photos"] == 50
        assert figures["srcc"]["value"] == pytest.approx(report["srcc"].value)
        assert figures["plcc_fitted"]["low"] == pytest.approx(report["plcc_fitted"].low)

    def test_what_is_wrong_is_said(self, client):
        with pytest.raises(AppError, match=r"Line 3: expected a number as mos, found: 0\.4 good"):
            client.predict("score,mos\n0.2,0.1\n0.4,good", api_name="/figures")

    @pytest.mark.parametrize("file", [{"path": "/etc/passwd"}, {"path": "http://127.0.0.1/a.csv", "url": "http://a"}])
    def test_it_reads_uploads_only(self, space, file):
        with pytest.raises(space.gr.Error, match="Only uploaded files"):
            space._read_upload(file)

    def test_it_reads_an_upload(self, space, url):
        files = {"files": ("scores.csv", "\ufeffscore,mos\n1,2\n".encode())}
        path = post(f"{url}gradio_api/upload", files=files).json()[0]
        assert space._read_upload({"path": path, "orig_name": "scores.csv"}) == "score,mos\n1,2\n"

    def test_a_long_file_is_refused(self, url):
        files = {"files": ("scores.csv", b"1,2\n" * 300_000)}
        answer = post(f"{url}gradio_api/upload", files=files)
        assert answer.status_code == 413
        assert "1000000 bytes" in answer.text

    def test_its_page_says_the_limits(self, url):
        config = get(f"{url}config").json()
        [text] = [part["props"] for part in config["components"] if part["props"].get("label") == "Scores and MOS"]
        assert text["max_length"] == 1_000_000
        words = "10,000 photos and 1 MB. One request is computed at a time, and 16 may wait."
        assert any(words in str(part["props"].get("value")) for part in config["components"])


@pytest.mark.slow  # imports gradio
class TestColumns:
    @pytest.mark.parametrize(
        "text",
        [
            "0.5,1\n0.25,2\n",
            "0.5 1\r\n0.25  2",
            "score\tmos\n0.5\t1\n\n0.25\t2",
            "path;MOS;Score\na.jpg;1;0.5\nb.jpg;2;0.25",
        ],
    )
    def test_are_found_by_name_or_by_place(self, space, text):
        assert space.read_columns(text) == ([0.5, 0.25], [1.0, 2.0])

    def test_the_standard_deviation_may_come_with_them(self, space):
        assert space.read_columns("0.5,1,0.1\n0.25,2,0.2") == ([0.5, 0.25], [1.0, 2.0], [0.1, 0.2])

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (" \n", "Upload a CSV file"),
            ("0.5\n0.25", "Expected a score and a MOS per line"),
            ("path,quality\na.jpg,1", "found: path, quality"),
            ("0.5,1\n0.25", "Line 2: expected a number as mos"),
            ("1" * 1_000_001, "At most 1,000,000 characters at a time, these are 1,000,001"),
            ("1,1\n" * 10_001, "At most 10,000 photos at a time, these are 10,001"),
        ],
    )
    def test_that_are_wrong_are_errors(self, space, text, message):
        with pytest.raises(ValueError, match=message):
            space.read_columns(text)


@pytest.mark.slow
class TestFolder:
    def test_it_builds_beside_a_copy_of_the_package_without_torch(self, tmp_path):
        shutil.copytree(FOLDER, tmp_path / "space")
        # What `hf upload ... --include "*.py"` sends.
        python_files = shutil.ignore_patterns("*.safetensors", "*.json", "*.md", "*.css", "*.html", "__pycache__")
        shutil.copytree(ROOT / "src" / "dpiqa", tmp_path / "space" / "dpiqa", ignore=python_files)
        code = (
            "import sys, app, dpiqa; app.build_app();"
            "print(app.figures('1,1 \\n 2,3 \\n 3,2')['photos'], dpiqa.__file__);"
            "print(sorted({'torch', 'transformers', 'datasets', 'evaluate'} & sys.modules.keys()))"
        )
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path / "space",
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [f"3 {tmp_path / 'space' / 'dpiqa' / '__init__.py'}", "[]"]

    def test_its_requirements_are_those_of_the_package(self):
        requirements = re.findall(r"^[\w-]+>=[\d.]+$", (FOLDER / "requirements.txt").read_text(), re.MULTILINE)
        setup = (ROOT / "setup.py").read_text()
        assert requirements
        assert [requirement for requirement in requirements if f'"{requirement}"' not in setup] == []


class TestMetric:
    def test_it_gives_the_figures_of_the_package(self, metric, scores_and_mos):
        scores, mos = scores_and_mos
        figures = metric.compute(predictions=scores, references=mos, resamples=50)
        report = correlation_report(scores, mos, resamples=50)
        assert figures["srcc"] == pytest.approx(report["srcc"].value)
        assert figures["plcc_fitted_low"] == pytest.approx(report["plcc_fitted"].low)

    def test_constant_predictions_are_finite(self, metric):
        figures = metric.compute(predictions=[0.5] * 5, references=[0.1, 0.2, 0.3, 0.4, 0.5], resamples=10)
        assert np.isfinite(list(figures.values())).all()
