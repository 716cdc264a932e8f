import ast
import copy
import functools
import os
import signal
from pathlib import Path

import pytest

# What no test may depend on, set before the libraries read it: the terminal, its colours, the Hub, the user's model,
# and a Ray cluster that somebody else, such as another part of the tests, has started on this machine.
os.environ.update(
    COLUMNS="400",
    TERMINAL_WIDTH="",
    FORCE_COLOR="",
    _TYPER_FORCE_DISABLE_TERMINAL="1",
    HF_HUB_OFFLINE="1",
    DPIQA_MODEL="",
    DPIQA_BACKEND="torch",
    RAY_ADDRESS="local",
    RAY_worker_niceness="0",  # else other tests beside them leave its workers a few per cent of a core
)

import huggingface_hub
import torch
from datasets import Dataset
from PIL import Image
from sklearn.datasets import load_sample_images

from dpiqa import DPIQAImageProcessor, DPIQAStudent, Scorer
from dpiqa.data import load_iqa_dataset
from dpiqa.scoring.export import export_student
from dpiqa.training.arguments import DPIQATrainingArguments
from dpiqa.training.photo_dataset import PhotoDataset
from dpiqa.training.trainer import DPIQATrainer
from support import releases
from support.requirements import DISTRIBUTION_OF, imports, missing_extras
from support.tiny_students import save_tiny, tiny_config

MISSING = missing_extras()


def pytest_configure():
    # A shell that starts pytest in the background lets it and its children ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _skip_without_extra():
    """What needs a package of an extra that is not installed is skipped, and its name is the reason."""
    try:
        return (yield)
    except ImportError as error:
        if DISTRIBUTION_OF.get(error.name, error.name) in MISSING:
            pytest.skip(f"{error.name} is not installed")
        raise


class _Skipped(pytest.Module):
    def collect(self):
        pytest.skip(f"{', '.join(sorted(_absent(self.path)))} not installed", allow_module_level=True)


def _absent(path):
    return imports(ast.parse(path.read_text(encoding="utf-8")).body) & MISSING


def pytest_pycollect_makemodule(module_path, parent):
    return _Skipped.from_parent(parent, path=module_path) if _absent(module_path) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    return (yield from _skip_without_extra())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    return (yield from _skip_without_extra())


@pytest.fixture(autouse=True)
def answer_to_sigterm():
    """Ray answers SIGTERM in its own way in the process that has started it, and would in every later test."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True)
def assets(tmp_path_factory, monkeypatch):
    """What is kept between runs stays out of the user's folders, and out of other tests."""
    folder = tmp_path_factory.mktemp("assets")
    monkeypatch.setenv("HF_ASSETS_CACHE", str(folder))  # for the processes that a test starts
    kept = functools.partial(huggingface_hub.cached_assets_path, assets_dir=folder)
    monkeypatch.setattr("dpiqa.data.scenes.cached_assets_path", kept)
    return folder


@pytest.fixture(scope="session")
def _tiny_student():
    torch.manual_seed(0)
    return DPIQAStudent(tiny_config()).eval()


@pytest.fixture
def tiny_student(_tiny_student):
    return copy.deepcopy(_tiny_student)


@pytest.fixture
def tiny_processor():
    return DPIQAImageProcessor(size={"height": 64, "width": 64})


@pytest.fixture
def tiny_scorer(tiny_student, tiny_processor):
    return Scorer(tiny_student, tiny_processor, batch_size=4, workers=2)


@pytest.fixture
def tiny_checkpoint(tmp_path, tiny_student, tiny_processor):
    folder = tmp_path / "tiny-checkpoint"
    tiny_student.save_pretrained(folder)
    tiny_processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def quick_checkpoint(tmp_path_factory):
    """A tiny student for processes that tests start: as ONNX it needs no PyTorch, whose import takes many seconds."""
    student = save_tiny(tmp_path_factory.mktemp("tiny"))
    if {"onnxruntime", "onnx", "onnxscript"} & MISSING:
        return student
    folder = tmp_path_factory.mktemp("quick") / "onnx"
    export_student(student, "onnx", folder)
    return folder


@pytest.fixture
def quick_model(quick_checkpoint):
    """The same as options of a command, past the backend that is set above."""
    return ["--model", str(quick_checkpoint), "--backend", Scorer.from_pretrained(quick_checkpoint).backend.name]


@pytest.fixture(scope="session")
def _sample_images():
    return load_sample_images().images


@pytest.fixture
def photos(_sample_images):
    """Two real photographs, 640x427 RGB."""
    return [Image.fromarray(image) for image in _sample_images]


@pytest.fixture
def photo(photos):
    return photos[0]


@pytest.fixture
def save(tmp_path):
    """Saves a PIL image under a name in a fresh folder and returns its path."""

    def save(image: Image.Image, name: str, **options) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, **options)
        return path

    return save


@pytest.fixture(scope="session")
def rows(tmp_path_factory):
    """Twelve pictures to train on and two to test on, of a table of ratings."""
    folder = tmp_path_factory.mktemp("photos")
    releases.save_pictures(folder, [f"{index}.png" for index in range(16)])
    split = ["train"] * 12 + ["validation"] * 2 + ["test"] * 2
    labels = [{"path": f"{index}.png", "mos": index / 16, "split": split[index]} for index in range(16)]
    Dataset.from_list(labels).to_csv(folder / "labels.csv")
    return {split: load_iqa_dataset(folder / "labels.csv", split=split) for split in ("train", "test")}


@pytest.fixture
def train(tmp_path, tiny_student, rows, tiny_processor):
    """Trains a tiny student, or what is given, for four steps and returns the trainer."""

    def train(model=None, trainer_class=DPIQATrainer, train_set=None, resume=None, **options):
        defaults = {
            "output_dir": str(tmp_path / "run"),
            "max_steps": 4,
            "per_device_train_batch_size": 4,
            "logging_steps": 2,
            "disable_tqdm": True,
            "save_strategy": "no",
        }
        trainer = trainer_class(
            model=copy.deepcopy(tiny_student) if model is None else model,
            args=DPIQATrainingArguments(**(defaults | options)),
            train_dataset=train_set or PhotoDataset(rows["train"], tiny_processor),
            eval_dataset=PhotoDataset(rows["test"], tiny_processor),
        )
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return train
