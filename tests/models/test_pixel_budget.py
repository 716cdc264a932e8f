"""How many pixels all threads hold at once, and that nobody waits for ever."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from dpiqa.models.pixel_budget import PixelBudget
from support.patience import PATIENCE


def most_held(budget: PixelBudget, sizes: list[int], threads: int) -> int:
    """The most pixels that were held at once when threads held these."""
    now, most, lock = 0, 0, threading.Lock()

    def hold(pixels: int) -> None:
        nonlocal now, most
        with budget.hold(pixels):
            with lock:
                now += pixels
                most = max(most, now)
            threading.Event().wait(0.002)
            with lock:
                now -= pixels

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(hold, sizes))
    return most


def test_threads_together_stay_below_it():
    assert 60 < most_held(PixelBudget(100), [30] * 40, threads=8) <= 100


def test_what_is_larger_goes_alone():
    assert most_held(PixelBudget(100), [150, 10, 150, 10, 10, 150], threads=6) == 150


def test_who_holds_some_never_waits_for_more():
    budget, both = PixelBudget(100), threading.Barrier(2)

    def nested() -> bool:
        with budget.hold(50):
            both.wait(10)
            with budget.hold(80):
                return True

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(nested), pool.submit(nested)
        assert first.result(10)
        assert second.result(10)


def test_an_error_gives_it_back():
    budget = PixelBudget(100)
    with pytest.raises(KeyError), budget.hold(100):
        raise KeyError
    assert most_held(budget, [100], threads=1) == 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_forked_process_does_not_wait_for_threads_that_it_has_not(tmp_path, photo):
    """In a process of its own: a fork of the test's process would take all its threads' locks along."""
    photo.save(tmp_path / "photo.png")
    script = (
        "import os, sys, threading\n"
        "from dpiqa.models.images import open_image\n"
        "from dpiqa.models.pixel_budget import PIXEL_BUDGET\n"
        "held, done = threading.Event(), threading.Event()\n"
        "def hold():\n"
        "    with PIXEL_BUDGET.hold(10**9):\n"
        "        held.set(); done.wait()\n"
        "threading.Thread(target=hold, daemon=True).start(); held.wait()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if open_image(sys.argv[1]).size == (640, 427) else 1)\n"
        "os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", script, tmp_path / "photo.png"]
    assert subprocess.run(command, timeout=PATIENCE).returncode == 0


PEAKS = """
import resource, sys, threading
from dpiqa import DPIQAImageProcessor
processor = DPIQAImageProcessor(size={"height": 64, "width": 64})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for photos in (1, 2):
    threads = [threading.Thread(target=processor.read_photo, args=sys.argv[1:]) for _ in range(photos)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kilobytes of getrusage")
def test_two_huge_photos_take_no_more_memory_than_one(tmp_path):
    Image.fromarray(np.full((13712, 13712), 4000, np.uint16)).save(tmp_path / "grey.png", compress_level=1)
    # Freed memory goes back at once, whatever the machine's settings.
    settings = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    command = [sys.executable, "-c", PEAKS, tmp_path / "grey.png"]
    output = subprocess.run(command, capture_output=True, check=True, env=settings).stdout
    one, two = (int(kilobytes) / 1e6 for kilobytes in output.split())
    assert one < 1.3, "gigabytes, of 188 megapixels"
    assert two < one + 0.2
