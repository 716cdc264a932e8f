"""A report to cull by: one HTML page with photos and their scores, best first, which a browser opens from the disk."""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from ..models.images import DEFAULT_MAX_PIXELS, OPENING_ERRORS
from ..scoring.colours import BAD, CSS_VARIABLES, GOOD, MIDDLING
from ..scoring.quality_maps import colour_range
from ..scoring.rows import as_text, to_row
from ..scoring.score import Score
from .bursts import best_of_groups, burst_groups
from .thumbnails import Thumbnails


@dataclass(frozen=True)
class Scale:
    """What the numbers of a checkpoint mean; its fields are those of the checkpoint's configuration."""

    score_quantiles: Sequence[float] | None = None
    interval_half_width: float | None = None
    interval_coverage: float = 0.9

    @classmethod
    def of(cls, config: Any) -> Scale:
        """The scale in a student's or a teacher's configuration."""
        return cls(config.score_quantiles, config.interval_half_width, config.interval_coverage)


class Report:
    """An HTML page that needs nothing from the network. Use it in a `with` block (needs the extra `cull`).

    Thumbnails are made as the photos come (see [`dpiqa.culling.thumbnails.Thumbnails`]); the page itself is written by
    `finish`. Without that, nothing is left.

    Args:
        page: A path that ends in .html.
        num_photos: How many photos there are at most.
        scale: What the numbers mean.
        model: The name of the model, to be shown.
        overwrite: Whether an older page may be replaced.
        max_pixels: See [`dpiqa.open_image`].
        formats: Likewise.

    Raises:
        ModuleNotFoundError: When `jinja2` or `imagehash` is not installed.
        ValueError: When the page is not called .html.
        FileExistsError: When the page exists and must not be replaced.
        OSError: When it cannot be written.
    """

    def __init__(
        self,
        page: str | os.PathLike[str],
        num_photos: int,
        scale: Scale,
        *,
        model: str = "",
        overwrite: bool = False,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        formats: Sequence[str] | None = None,
    ):
        import imagehash  # noqa: F401  # before hours of scoring
        import jinja2  # noqa: F401

        self.page = Path(page)
        check_page(self.page, overwrite=overwrite)
        self._scale, self._model = scale, as_text(model)
        self._photos: list[dict[str, Any]] = []
        self._paths: list[str] = []
        self._failure: OSError | None = None
        self._thumbnails = Thumbnails(
            self.page, num_photos, overwrite=overwrite, max_pixels=max_pixels, formats=formats
        )

    def __enter__(self) -> Report:
        self._thumbnails.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._thumbnails.__exit__(*error)

    @property
    def folder(self) -> Path | None:
        """Where thumbnails are; None when they are inside the page."""
        return self._thumbnails.folder

    def add(self, path: str, score: Score) -> None:
        """Adds a photo. If it cannot be opened for its thumbnail any more, it is shown without one.

        A thumbnail that cannot be written, as on a full disk, is told by `finish`.
        """
        photo = to_row(path, score)
        photo["name"] = os.path.basename(photo["path"])
        photo["folder"] = os.path.dirname(photo["path"])
        photo["link"] = _link(path, self.page.parent)
        photo["map"] = None if score.quality_map is None else _packed(score.quality_map)
        photo["thumbnail"] = None
        if score.error is None and self._failure is None:
            try:
                picture = self._thumbnails.open(path)
            except OPENING_ERRORS as error:
                photo["missing"] = as_text(str(error))
            else:
                photo["thumbnail"] = self._saved(picture)
        self._photos.append(photo)
        self._paths.append(path)

    def _saved(self, picture: Image.Image) -> tuple[str, int, int] | None:
        try:
            return self._thumbnails.save(picture)
        except OSError as error:
            self._failure = error
            return None

    def finish(self) -> int:
        """Writes the page and returns how many bursts of at least two photos there are.

        Raises:
            OSError: When the page, or a thumbnail before, could not be written.
        """
        if self._failure is not None:
            raise self._failure
        num_bursts = self._mark_bursts()
        quantiles = self._scale.score_quantiles
        data = {
            "photos": sorted(self._photos, key=_burst_by_burst(self._photos)),
            "limits": colour_range(quantiles),
            "calibrated": quantiles is not None,
            "colours": [BAD, MIDDLING, GOOD],
        }
        content = _render(data, self._scale, self._model)
        unfinished = self.page.with_name(f".{os.getpid()}.html")  # short: names have an end
        try:
            unfinished.write_text(content, encoding="utf-8")
            self._thumbnails.keep()
            os.replace(unfinished, self.page)
        finally:
            unfinished.unlink(missing_ok=True)
        return num_bursts

    def _mark_bursts(self) -> int:
        scored = [row for row, photo in enumerate(self._photos) if photo["score"] is not None]
        groups = burst_groups([self._paths[row] for row in scored])
        best = best_of_groups(groups, [self._photos[row]["score"] for row in scored])
        sizes = Counter(groups)
        firsts = [
            (-self._photos[row]["score"], group)
            for row, group, is_best in zip(scored, groups, best, strict=True)
            if is_best and sizes[group] > 1
        ]
        # Burst 1 is the one with the best photo.
        numbers = {group: number for number, (_, group) in enumerate(sorted(firsts), 1)}
        for row, group, is_best in zip(scored, groups, best, strict=True):
            if group in numbers:
                self._photos[row]["burst"] = {"number": numbers[group], "size": sizes[group], "isBest": is_best}
        return len(numbers)


