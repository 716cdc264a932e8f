"""TID2013: 25 pristine photographs, 24 kinds of distortion at five levels each."""

from __future__ import annotations

from pathlib import Path

from .schema import Rating, Release, files_by_lower_name, find_file


def read(root: Path) -> list[Rating]:
    """Reads `mos_with_names.txt` (lines of "mos name") beside `distorted_images/`; MOS 0 to 9."""
    images = root / "distorted_images"
    files = files_by_lower_name(images)
    ratings = []
    for line in (root / "mos_with_names.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        mos, name = line.split()
        reference, kind, _ = name.split("_")
        path = find_file(files, images, name)
        ratings.append(Rating(name, path, float(mos), reference=reference.upper(), subset=kind))
    return ratings


RELEASE = Release(
    title="TID2013",
    read=read,
    mos_range=(0.0, 9.0),
    licence="for research",
    citation="N. Ponomarenko et al., Image database TID2013: peculiarities, results and perspectives, "
    "Signal Processing: Image Communication 30, 2015",
    url="https://www.ponomarenko.info/tid2013.htm",
)
