"""Takes the pictures of the app in docs/assets: `PYTHONPATH=tests python -m support.screenshots docs/assets`."""

import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

from dpiqa import Scorer, open_image
from support import browser
from support.demo_app import running


def save(page, path: Path) -> None:
    """The whole page."""
    open_image(page.screenshot(full_page=True)).save(path, quality=85, method=6)


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, browser.open_browser() as chromium:
        paths = browser.save_pictures(Path(name))
        # Without the examples: they are photographs of other people.
        with (
            patch("dpiqa.demo.app._examples"),
            running(Scorer.from_pretrained(), Path(name) / "uploads") as url,
        ):
            for theme in ("light", "dark"):
                for device, width in (("desktop", 1280), ("phone", 390)):
                    page = chromium.new_page(viewport={"width": width, "height": 844})
                    page.goto(f"{url}?__theme={theme}")
                    browser.score_photo(page, paths["hills"])
                    page.locator("#dpiqa-map img").nth(1).wait_for()
                    page.wait_for_timeout(1000)
                    save(page, target / f"space-score-{device}-{theme}.webp")
                    browser.rank_photos(page, list(paths.values()))
                    page.wait_for_timeout(1000)
                    save(page, target / f"space-rank-{device}-{theme}.webp")
                    browser.distort_photo(page, paths["hills"])
                    page.wait_for_timeout(1000)
                    save(page, target / f"space-distort-{device}-{theme}.webp")
                    page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
