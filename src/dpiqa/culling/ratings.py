"""Stars in XMP sidecars, which programs for photographers show beside a photo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from scipy.stats import rankdata

from ..scoring.image_files import RAW_SUFFIXES
from ..version import __version__
from .selection import RatedPhoto

# Which share of the photos is worse than those with so many stars.
_STARS = ((0.9, 5), (0.7, 4), (0.3, 3), (0.1, 2), (0.0, 1))
_META = "adobe:ns:meta/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
for _prefix, _name in (("x", _META), ("rdf", _RDF), ("xmp", _XMP)):
    ElementTree.register_namespace(_prefix, _name)


def stars(photos: Sequence[RatedPhoto]) -> dict[str, int]:
    """One to five stars for each photo, by its place among the others.

    The best tenth has five, the next fifth four, the middle three, the next fifth two, and the worst tenth one. Photos
    with the same score have the same stars.
    """
    # The middle of a photo's place, so that a single one, or one of many that are alike, has three.
    worse = (rankdata([photo.score for photo in photos]) - 0.5) / len(photos)
    return {
        photo.path: next(number for least, number in _STARS if share >= least)
        for photo, share in zip(photos, worse, strict=True)
    }


def write_sidecars(photo: str, rating: int) -> tuple[int, int]:
    """Writes the rating of a photo beside it, and keeps sidecars that exist.

    `a.jpg.xmp` is what darktable and digiKam read. Where a RAW file of the same name is beside the photo, `a.xmp` is
    written for it, which Lightroom and Camera Raw read.

    Args:
        photo: Its path.
        rating: 1 to 5 stars.

    Returns:
        How many files were written, and how many were there already.

    Raises:
        OSError: When a file cannot be written.
    """
    path = Path(photo)
    path.stat()  # a sidecar of nothing is of no use
    sidecars = [path.with_name(f"{path.name}.xmp")]
    if any(path.with_suffix(suffix).exists() for raw in RAW_SUFFIXES for suffix in (raw, raw.upper())):
        sidecars.append(path.with_suffix(".xmp"))
    written = 0
    for sidecar in sidecars:
        try:
            with sidecar.open("xb") as file:
                file.write(_sidecar(rating))
        except FileExistsError:
            continue
        written += 1
    return written, len(sidecars) - written


def _sidecar(rating: int) -> bytes:
    """An XMP packet: XMP specification, part 1, sections 7.3 and 8.4."""
    meta = ElementTree.Element(f"{{{_META}}}xmpmeta", {f"{{{_META}}}xmptk": f"dpiqa {__version__}"})
    rdf = ElementTree.SubElement(meta, f"{{{_RDF}}}RDF")
    ElementTree.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": "", f"{{{_XMP}}}Rating": str(rating)})
    ElementTree.indent(meta)
    packet = ElementTree.tostring(meta, encoding="unicode")
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{packet}\n<?xpacket end="w"?>\n'.encode()


__all__ = ["stars", "write_sidecars"]
