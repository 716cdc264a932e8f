"""`dpiqa score --report`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..counting import counted
from .extras import missing_extra
from .score_maps import has_maps
from .terminal import sentence, visible, wrong_usage

if TYPE_CHECKING:
    from ..culling.report import Report
    from ..scoring.image_files import FoundImages
    from ..scoring.scorer import Scorer


def check_report(page: Path, overwrite: bool) -> None:
    """Refuses a page that cannot be written, before a model is loaded."""
    with _wrong_report():
        import imagehash  # noqa: F401
        import jinja2  # noqa: F401

        from ..culling.report import check_page

        check_page(page, overwrite=overwrite)


def _name(source: str) -> str:
    """What a checkpoint is called: the name of its folder, or its id on the Hub."""
    return Path(source).resolve().name if os.path.isdir(source) else source


@contextmanager
def open_report(page: Path, scorer: Scorer, found: FoundImages, overwrite: bool) -> Iterator[Report]:
    """The page of a run, without thumbnails of a run that ends early."""
    from ..culling.report import Report, Scale

    with _wrong_report():
        report = Report(
            page,
            len(found.paths),
            Scale.of(scorer.config),
            model=_name(scorer.backend.source),
            overwrite=overwrite,
            max_pixels=scorer.max_pixels,
            formats=scorer.formats,
        )
    with report:
        if report.folder is not None and found.holds(report.folder):
            raise typer.BadParameter(
                f"the thumbnails in {visible(str(report.folder))} would be among the photos, and would be scored as "
                "photos next time: choose a place elsewhere, such as --report ../report.html",
                param_hint="--report",
            )
        yield report


def shows_maps(page: Report | None, scorer: Scorer) -> bool:
    """Whether there is a page that shows the maps of a model."""
    return page is not None and has_maps(scorer)


def finish_report(report: Report) -> tuple[bool, str]:
    """Writes the page; returns whether that was possible, and a sentence that says so."""
    from rich.console import Console

    console = Console(stderr=True)
    try:
        with console.status("looking for bursts") if console.is_terminal else nullcontext():
            num_bursts = report.finish()
    except OSError as error:
        return False, f"report not written: {sentence(error)}"
    folder = "" if report.folder is None else f", its pictures to {visible(str(report.folder))}"
    bursts = f", with {counted(num_bursts, 'burst')}" if num_bursts else ""
    return True, f"report written to {visible(str(report.page))}{folder}{bursts}: open it in a browser"


@contextmanager
def _wrong_report() -> Iterator[None]:
    try:
        with wrong_usage("--report"):
            yield
    except ModuleNotFoundError as error:
        raise missing_extra(error, "cull") from None
