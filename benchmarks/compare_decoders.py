"""What other JPEG decoders would save: CPU milliseconds from a file to 320x320 pixels, on one core.

Needs `pip install simplejpeg opencv-python-headless`, which dpiqa does not: `python benchmarks/compare_decoders.py`.
Prints a Markdown table. All read a file at the smallest scale that they have and that covers 320x320; Pillow resizes.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg
from PIL import Image
from sklearn.datasets import load_sample_images

SIZE = (320, 320)
ROUNDS = 8


def jpeg(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(load_sample_images().images[0]).resize((width, height)).save(file, "JPEG", quality=92)
    return file.getvalue()


def with_pillow(file: bytes) -> np.ndarray:
    photo = Image.open(io.BytesIO(file))
    photo.draft("RGB", SIZE)
    return resized(photo.convert("RGB"))


def with_simplejpeg(file: bytes) -> np.ndarray:
    return resized(Image.fromarray(simplejpeg.decode_jpeg(file, min_width=SIZE[0], min_height=SIZE[1], min_factor=1)))


def with_opencv(file: bytes) -> np.ndarray:
    scale = min(side // SIZE[0] for side in Image.open(io.BytesIO(file)).size)
    modes = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
    mode = next((modes[step] for step in modes if scale >= step), cv2.IMREAD_COLOR)
    return resized(Image.fromarray(cv2.imdecode(np.frombuffer(file, np.uint8), mode)[..., ::-1]))


def resized(photo: Image.Image) -> np.ndarray:
    return np.asarray(photo.resize(SIZE, Image.Resampling.BICUBIC))


def cpu_ms(read: Callable[[bytes], np.ndarray], file: bytes, times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        read(file)
    return 1e3 * (time.process_time() - start) / times


def main() -> None:
    cv2.setNumThreads(1)
    readers = {"Pillow": with_pillow, "simplejpeg": with_simplejpeg, "OpenCV": with_opencv}
    print("| | " + " | ".join(readers) + " |\n|---|" + "---|" * len(readers))
    for name, size, times in (("512x512", (512, 512), 30), ("12 megapixels", (4000, 3000), 3)):
        file = jpeg(*size)
        rounds = [[cpu_ms(read, file, times) for read in readers.values()] for _ in range(ROUNDS)]
        print(f"| {name} | " + " | ".join(f"{ms:.1f}" for ms in np.min(rounds, axis=0)) + " |")


if __name__ == "__main__":
    main()
