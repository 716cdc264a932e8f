"""How long a test waits for what must come: machines differ, and a process beside others may need minutes to start."""

import time
from functools import partial

import httpx

PATIENCE = 600  # seconds

get, post, stream = (partial(function, timeout=PATIENCE) for function in (httpx.get, httpx.post, httpx.stream))


def wait_for(condition, seconds=PATIENCE):
    """Returns what the condition gives once it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)
    return found
