"""Takes the pictures of the app in docs/assets: `python tests/screenshots.py docs/assets`."""

import sys
import tempfile
from pathlib import Path

import browser
from demo_app import running
from dpiqa import Scorer


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, browser.open_browser() as chromium:
        paths = browser.save_pictures(Path(name))
        with running(Scorer.from_pretrained(), Path(name) / "uploads") as url:
            for theme in ("light", "dark"):
                for device, width in (("desktop", 1280), ("phone", 390)):
                    page = chromium.new_page(viewport={"width": width, "height": 844})
                    page.goto(f"{url}?__theme={theme}")
                    browser.score_photo(page, paths["hills"])
                    page.locator("#dpiqa-map img").nth(1).wait_for()
                    page.wait_for_timeout(1000)
                    page.screenshot(path=target / f"space-score-{device}-{theme}.png", full_page=True)
                    browser.rank_photos(page, list(paths.values()))
                    page.wait_for_timeout(1000)
                    page.screenshot(path=target / f"space-rank-{device}-{theme}.png", full_page=True)
                    browser.degrade_photo(page, paths["hills"])
                    page.wait_for_timeout(1000)
                    page.screenshot(path=target / f"space-degrade-{device}-{theme}.png", full_page=True)
                    page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
