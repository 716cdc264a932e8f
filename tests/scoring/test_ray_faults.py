"""Whatever is lost in the middle of a run: every photo has one row in the end."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pyarrow.dataset as pads
import pytest
import ray
from ray.cluster_utils import Cluster

from dpiqa import Scorer
from dpiqa.scoring.engines.inputs import find_inputs
from dpiqa.scoring.engines.ray import score_inputs
from support.images import encoded
from support.patience import PATIENCE, wait_for
from support.pictures import landscape
from support.shards import write_tar

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Ray warns of its own code
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc"),
]
NUM_PHOTOS = 120
# So small that reading waits for scoring, and a run is never scored as a whole before its first file is there.
SMALL = {"object_store_memory": 100 * 1024**2, "include_dashboard": False}


@pytest.fixture(scope="module")
def tars(tmp_path_factory):
    """Photos of some 20 ms each in a few tars, so that reading and scoring go on at the same time."""
    folder = tmp_path_factory.mktemp("tars")
    photo = encoded(landscape(900, 900), "PNG")
    for number in range(4):
        names = [f"{index}.png" for index in range(NUM_PHOTOS // 4)]
        write_tar(folder / f"{number}.tar", dict.fromkeys(names, photo))
    return folder


class Run(threading.Thread):
    """A run that others can interfere with."""

    def __init__(self, tars, output, checkpoint, **options):
        super().__init__()
        self._arguments = (
            Scorer.from_pretrained(checkpoint),
            str(checkpoint),
            find_inputs([f"{tars}/*.tar"]),
            str(output),
        )
        self._options = {"workers": 2} | options
        self.error = None

    def run(self):
        try:
            score_inputs(*self._arguments, rows_per_file=8, **self._options)
        except Exception as error:
            self.error = type(error)  # its traceback would hold the actors

    def finish(self):
        self.join(timeout=PATIENCE)
        assert not self.is_alive()
        return self.error


def files(output):
    return sorted(Path(output).glob("*.parquet"))


def check_all_are_there_once(output):
    rows = pads.dataset(output, format="parquet").to_table().to_pylist()
    assert len({row["key"] for row in rows}) == len(rows) == NUM_PHOTOS
    assert all(row["error"] is None for row in rows)


def below(pid):
    """Processes that a process has started, and those that these have."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # ended, and not everywhere does process 1 take note of it


def scoring_actors():
    def title(pid):
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""

    return [pid for pid in below(os.getpid()) if b"ScoringActor" in title(pid)]


@contextmanager
def connected(**options):
    ray.init(log_to_driver=False, **options)
    try:
        yield
    finally:
        ray.shutdown()


def test_an_actor_is_killed(tars, quick_checkpoint, tmp_path):
    with connected(num_cpus=2, **SMALL):
        run = Run(tars, tmp_path / "scores", quick_checkpoint)
        run.start()
        wait_for(lambda: files(tmp_path / "scores"))
        before = len(files(tmp_path / "scores"))
        os.kill(scoring_actors()[0], signal.SIGKILL)
        assert run.finish() is None
    assert len(files(tmp_path / "scores")) > before
    check_all_are_there_once(tmp_path / "scores")


def test_a_node_is_stopped(tars, quick_checkpoint, tmp_path):
    # The node that is left has to hold two tars: with less Ray neither reads on nor gives up the lost actor's core.
    memory = 250 * 1024**2
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **SMALL, "object_store_memory": memory})
    try:
        second = cluster.add_node(num_cpus=1, object_store_memory=memory)
        with connected(address=cluster.address):
            run = Run(tars, tmp_path / "scores", quick_checkpoint)
            run.start()
            wait_for(lambda: files(tmp_path / "scores"))
            before = len(files(tmp_path / "scores"))
            cluster.remove_node(second, allow_graceful=False)
            assert run.finish() is None
        assert len(files(tmp_path / "scores")) > before
    finally:
        cluster.shutdown()
    check_all_are_there_once(tmp_path / "scores")


def test_an_output_that_cannot_be_written_any_more_ends_the_run_and_it_goes_on(tars, quick_checkpoint, tmp_path):
    output, away = tmp_path / "scores", tmp_path / "away"
    with connected(num_cpus=2, **SMALL):
        run = Run(tars, output, quick_checkpoint)
        run.start()
        wait_for(lambda: files(output))
        output.rename(away)
        output.touch()  # as a disk that is full, no file can be made there
        assert issubclass(run.finish(), (OSError, ray.exceptions.RayError))
    output.unlink()
    away.rename(output)
    with connected(num_cpus=2, **SMALL):
        run = Run(tars, output, quick_checkpoint, resume=True)
        run.start()
        assert run.finish() is None
    check_all_are_there_once(output)


def test_the_driver_is_killed_and_the_run_is_gone_on_with(tars, quick_checkpoint, tmp_path):
    output = tmp_path / "scores"
    script = f"""
import ray
from dpiqa import Scorer
from dpiqa.scoring.engines.inputs import find_inputs
from dpiqa.scoring.engines.ray import score_inputs
ray.init(num_cpus=2, log_to_driver=False, **{SMALL})
inputs = find_inputs([{f"{tars}/*.tar"!r}])
scorer = Scorer.from_pretrained({str(quick_checkpoint)!r})
score_inputs(scorer, {str(quick_checkpoint)!r}, inputs, {str(output)!r}, workers=2, rows_per_file=8)
"""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    driver = subprocess.Popen([sys.executable, "-c", script], **quiet)
    wait_for(lambda: len(files(output)) > 1 or driver.poll() is not None)
    started = below(driver.pid)
    driver.kill()
    assert driver.wait() == -signal.SIGKILL
    # Ray's processes end by themselves once their driver has.
    wait_for(lambda: not any(is_running(pid) for pid in started))
    before = {path.name for path in files(output)}
    with connected(num_cpus=2, **SMALL):
        # Beside an actor that takes all cores, Ray still looks which rows are there.
        run = Run(tars, output, quick_checkpoint, resume=True, workers=1, cores=2)
        run.start()
        assert run.finish() is None
    assert before & {path.name for path in files(output)}
    check_all_are_there_once(output)
