"""The app in a real browser, with the student that ships."""

import csv
import re
from pathlib import Path

import pytest

from dpiqa import Scorer
from support import browser
from support.demo_app import running
from support.patience import PATIENCE
from support.pictures import landscape

pytest.importorskip("playwright")
pytestmark = [
    pytest.mark.skipif(not browser.CHROMIUM.exists(), reason=f"no {browser.CHROMIUM}: apt install chromium"),
    pytest.mark.filterwarnings(
        "ignore:.*no_silent_downcasting", "ignore:The copy keyword is deprecated", "ignore::ResourceWarning"
    ),
]


@pytest.fixture(scope="module")
def chromium():
    with browser.open_browser() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def scorer():
    return Scorer.from_pretrained(workers=1)


@pytest.fixture(scope="module")
def url(scorer, tmp_path_factory):
    with running(scorer, tmp_path_factory.mktemp("uploads")) as url:
        yield url


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return browser.save_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(request, chromium, url):
    width, height = request.param
    page = chromium.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE * 1000)
    elsewhere, failed = [], []
    page.on("request", lambda seen: elsewhere.append(seen.url) if seen.url.startswith("http") else None)
    page.on("response", lambda seen: failed.append(seen.url) if seen.status >= 400 else None)
    page.goto(url)
    yield page
    page.close()
    assert [address for address in elsewhere if not address.startswith(url)] == []
    assert failed == []


def handle_position(page):
    """Share of the width, in percent, at which the quality map begins."""
    style = page.locator("#dpiqa-map img").nth(1).get_attribute("style")
    return float(re.search(r"inset\(0px 0px 0px ([\d.]+)%", style).group(1))


def test_a_photo_gets_a_score(page, pictures, scorer):
    browser.score_photo(page, pictures["hills"])
    text = page.locator(".dpiqa-card").first.inner_text()
    assert f"{scorer(pictures['hills']).score:.3f}" in text
    assert "Better than" in text
    assert "960 x 640 pixels" in text


def test_the_map_slides_by_pointer_and_by_keyboard(page, pictures):
    browser.score_photo(page, pictures["hills"])
    page.locator("#dpiqa-map img").nth(1).wait_for()
    page.get_by_label("range slider for Show the map (0) or the photo (100)").focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelectorAll('#dpiqa-map img')[1].style.clipPath.includes('20%')")
    handle = page.locator("#dpiqa-map .inner")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    page.mouse.move(box["x"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    assert handle_position(page) > 30


def test_the_whole_map_is_shown_first(page, pictures):
    browser.score_photo(page, pictures["blurred"])
    page.wait_for_function("document.querySelectorAll('#dpiqa-map img')[1]?.style.clipPath.endsWith(' 0%)')")
    assert page.get_by_label("number input for Show the map (0) or the photo (100)").input_value() == "0"


def test_pictures_have_alternative_texts(page, pictures):
    browser.score_photo(page, pictures["hills"])
    page.locator("#dpiqa-map img").nth(1).wait_for()
    assert [picture.get_attribute("alt") for picture in page.locator("#dpiqa-map img").all()] == [
        "The photo you chose",
        "The quality map laid over the photo",
    ]


def test_a_corrupt_file_gets_a_helpful_message(page, pictures):
    browser.score_photo(page, pictures["broken"])
    alert = page.get_by_role("alert").filter(has_text="This photo has no score").first.inner_text()
    assert "damaged or cut short" in alert
    assert "save the photo again as JPEG or PNG" in alert


def test_several_photos_are_ranked_and_downloaded(page, pictures):
    browser.rank_photos(page, [pictures[name] for name in ("blurred", "broken", "hills", "blocks")])
    captions = [re.sub(r"\s+", " ", text) for text in page.locator(".caption-label").all_inner_texts()]
    assert captions[0].startswith("1. ")
    assert "hills.jpg" in captions[0]
    assert len(captions) == 3
    assert "broken.jpg" in page.get_by_role("alert").filter(has_text="No score").first.inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the scores as CSV").click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert [row["path"] for row in rows][0::3] == ["hills.jpg", "broken.jpg"]


def test_a_photo_is_distorted_live(page, pictures):
    browser.distort_photo(page, pictures["hills"])
    before = page.locator(".dpiqa-card:visible").inner_text()
    page.get_by_label("range slider for Noise").focus()
    page.keyboard.press("End")
    page.wait_for_function(
        "before => [...document.querySelectorAll('.dpiqa-card')].some("
        "card => card.checkVisibility() && card.innerText != before)",
        arg=before,
    )
    assert "Score against strength: 0% " in page.locator("svg.dpiqa-curve").get_attribute("aria-label")


def test_tabs_are_reached_by_keyboard(page):
    page.get_by_role("tab", name="Score").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.get_by_role("tab", name="Rank").get_attribute("aria-selected") == "true"


def test_nothing_is_wider_than_the_screen(page, pictures):
    browser.score_photo(page, pictures["hills"])
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


desktop = pytest.mark.parametrize("page", [(1280, 900)], ids=["desktop"], indirect=True)


@desktop
def test_a_spoiled_example_shows_what_is_bad(page):
    pytest.importorskip("sklearn")
    page.locator("#dpiqa-examples button").last.click()
    page.locator(".dpiqa-card:visible").first.wait_for()
    assert float(page.locator(".dpiqa-score b").first.inner_text()) < 0.5


@desktop
def test_a_heic_file_is_taken_and_the_page_says_where_it_is_shown(page, tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(landscape()).save(tmp_path / "IMG_1.HEIC")
    browser.score_photo(page, tmp_path / "IMG_1.HEIC")
    assert "960 x 640 pixels" in page.locator(".dpiqa-card").first.inner_text()
    page.get_by_alt_text("The photo is under its quality map").wait_for()


@desktop
def test_a_photo_is_pasted(page, url):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    page.evaluate(
        """async () => {
            const canvas = new OffscreenCanvas(64, 48);
            canvas.getContext("2d").fillRect(0, 0, 32, 48);
            const picture = await canvas.convertToBlob({ type: "image/png" });
            await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
        }"""
    )
    page.get_by_label("Paste from clipboard").first.click()
    page.locator(".dpiqa-card:visible").first.wait_for()
    assert "64 x 48 pixels" in page.locator(".dpiqa-card").first.inner_text()
