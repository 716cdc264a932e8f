"""A report of 5,000 photos: how long it takes to write, how much memory, and how fast Chromium is with it.

The photos are blots of colour of 400x300 pixels and their scores are random. The last line is one JSON object; times
are in seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from dpiqa.culling.report import Report, Scale
from dpiqa.scoring.score import Score

# A change in the page, until the browser has drawn it.
CHANGE = """([id, value]) => new Promise((done) => {
  const start = performance.now();
  const control = document.getElementById(id);
  control.value = value;
  control.dispatchEvent(new Event("input"));
  requestAnimationFrame(() => setTimeout(() => done((performance.now() - start) / 1000)));
})"""


def write_report(folder: Path, count: int) -> dict[str, float]:
    """Writes the photos and their report; the time is that of the report alone."""
    random = np.random.default_rng(0)
    paths = [folder / f"{number % 7}" / f"IMG_{number:05d}.jpg" for number in range(count)]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        blots = Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8))
        blots.resize((400, 300), Image.Resampling.BICUBIC).save(path)
    start = time.perf_counter()
    with Report(folder / "report.html", count, Scale([0.1, 0.9], 0.15)) as report:
        for path in paths:
            score = float(random.beta(5, 3))
            report.add(str(path), Score(score, quality_map=random.random((10, 10), dtype=np.float32)))
        report.finish()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"write": round(seconds, 1), "peak_mb": peak, "page_mb": round(report.page.stat().st_size / 1e6, 1)}


def browse(page_file: Path) -> dict[str, float]:
    """Opens the report, filters it, changes the order and goes to its last photo."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        start = time.perf_counter()
        page.goto(page_file.as_uri())
        seconds = {"open": time.perf_counter() - start}
        seconds["search"] = page.evaluate(CHANGE, ["search", "IMG_0123"])
        seconds["all"] = page.evaluate(CHANGE, ["search", ""])
        seconds["order"] = page.evaluate(CHANGE, ["order", "worst"])
        page.locator(".photo").first.focus()
        start = time.perf_counter()
        page.keyboard.press("End")
        page.locator(".photo").last.wait_for()
        seconds["last photo"] = time.perf_counter() - start
        chromium.close()
    return {name: round(value, 2) for name, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=5000)
    count = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(json.dumps({"photos": count, **write_report(folder, count), **browse(folder / "report.html")}))


if __name__ == "__main__":
    main()
