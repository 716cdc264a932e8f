"""The Ray engine against the local engine, in one run, on copies of drawn photos of 512x512 pixels as JPEG.

    local       `Scorer.stream` with as many workers, in this process, without loading the model
    ray         `score_inputs` with 1, 2, ... workers, over a folder and over tars of the same photos

Of Ray, the seconds count from the first rows until three quarters are written. Starting its processes and loading a
model in each takes a while, once, and is told apart as `start_s`; at the end, workers wait for the last one. Ratios
are photos per second over those of the local engine with as many workers. Every round runs all of them in turns; a
figure is the median of the rounds. `actor_mb` is the most memory that a worker held for itself. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

import numpy as np
import psutil
import pyarrow.parquet as pq
import ray
from PIL import Image, ImageFilter

from dpiqa import Scorer
from dpiqa.scoring.cores import available_cores
from dpiqa.scoring.engines.inputs import Inputs, find_inputs
from dpiqa.scoring.engines.ray import score_inputs

_DIFFERENT = 8
_PHOTOS_PER_TAR = 1_000


def drawn(seed: int) -> Image.Image:
    """A picture with smooth areas, edges and grain, which is as much work to decode as a photo of its size."""
    random = np.random.default_rng(seed)
    coarse, fine = (Image.fromarray(random.integers(0, 255, (side, side, 3), np.uint8)) for side in (9, 24))
    areas, edges = (
        coarse.resize((512, 512), Image.Resampling.BICUBIC),
        fine.resize((512, 512), Image.Resampling.NEAREST),
    )
    picture = np.asarray(Image.blend(areas, edges.filter(ImageFilter.BoxBlur(1)), 0.3), np.float32)
    return Image.fromarray((picture + random.normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8))


def make_inputs(folder: Path, count: int) -> dict[str, Inputs]:
    """The same photos in a folder and in tars."""
    (folder / "photos").mkdir()
    for index in range(count):
        if index < _DIFFERENT:
            drawn(index).save(folder / "photos" / f"{index:07}.jpg", quality=90)
        else:
            source = folder / "photos" / f"{index % _DIFFERENT:07}.jpg"
            (folder / "photos" / f"{index:07}.jpg").write_bytes(source.read_bytes())
    paths = sorted((folder / "photos").iterdir())
    for start in range(0, count, _PHOTOS_PER_TAR):
        with tarfile.open(folder / f"{start:07}.tar", "w") as tar:
            for path in paths[start : start + _PHOTOS_PER_TAR]:
                tar.add(path, path.name)
    return {"folder": find_inputs([str(folder / "photos")]), "tars": find_inputs([f"{folder}/*.tar"])}


def local(scorer: Scorer, paths: list[str], workers: int) -> float:
    """Photos per second."""
    scorer.workers = workers
    start = time.perf_counter()
    for _ in scorer.stream(paths):
        pass
    return len(paths) / (time.perf_counter() - start)


def with_ray(scorer: Scorer, inputs: Inputs, count: int, workers: int) -> tuple[float, float]:
    """Photos per second from the first rows until three quarters are written, and seconds until the first are."""
    with tempfile.TemporaryDirectory() as output:
        start = time.time()
        # A few files at least, since they tell when their rows were written.
        rows_per_file = max(1, min(count // 10, 250 * workers))
        score_inputs(scorer, None, inputs, f"{output}/scores", workers=workers, rows_per_file=rows_per_file)
        files = sorted((path.stat().st_mtime, path) for path in Path(output, "scores").glob("*.parquet"))
        rows = np.cumsum([pq.read_metadata(path).num_rows for _, path in files])
    late = max(1, int(np.searchsorted(rows, 0.75 * count)))
    return float((rows[late] - rows[0]) / (files[late][0] - files[0][0])), files[0][0] - start


class PeakOfActors(threading.Thread):
    """The most memory, in MB, that an actor has for itself while the block runs; looks every two seconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.megabytes = 0.0
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(2):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if "ScoringActor" in " ".join(process.cmdline()):
                        self.megabytes = max(self.megabytes, process.memory_full_info().uss / 1e6)


def main(count: int, rounds: int, backend: str, object_store_mb: int) -> None:
    cores = available_cores()
    ray.init(num_cpus=cores, object_store_memory=object_store_mb * 2**20, include_dashboard=False, log_to_driver=False)
    rates: dict[str, list[float]] = {}
    starts: list[float] = []
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        inputs = make_inputs(Path(folder), count)
        paths = [path for path, _ in inputs["folder"].listed]
        scorer = Scorer.from_pretrained(backend=backend, device="cpu")
        local(scorer, paths[:4], 1)
        for _ in range(rounds):
            for workers in range(1, cores + 1):
                rates.setdefault(f"local {workers}", []).append(local(scorer, paths, workers))
                for kind, some in inputs.items():
                    with PeakOfActors() as actors:
                        rate, start = with_ray(scorer, some, count, workers)
                    memory.append(actors.megabytes)
                    rates.setdefault(f"ray {workers} {kind}", []).append(rate)
                    starts.append(start)
    ray.shutdown()
    median = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    ratios = {
        name: round(rate / median[f"local {name.split()[1]}"], 2) for name, rate in median.items() if "ray" in name
    }
    print(f"photos per second with {scorer.backend.name} in {scorer.backend.dtype}: {median}", file=sys.stderr)
    print(
        json.dumps(
            {
                "photos": count,
                "photos_per_second": median,
                "ray_over_local": ratios,
                "ray_2_over_1": {
                    kind: round(median[f"ray 2 {kind}"] / median[f"ray 1 {kind}"], 2) for kind in inputs if cores > 1
                },
                "start_s": round(statistics.median(starts), 1),
                "actor_mb": round(max(memory)),
            }
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--backend", default="auto", help="torch, onnx or openvino; auto is the fastest")
    parser.add_argument("--object-store-mb", type=int, default=2_000)
    arguments = parser.parse_args()
    main(arguments.photos, arguments.rounds, arguments.backend, arguments.object_store_mb)
