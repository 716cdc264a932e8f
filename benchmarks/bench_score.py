"""Scoring a folder, in turns with what it is compared with, in one run.

    published   an EfficientNet-B7 student with the spatial head, PyTorch in float32, one photo at a time, every pixel
                decoded: how the published code is used. Its weights are random, which costs the same.
    naive       a plain loop over our student: Pillow, the processor, PyTorch in float32, one photo at a time
    torch, onnx, openvino, openvino bfloat16    `Scorer.stream`, as `dpiqa score` uses it
    decode      opening and resizing alone, with the same workers: no scorer of these photos can be faster
    network     the network of OpenVINO in float32 and bfloat16 alone, on pixels in memory

The photos are scikit-learn's two as JPEGs of 512x512 pixels and of 12 megapixels. Every round runs all of them in
turns; a figure is the median of the rounds. Start-up and memory are those of `dpiqa score` in a process of its own.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import sklearn.datasets
import torch
from PIL import Image

from dpiqa import DPIQAImageProcessor, DPIQAStudent, DPIQAStudentConfig, Scorer, bundled_checkpoint
from dpiqa.scoring.backends.load import installed_backends
from dpiqa.scoring.cores import available_cores

SIZES = {"512": (512, 512), "12mp": (4000, 3000)}
SCALING = [(512, 512), (1024, 1024), (2048, 1536), (4000, 3000)]
# What `dpiqa score` took for 512x512 photos on two cores at first: 12 a second.
TODAY = 12.0

Job = Callable[[list[Path]], object]


def make_photos(folder: Path, size: tuple[int, int], count: int) -> list[Path]:
    originals = [Image.fromarray(image) for image in sklearn.datasets.load_sample_images().images]
    large = [image.resize(size, Image.Resampling.BICUBIC) for image in originals]
    paths = [folder / f"{size[0]}_{index}.jpg" for index in range(count)]
    for index, path in enumerate(paths):
        large[index % len(large)].save(path, quality=90)
    return paths


@torch.inference_mode()
def plain_loop(model: DPIQAStudent, processor: DPIQAImageProcessor, paths: list[Path]) -> None:
    for path in paths:
        with Image.open(path) as image:
            model(processor(image.convert("RGB"), return_tensors="pt")["pixel_values"]).score.item()


def jobs() -> Iterator[tuple[str, Job, int]]:
    """(name, what it does with paths, the share of the photos that it is given as 1 in n)."""
    published = DPIQAStudent(DPIQAStudentConfig()).eval()
    naive = DPIQAStudent.from_pretrained(bundled_checkpoint()).eval()
    processor = DPIQAImageProcessor.from_pretrained(bundled_checkpoint())
    yield "published", partial(plain_loop, published, DPIQAImageProcessor()), 32
    yield "naive", partial(plain_loop, naive, processor), 4
    for backend in reversed(installed_backends()):
        for dtype in ("float32", "bfloat16") if backend == "openvino" else ("float32",):
            name = backend if dtype == "float32" else f"{backend} {dtype}"
            try:
                scorer = Scorer.from_pretrained(backend=backend, dtype=dtype)
            except ValueError:  # this CPU has no bfloat16
                continue
            yield name, partial(stream, scorer), 1
            if backend == "openvino":
                yield f"network {name}", partial(network_alone, scorer), 1
    reader = Scorer.from_pretrained().backend.reader
    yield "decode", partial(in_threads, reader.read_photo), 1


def in_threads(function: Callable, items: list) -> None:
    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(function, items))


def stream(scorer: Scorer, paths: list[Path]) -> None:
    for _ in scorer.stream(paths):
        pass


def network_alone(scorer: Scorer, paths: list[Path]) -> None:
    pixels = np.zeros((1, scorer.backend.reader.size["height"], scorer.backend.reader.size["width"], 3), np.uint8)
    in_threads(scorer.backend, [pixels] * len(paths))


def photos_per_second(paths: list[Path], rounds: int, share: int = 1) -> dict[str, float]:
    every = list(jobs())
    for _, job, _ in every:
        job(paths[:2])
    rates: dict[str, list[float]] = {name: [] for name, _, _ in every}
    for _ in range(rounds):
        for name, job, one_in in every:
            some = paths[: max(2, len(paths) // (one_in if share == 1 else min(one_in, 4)))]
            start = time.perf_counter()
            job(some)
            rates[name].append(len(some) / (time.perf_counter() - start))
    return {name: round(statistics.median(values), 2) for name, values in rates.items()}


def latency_ms(path: Path, backend: str, dtype: str, times: int = 60) -> tuple[float, float]:
    """Median and 95th percentile of one photo at a time."""
    scorer = Scorer.from_pretrained(backend=backend, dtype=dtype)
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        scorer(path)
        taken.append(1e3 * (time.perf_counter() - start))
    return round(float(np.median(taken)), 1), round(float(np.percentile(taken, 95)), 1)


def command(paths: list[Path], backend: str) -> tuple[float, float]:
    """Seconds and peak megabytes of `dpiqa score` in a process of its own."""
    line = [sys.executable, "-m", "dpiqa", "score", "-", "--backend", backend]
    names = "\n".join(map(str, paths)).encode()
    peak = 0.0
    start = time.perf_counter()
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        process.stdin.write(names)
        process.stdin.close()
        while process.poll() is None:
            peak = max(peak, _peak_of(process.pid))
            time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{' '.join(line)} ended with status {process.returncode}")
    return time.perf_counter() - start, peak


def _peak_of(pid: int) -> float:
    # Not what wait4 says: that counts this process, which the other one was forked from.
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError):  # it has just ended
        return 0.0


def scaling(folder: Path, count: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Photos a second of every backend with 1, 2, ... workers, and by megapixels with all of them."""
    by_size = [make_photos(folder, size, count) for size in SCALING]
    by_workers: dict[str, list[float]] = {}
    by_megapixels: dict[str, list[float]] = {}
    for backend in installed_backends():
        scorers = [Scorer.from_pretrained(backend=backend, workers=n + 1) for n in range(available_cores())]
        by_workers[backend] = [rate(scorer, by_size[0]) for scorer in scorers]
        by_megapixels[backend] = [rate(scorers[-1], paths) for paths in by_size]
    return by_workers, by_megapixels


