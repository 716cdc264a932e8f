"""The folder that becomes the Space, put together as on the Hub."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import MagicMock

import httpx
import pytest
from huggingface_hub import metadata_load

from dpiqa.demo import limits, server

ROOT = Path(__file__).parents[2]
SPACE = ROOT / "spaces" / "dpiqa-demo"


@pytest.fixture
def space(tmp_path):
    """What the three commands of docs/space.md upload."""
    shutil.copytree(SPACE, tmp_path / "space")
    shutil.copytree(ROOT / "src" / "dpiqa", tmp_path / "space" / "dpiqa")
    return tmp_path / "space"


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_it_starts_offline_and_leaves_nothing_behind(space, port, tmp_path, stop):
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {
        "GRADIO_SERVER_PORT": str(port),
        "TMPDIR": str(tmp_path / "tmp"),
        "HF_HUB_OFFLINE": "1",
        "DPIQA_MODEL": "",
    }
    command = [sys.executable, "app.py"]
    with subprocess.Popen(
        command, cwd=space, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as app:
        try:
            config = _first_answer(f"http://127.0.0.1:{port}/config", app)
        finally:
            app.send_signal(stop)
        output = app.communicate(timeout=60)[0].decode()
    assert config["title"] == "How good does your photo look?"
    assert app.returncode == 0, output
    assert not list((tmp_path / "tmp").glob("dpiqa-demo-*"))


def test_what_a_killed_server_left_goes_when_the_next_one_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("dpiqa.demo.server._is_running", lambda process: process == 2)
    for process in (1, 2, os.getpid()):
        (tmp_path / f"dpiqa-demo-{process}-abc" / "photos").mkdir(parents=True)
    (tmp_path / "dpiqa-demo-notes").mkdir()
    server._remove_leftovers()
    assert {folder.name for folder in tmp_path.iterdir()} == {"dpiqa-demo-2-abc", "dpiqa-demo-notes"}


def test_it_takes_no_more_than_the_app_allows(monkeypatch):
    """The limits reach the scorer that `serve` builds."""
    built = []
    monkeypatch.setattr(server.Scorer, "from_pretrained", lambda model, **options: built.append((model, options)))
    monkeypatch.setattr(server, "build_demo", lambda scorer: MagicMock())
    monkeypatch.setattr("signal.signal", lambda *arguments: None)
    monkeypatch.setenv("DPIQA_MODEL", "org/student")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "set by serve")
    server.serve()
    assert built == [("org/student", {"max_pixels": limits.MAX_PIXELS, "formats": limits.FORMATS})]


def test_its_front_matter_is_what_the_hub_expects():
    front_matter = metadata_load(SPACE / "README.md")
    assert front_matter["sdk"] == "gradio"
    assert (SPACE / front_matter["app_file"]).is_file()
    assert len(front_matter["short_description"]) <= 60


def test_its_requirements_are_those_of_the_package():
    setup = (ROOT / "setup.py").read_text()
    requirements = re.findall(r"^[\w-]+>=[\d.]+$", (SPACE / "requirements.txt").read_text(), re.MULTILINE)
    assert len(requirements) == 8
    assert [requirement for requirement in requirements if f'"{requirement}"' not in setup] == []


def _first_answer(url, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return httpx.get(url).json()
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError("the app does not answer")
