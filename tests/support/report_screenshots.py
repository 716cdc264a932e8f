"""Pictures of the report and a map: `PYTHONPATH=tests python -m support.report_screenshots docs/assets`.

It shows the photographs of `make demo` and a distorted twin or two of each.
"""

import sys
import tempfile
from pathlib import Path

from dpiqa import Scorer, open_image
from dpiqa.culling.report import Report, Scale
from dpiqa.data.distortions import distort
from dpiqa.scoring.map_pictures import map_picture
from dpiqa.scoring.quality_maps import colour_range
from support import browser
from support.examples import load_example


def write_report(folder: Path) -> Path:
    demo = load_example("demo")
    paths = []
    (folder / "photos").mkdir()
    for number, (name, photo) in enumerate(demo.originals().items()):
        twins = [list(demo.TWINS)[number % len(demo.TWINS)], *(["JPEG quality 8"] if number < 2 else [])]
        for variant in ["original", *dict.fromkeys(twins)]:
            path = folder / "photos" / (f"{name}.jpg" if variant == "original" else f"{name}, {variant}.jpg")
            (photo if variant == "original" else distort(photo, *demo.TWINS[variant])).save(path, quality=95)
            paths.append(path)
    paths.append(folder / "photos" / "broken.jpg")
    paths[-1].write_bytes(paths[0].read_bytes()[:9000])
    scorer = Scorer.from_pretrained()
    with Report(folder / "report.html", len(paths), Scale.of(scorer.config), model="dpiqa-student-lite0") as report:
        for path, score in zip(paths, scorer.stream(paths, return_map=True), strict=True):
            report.add(str(path), score)
        report.finish()
    return report.page


def save_map(path: Path) -> None:
    """What `--maps` writes for a photograph."""
    photo = load_example("demo").originals()["coffee"]
    scorer = Scorer.from_pretrained()
    limits = colour_range(scorer.config.score_quantiles)
    map_picture(photo, scorer(photo, return_map=True).quality_map, limits).save(path, quality=85, method=6)


def main(target: Path) -> None:
    save_map(target / "quality-map.webp")
    with tempfile.TemporaryDirectory() as name, browser.open_browser() as chromium:
        url = write_report(Path(name)).as_uri()
        for theme in ("light", "dark"):
            for device, width in (("desktop", 1280), ("phone", 390)):
                is_phone = device == "phone"
                page = chromium.new_context(
                    viewport={"width": width, "height": 844},
                    color_scheme=theme,
                    has_touch=is_phone,
                    is_mobile=is_phone,
                ).new_page()
                page.goto(url)
                for number in (0, 3):
                    tick = page.locator(".tick").nth(number)
                    tick.tap() if is_phone else tick.click()
                photo = page.locator(".photo").nth(1)
                photo.tap(position={"x": 30, "y": 60}) if is_phone else photo.hover()
                page.wait_for_timeout(500)
                picture = open_image(page.screenshot())
                picture.save(target / f"report-{device}-{theme}.webp", quality=85, method=6)
                page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