def rate(scorer: Scorer, paths: list[Path]) -> float:
    stream(scorer, paths[:4])
    start = time.perf_counter()
    stream(scorer, paths)
    return round(len(paths) / (time.perf_counter() - start), 1)


def plot(by_workers: dict[str, list[float]], by_megapixels: dict[str, list[float]], path: Path) -> None:
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
    for backend, rates in by_workers.items():
        left.plot(range(1, len(rates) + 1), rates, marker="o", label=backend)
        right.plot([width * height / 1e6 for width, height in SCALING], by_megapixels[backend], marker="o")
    left.set(xlabel="workers (photos of 512x512)", ylabel="photos a second", ylim=(0, None))
    left.set_xticks(range(1, available_cores() + 1))
    right.set(xlabel="megapixels of the JPEG (all workers)")
    left.legend(frameon=False)
    figure.savefig(path)


def main(photos: int, large: int, rounds: int, picture: Path | None) -> None:
    backends = installed_backends()
    with tempfile.TemporaryDirectory() as folder:
        small = make_photos(Path(folder), SIZES["512"], photos)
        big = make_photos(Path(folder), SIZES["12mp"], large)
        rates = photos_per_second(small, rounds)
        rates_12mp = photos_per_second(big, rounds, share=4)
        cold_start = {b: round(min(command(small[:1], b)[0] for _ in range(3)), 2) for b in backends}
        peak = {b: round(command(small, b)[1]) for b in backends}
        latency = {b: latency_ms(small[0], b, "float32") for b in backends}
        by_workers, by_megapixels = scaling(Path(folder), large)
    if picture is not None:
        plot(by_workers, by_megapixels, picture)
    fastest = max((name for name in rates if name.startswith(backends[0])), key=rates.__getitem__)
    limit = min(rates["decode"], rates.get(f"network {fastest}", rates[fastest]))
    print(f"512x512, photos a second: {rates}")
    print(f"12 megapixels, photos a second: {rates_12mp}")
    print(f"one photo at a time, milliseconds (median, 95th percentile): {latency}")
    print(f"with 1 to {available_cores()} workers, photos of 512x512 a second: {by_workers}")
    print(f"photos of {SCALING} pixels a second: {by_megapixels}")
    print(f"load while this ran: {os.getloadavg()}, cores {available_cores()}")
    result = {
        "over_published": round(rates[fastest] / rates["published"], 1),
        "over_naive": round(rates[fastest] / rates["naive"], 1),
        "over_today": round(rates[fastest] / TODAY, 1),
        "over_limit": round(limit / rates[fastest], 2),
        "over_naive_12mp": round(rates_12mp[fastest] / rates_12mp["naive"], 1),
        "over_decode_limit_12mp": round(rates_12mp["decode"] / rates_12mp[fastest], 2),
        "photos_per_second": {name: rates[name] for name in rates if name.split()[0] in backends},
        "cold_start_s": cold_start,
        "peak_mb": peak,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=256, help="of 512x512 pixels")
    parser.add_argument("--large", type=int, default=24, help="of 12 megapixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plot", type=Path, help="a picture of how it scales; needs matplotlib")
    arguments = parser.parse_args()
    main(arguments.photos, arguments.large, arguments.rounds, arguments.plot)