def check_page(page: Path, *, overwrite: bool = False) -> None:
    """Checks whether a page can be written, and leaves nothing behind.

    Raises:
        ValueError: When it is not called .html.
        FileNotFoundError: When the folder that it belongs to does not exist.
        FileExistsError: When it exists and must not be replaced, or is a folder.
        OSError: When nothing can be written there.
    """
    if page.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"cannot write {page.suffix or 'a file without suffix'}: expected .html")
    if not page.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {page.parent}")
    if page.is_dir():
        raise FileExistsError(f"{page} is a folder")
    if os.path.lexists(page) and not overwrite:
        raise FileExistsError(f"{page} exists already: name another file, or allow it with --overwrite")
    with TemporaryFile(dir=page.parent):
        pass


def _burst_by_burst(photos: Iterable[dict[str, Any]]) -> Any:
    """A key to sort by: best first, the photos of a burst behind its best one, and errors last."""
    best = {photo["burst"]["number"]: photo for photo in photos if "burst" in photo and photo["burst"]["isBest"]}

    def key(photo: dict[str, Any]) -> tuple[Any, ...]:
        if photo["score"] is None:
            return (1, photo["path"])
        first = best[photo["burst"]["number"]] if "burst" in photo else photo
        return (0, -first["score"], first["path"], -photo["score"], photo is not first, photo["path"])

    return key


def _link(path: str, folder: Path) -> str:
    """The photo as seen from the page; it begins with a dot, so that no name is taken for a scheme."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive of Windows
        return Path(os.path.abspath(path)).as_uri()
    return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))


def _packed(quality_map: np.ndarray) -> dict[str, Any]:
    """A map in 8 bits between its own two ends, which is little to keep for thousands of photos."""
    low, high = float(quality_map.min()), float(quality_map.max())
    levels = np.rint((quality_map - low) / max(high - low, 1e-6) * 255).astype(np.uint8)
    rows = base64.b64encode(levels.tobytes()).decode()
    return {"columns": quality_map.shape[1], "low": round(low, 4), "high": round(high, 4), "levels": rows}


def _render(data: dict[str, Any], scale: Scale, model: str) -> str:
    import jinja2

    assets = files(__package__)
    style = ":root {" + CSS_VARIABLES + "}\n" + assets.joinpath("report.css").read_text(encoding="utf-8")
    script = assets.joinpath("report.js").read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        assets.joinpath("report.html").read_text(encoding="utf-8")
    )
    return page.render(
        data=data,
        model=model,
        half_width=scale.interval_half_width,
        coverage=f"{100 * scale.interval_coverage:g}",
        has_maps=any(photo["map"] for photo in data["photos"]),
        num_photos=f"{len(data['photos']):,}",
        num_errors=sum(photo["error"] is not None for photo in data["photos"]),
        style=style,
        script=script,
        style_hash=_digest(style),
        script_hash=_digest(script),
    )


def _digest(text: str) -> str:
    """What a content security policy knows an inline script or style by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
