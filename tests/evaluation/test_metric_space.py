"""The metric Space: the metric for `evaluate` loads from its folder, and the page answers, offline."""

import gc
import importlib.util
import subprocess
import sys
from pathlib import Path

import evaluate
import gradio
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from huggingface_hub import metadata_load

from dpiqa.evaluation.metrics import correlation_report

# gradio's own, in its server's threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*no_silent_downcasting", "ignore::ResourceWarning")
FOLDER = Path(__file__).parents[2] / "spaces" / "iqa-correlation"


@pytest.fixture(scope="module")
def metric():
    return evaluate.load(str(FOLDER))


def test_it_gives_the_figures_of_the_package(metric):
    rng = np.random.default_rng(0)
    mos = rng.uniform(size=50)
    scores = mos + 0.1 * rng.standard_normal(50)
    figures = metric.compute(predictions=scores, references=mos, resamples=50)
    report = correlation_report(scores, mos, resamples=50)
    assert figures["srcc"] == pytest.approx(report["srcc"].value)
    assert figures["plcc_fitted_low"] == pytest.approx(report["plcc_fitted"].low)


def test_constant_predictions_are_finite(metric):
    figures = metric.compute(predictions=[0.5] * 5, references=[0.1, 0.2, 0.3, 0.4, 0.5], resamples=10)
    assert np.isfinite(list(figures.values())).all()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("iqa_correlation_app", FOLDER / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        app = module.build_app()
        _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", ssr_mode=False)
        try:
            yield Client(url, verbose=False)
        finally:
            app.close()
            gc.collect()


@pytest.fixture
def compare(client, tmp_path):
    def compare(text, resamples=20):
        (tmp_path / "scores.csv").write_bytes(text.encode() if isinstance(text, str) else text)
        return client.predict(handle_file(tmp_path / "scores.csv"), resamples, api_name="/correlations")

    return compare


def test_the_page_gives_the_figures_of_the_package(compare):
    mos = np.linspace(0, 1, 20)
    scores = mos + 0.1 * np.sin(40 * mos)
    lines = [
        f"{index}.jpg,{score},{opinion},0.1" for index, (score, opinion) in enumerate(zip(scores, mos, strict=True))
    ]
    table = compare("\n".join(["path,score,mos,std", *lines]))
    rows = {row[0]: row[1:] for row in table["data"]}
    report = correlation_report(scores, mos, np.full(20, 0.1), resamples=20)
    assert rows["SRCC"] == pytest.approx([report["srcc"].value, report["srcc"].low, report["srcc"].high], abs=1e-4)
    assert rows["outliers"][0] == pytest.approx(report["outlier_ratio"].value, abs=1e-4)
    assert len(rows) == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,score\na,1\n", "Expected columns score and mos, found path, score"),
        ("score,mos\n1,x\n", "Line 2: mos is 'x'"),
        ("score,mos\n1\n", "Line 2: mos is None"),
        ("score,mos\n1,1\n", "two or more photos"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_an_upload_that_is_no_such_table_is_explained(compare, text, message):
    with pytest.raises(AppError, match=message):
        compare(text)


def test_its_front_matter_is_what_the_hub_expects():
    front_matter = metadata_load(FOLDER / "README.md")
    assert front_matter["sdk"] == "gradio"
    assert front_matter["sdk_version"].split(".")[0] == gradio.__version__.split(".")[0]
    assert (FOLDER / front_matter["app_file"]).is_file()
    assert len(front_matter["short_description"]) <= 60


def test_the_page_needs_no_more_than_its_requirements():
    setup = (FOLDER.parents[1] / "setup.py").read_text()
    requirements = [line for line in (FOLDER / "requirements.txt").read_text().splitlines() if line[0] != "#"]
    assert [requirement for requirement in requirements if f'"{requirement}"' not in setup] == []
    others = {"torch", "transformers", "datasets", "PIL", "matplotlib"}
    code = f"import sys, dpiqa.evaluation.metrics; assert not {others} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
