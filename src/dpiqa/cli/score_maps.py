"""`dpiqa score --maps`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from .terminal import sentence, visible, wrong_usage

if TYPE_CHECKING:
    from ..scoring.image_files import FoundImages
    from ..scoring.score import Score
    from ..scoring.scorer import Scorer


class Work(NamedTuple):
    """A photo to score.

    Attributes:
        path: Where it is.
        error: Why it cannot be opened, if that is known.
        has_row: Whether it has a row from an earlier run, and only its map is missing.
    """

    path: str
    error: str | None
    has_row: bool


def has_maps(scorer: Scorer) -> bool:
    """Whether a model has quality maps."""
    return getattr(scorer.config, "head", None) == "pooled"


class MapPictures:
    """Writes the map of a photo; what goes wrong is counted, and the run goes on.

    Attributes:
        folder: Where the maps go.
        written: How many were written.
        failed: How many were not.
        first_failure: Why the first one was not.
    """

    def __init__(self, scorer: Scorer, folder: Path, found: FoundImages, overwrite: bool):
        from ..scoring.map_files import MapFolder, map_path

        config = scorer.config
        if not has_maps(scorer):
            raise typer.BadParameter("only students with the pooled head have quality maps", param_hint="--maps")
        for place in {folder: None} | {map_path(folder, path).parent: None for path in found.paths}:
            if found.holds(place):
                raise typer.BadParameter(
                    f"maps in {visible(str(place))} would be among the photos, and would be scored as photos next "
                    "time: choose a folder elsewhere, or one whose name starts with a dot",
                    param_hint="--maps",
                )
        with wrong_usage("--maps"):
            self._maps = MapFolder(
                folder,
                found.paths,
                config.score_quantiles,
                overwrite=overwrite,
                max_pixels=scorer.max_pixels,
                formats=scorer.formats,
            )
        self.folder = folder
        self.written = self.failed = 0
        self.first_failure = ""

    def save(self, one: Work, result: Score) -> None:
        """Takes a photo that was scored."""
        from ..models.images import OPENING_ERRORS

        if result.quality_map is None:
            if one.has_row:  # which will not tell this error
                self._fail(visible(f"{one.path}: {result.error}"))
            return
        try:
            self._maps.save(one.path, result.quality_map)
            self.written += 1
        except OPENING_ERRORS as error:
            self._fail(sentence(error))

    def _fail(self, reason: str) -> None:
        self.first_failure = self.first_failure or reason
        self.failed += 1
