"""Headless Chromium, for tests and screenshots of the app."""

import gc
from contextlib import contextmanager
from pathlib import Path

from PIL import ImageFilter

from support.pictures import landscape

CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def open_browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), headless=True, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
            gc.collect()


def save_pictures(folder: Path) -> dict[str, Path]:
    """Drawn pictures to upload: a good one, two spoiled ones, and half a file."""
    paths = {name: folder / f"{name}.jpg" for name in ("hills", "blurred", "blocks", "broken")}
    landscape().save(paths["hills"], quality=92)
    landscape(seed=3).filter(ImageFilter.GaussianBlur(4)).save(paths["blurred"])
    landscape(seed=5).save(paths["blocks"], quality=5)
    paths["broken"].write_bytes(paths["hills"].read_bytes()[:9000])
    return paths


def score_photo(page, path):
    """Uploads to the tab Score and waits for its answer."""
    page.locator("input[type=file]").first.set_input_files(path)
    page.locator(".dpiqa-card:visible").first.wait_for()


def rank_photos(page, paths):
    page.get_by_role("tab", name="Rank").click()
    page.locator("#dpiqa-photos input[type=file]").first.set_input_files(paths)
    page.get_by_text("1. ").first.wait_for()
    page.get_by_role("button", name="Download the scores as CSV").wait_for()


def distort_photo(page, path):
    page.get_by_role("tab", name="Distort").click()
    page.locator("input[type=file]").last.set_input_files(path)
    page.locator("svg.dpiqa-curve").wait_for()
