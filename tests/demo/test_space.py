"""The folder that becomes the Space, put together as on the Hub."""

import errno
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
from itertools import chain
from pathlib import Path
from unittest.mock import MagicMock

import gradio
import httpx
import pytest
from huggingface_hub import metadata_load
from packaging.requirements import Requirement

from dpiqa.demo import LOCAL, PUBLIC, limits, server, storage
from support.patience import PATIENCE, get, wait_for
from support.requirements import setup_arguments

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


@pytest.mark.parametrize(
    ("stop", "bundled"), [(signal.SIGTERM, True), (signal.SIGHUP, False), (signal.SIGQUIT, False)]
)
def test_it_starts_offline_and_leaves_nothing_behind(space, port, tmp_path, quick_checkpoint, stop, bundled):
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {
        "GRADIO_SERVER_PORT": str(port),
        "TMPDIR": str(tmp_path / "tmp"),
        "HF_HUB_OFFLINE": "1",
        "DPIQA_MODEL": "" if bundled else str(quick_checkpoint),
    }
    command = [sys.executable, "app.py"]
    with subprocess.Popen(
        command, cwd=space, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as app:
        try:
            config = _first_answer(f"http://127.0.0.1:{port}/config", app)
        finally:
            app.send_signal(stop)
        output = app.communicate(timeout=PATIENCE)[0].decode()
    assert config["title"] == "How good does your photo look?"
    assert app.returncode == 0, output
    assert not list((tmp_path / "tmp").glob("dpiqa-demo-*"))


def test_what_a_killed_server_left_goes_when_the_next_one_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("dpiqa.demo.storage._is_running", lambda process: process == 2)
    for process in (1, 2, os.getpid()):
        (tmp_path / f"dpiqa-demo-{process}-abc" / "photos").mkdir(parents=True)
    (tmp_path / "dpiqa-demo-notes").mkdir()
    storage.remove_folders_of_the_dead()
    assert {folder.name for folder in tmp_path.iterdir()} == {"dpiqa-demo-2-abc", "dpiqa-demo-notes"}


def test_what_is_not_ours_stays_when_the_next_one_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("dpiqa.demo.storage._is_running", lambda process: False)
    (tmp_path / "photos" / "holiday").mkdir(parents=True)
    (tmp_path / "dpiqa-demo-1-link").symlink_to(tmp_path / "photos")
    (tmp_path / "dpiqa-demo-1-file").touch()
    (tmp_path / "dpiqa-demo-1-anothers").mkdir()
    monkeypatch.setattr("os.getuid", lambda: (tmp_path / "photos").stat().st_uid + 1)
    storage.remove_folders_of_the_dead()
    assert (tmp_path / "photos" / "holiday").exists()
    assert len(list(tmp_path.iterdir())) == 4
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("dpiqa.demo.storage._is_running", lambda process: False)
    storage.remove_folders_of_the_dead()
    assert not (tmp_path / "dpiqa-demo-1-anothers").exists()
    assert (tmp_path / "photos" / "holiday").exists()
    assert len(list(tmp_path.iterdir())) == 3


class TestPort:
    def test_the_first_free_one(self):
        with server.listen("127.0.0.1") as first, server.listen("127.0.0.1") as second:
            assert 7860 <= first.getsockname()[1] < second.getsockname()[1]

    def test_a_taken_one(self, port):
        with (
            server.listen("127.0.0.1", port),
            pytest.raises(OSError, match=f"Port {port} is taken on 127.0.0.1: choose another one."),
        ):
            server.listen("127.0.0.1", port)

    @pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
    def test_a_host_that_is_not_this_machine(self, host):
        with pytest.raises(OSError, match=f"Cannot listen on {host}, port 7000"):
            server.listen(host, 7000)

    def test_one_that_may_not_be_used(self, monkeypatch):
        denied = PermissionError(errno.EACCES, "Permission denied (while attempting to bind on address)")
        monkeypatch.setattr("socket.create_server", MagicMock(side_effect=denied))
        with pytest.raises(OSError, match=r"port 80: Permission denied\.$"):
            server.listen("127.0.0.1", 80)

    def test_it_is_known_before_the_model_is_loaded(self, port, monkeypatch):
        monkeypatch.setattr(server.Scorer, "from_pretrained", lambda *_, **__: pytest.fail("loaded"))
        with server.listen("127.0.0.1", port), pytest.raises(OSError, match="is taken"):
            server.serve(host="127.0.0.1", port=port)


@pytest.fixture
def served(monkeypatch):
    """What `serve` hands to the scorer and to the web server."""
    calls = []
    monkeypatch.setattr(server.Scorer, "from_pretrained", lambda model, **options: calls.append((model, options)))
    monkeypatch.setattr(server, "build_server", lambda scorer, limits: calls.append(limits) or MagicMock())
    monkeypatch.setattr(server, "listen", MagicMock())
    monkeypatch.setenv("DPIQA_MODEL", "org/student")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "set by serve")
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    return calls


def test_it_takes_no_more_than_the_app_allows(served):
    """Wherever its server believes to be."""
    runpy.run_path(str(SPACE / "app.py"))
    assert served == [("org/student", {"max_pixels": PUBLIC.max_pixels, "formats": limits.FORMATS}), PUBLIC]


@pytest.mark.parametrize("host", [None, "127.0.0.1", "::1", "localhost"])
def test_who_serves_for_this_machine_alone_has_wider_limits(served, host):
    server.serve(host=host)
    assert served == [("org/student", {"max_pixels": LOCAL.max_pixels, "formats": limits.FORMATS}), LOCAL]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "my-machine"])
def test_who_serves_for_others_has_the_limits_of_the_space(served, host):
    server.serve(host=host)
    assert served[-1] == PUBLIC


def test_the_address_of_the_environment_decides_too(served, monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    server.serve()
    assert served[-1] == PUBLIC


@pytest.mark.parametrize("name", ["dpiqa-demo", "iqa-correlation"])
def test_gradio_is_a_version_that_the_gate_was_tested_with(name):
    [allowed] = [line for line in setup_arguments()["extras_require"]["demo"] if line.startswith("gradio")]
    for version in (metadata_load(ROOT / "spaces" / name / "README.md")["sdk_version"], gradio.__version__):
        assert version in Requirement(allowed).specifier


def test_its_requirements_are_those_of_the_package():
    requirements = re.findall(r"^\w.*$", (SPACE / "requirements.txt").read_text(), re.MULTILINE)
    arguments = setup_arguments()
    assert len(requirements) == 10
    assert set(requirements) <= {*arguments["install_requires"], *chain(*arguments["extras_require"].values())}


def _first_answer(url, process):
    def answer():
        assert process.poll() is None, "the app has ended"
        try:
            return get(url).json()
        except httpx.HTTPError:
            return None

    return wait_for(answer)
