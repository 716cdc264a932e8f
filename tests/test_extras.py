"""Without any extra the core commands work, and what needs one names it."""

import subprocess
import sys

import pytest

from support import releases
from support.patience import PATIENCE
from support.requirements import names, setup_arguments

EXTRAS = ("demo", "eval", "cull", "lora", "heif", "ray")


def run(*arguments: str, code: str = "from dpiqa.cli import app; app()") -> subprocess.CompletedProcess[str]:
    """Runs the command where none of the extras' packages can be imported, installed or not."""
    required = setup_arguments()
    absent = set().union(*(names(required["extras_require"][extra]) for extra in EXTRAS))
    absent -= names(required["install_requires"]) | {"pandas", "fsspec"}  # which datasets brings
    block = f"import sys; sys.modules.update(dict.fromkeys({sorted(absent)}));"
    command = [sys.executable, "-c", block + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.fixture
def table(tmp_path):
    """A table of ten rated photos."""
    releases.save_pictures(tmp_path, [f"{index}.png" for index in range(10)])
    rows = [(f"{index}.png", index / 10, "train" if index < 5 else "test") for index in range(10)]
    releases.write_csv(tmp_path / "photos.csv", "path,mos,split", rows)
    return tmp_path / "photos.csv"


@pytest.mark.parametrize("command", ["env", "score", "prepare", "distort"])
def test_the_core_commands_need_no_extra(table, command):
    arguments = {
        "env": [],
        "score": [table.parent],
        "prepare": [table, "-o", table.parent / "output"],
        "distort": [table.parent / "0.png", "-o", table.parent / "output"],
    }
    result = run(command, *arguments[command])
    assert result.returncode == 0, result.stderr


def test_the_app_names_its_extra():
    result = run("demo")
    assert result.returncode == 2
    assert 'pip install ".[demo]"' in result.stderr


def test_evaluation_names_its_extra(table, tiny_checkpoint):
    result = run("evaluate", "--data", table, "--model", tiny_checkpoint, "-o", table.parent / "results")
    assert result.returncode == 2
    assert 'pip install ".[eval]"' in result.stderr


def test_the_ray_engine_names_its_extra(table):
    result = run("score", table.parent, "--engine", "ray", "-o", table.parent / "scores")
    assert result.returncode == 2
    assert 'pip install ".[ray]"' in result.stderr


def test_the_report_names_its_extra(table):
    result = run("score", table.parent, "--report", table.parent / "report.html")
    assert result.returncode == 2
    assert 'pip install ".[cull]"' in result.stderr


def test_low_rank_updates_name_their_extra():
    result = run(code="from dpiqa.training.lora import merge_lora; merge_lora('updates')")
    assert 'pip install ".[lora]"' in result.stderr


def test_a_photo_from_a_phone_names_its_extra(tmp_path):
    (tmp_path / "photo.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(100))
    assert "pillow-heif" in run("score", tmp_path).stdout
