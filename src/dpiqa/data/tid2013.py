"""TID2013: 25 pristine photographs, 24 kinds of distortion at five levels each."""

from __future__ import annotations

import re
from pathlib import Path

from .schema import LabelledPhoto, Release, files_by_lower_name, find_file

_LABELS = "mos_with_names.txt"
_LINE = re.compile(r"(?P<mos>\d+(\.\d+)?)\s+(?P<name>(?P<reference>I\d+)_(?P<kind>\d+)_\d+\.\w+)", re.IGNORECASE)


def read(root: Path) -> list[LabelledPhoto]:
    """Reads `mos_with_names.txt` (lines of "mos name") beside `distorted_images/`; MOS 0 to 9."""
    images = root / "distorted_images"
    files = files_by_lower_name(images)
    photos = []
    lines = (root / _LABELS).read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ValueError(f'{root / _LABELS}, line {number}: expected "5.51 I01_01_1.bmp" or such, found {line!r}.')
        path = find_file(files, images, found["name"])
        reference, mos = found["reference"].upper(), float(found["mos"])
        photos.append(LabelledPhoto(found["name"], path, mos, reference=reference, group=found["kind"]))
    return photos


RELEASE = Release(
    title="TID2013",
    read=read,
    mos_range=(0.0, 9.0),
    licence="for research",
    citation="N. Ponomarenko et al., Image database TID2013: peculiarities, results and perspectives, "
    "Signal Processing: Image Communication 30, 2015",
    url="https://www.ponomarenko.info/tid2013.htm",
)
