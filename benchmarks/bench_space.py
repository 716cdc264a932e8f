"""200 requests at once against the app on loopback: what is answered, how fast, and how much memory it takes.

The app runs in a process of its own with the bundled student. Every client uploads a photo of 12 megapixels and asks
for its score. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from PIL import Image


def make_photo() -> bytes:
    small = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((4000, 3000), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def memory_mb(pid: int) -> float:
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def ask(url: str, photo: bytes) -> tuple[str, float]:
    """One client: uploads, asks, waits; returns the outcome and the seconds."""
    start = time.perf_counter()
    with httpx.Client(timeout=300) as client:
        uploaded = client.post(f"{url}/gradio_api/upload", files={"files": ("photo.jpg", photo)})
        if uploaded.is_error:
            return f"{uploaded.status_code} {uploaded.text}", time.perf_counter() - start
        data = {"path": uploaded.json()[0], "meta": {"_type": "gradio.FileData"}}
        started = client.post(f"{url}/gradio_api/call/score", json={"data": [data]})
        if started.is_error:
            return f"{started.status_code} {started.json()['detail'].split('.')[0]}", time.perf_counter() - start
        answer = client.get(f"{url}/gradio_api/call/score/{started.json()['event_id']}").text
    outcome = "answered" if "event: complete" in answer and '"error": null' in answer else answer[-200:]
    return outcome, time.perf_counter() - start


def main(requests: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    photo = make_photo()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        command = [sys.executable, "-m", "dpiqa", "demo", "--port", str(port)]
        with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as app:
            try:
                _wait(url)
                ask(url, photo)
                before = memory_mb(app.pid)
                peak = [before]
                done = threading.Event()

                def watch() -> None:
                    while not done.wait(0.05):
                        peak.append(memory_mb(app.pid))

                watcher = threading.Thread(target=watch)
                watcher.start()
                with ThreadPoolExecutor(requests) as pool:
                    results = list(pool.map(lambda _: ask(url, photo), range(requests)))
                done.set()
                watcher.join()
                after = ask(url, photo)[0]
            finally:
                app.terminate()
    outcomes = Counter(outcome for outcome, _ in results)
    answered = sorted(seconds for outcome, seconds in results if outcome == "answered")
    figures = {
        "requests": requests,
        "outcomes": dict(outcomes),
        "median_seconds_of_the_answered": round(answered[len(answered) // 2], 1),
        "slowest_answer_seconds": round(answered[-1], 1),
        "memory_before_mb": round(before),
        "memory_peak_mb": round(max(peak)),
        "one_request_afterwards": after,
    }
    print(json.dumps(figures))


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            httpx.get(f"{url}/config")
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the app did not start within a minute")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=200)
    main(parser.parse_args().requests)
