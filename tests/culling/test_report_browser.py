"""The page to cull by in a real browser, opened from the disk."""

import numpy as np
import pytest

from dpiqa.culling.report import Report, Scale
from dpiqa.scoring.score import Score
from support import browser
from support.patience import PATIENCE
from support.pictures import landscape

pytest.importorskip("playwright")
pytest.importorskip("jinja2")
pytest.importorskip("imagehash")
pytestmark = [
    pytest.mark.skipif(not browser.CHROMIUM.exists(), reason=f"no {browser.CHROMIUM}: apt install chromium"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
NUM_MORE = 400
HOSTILE = "<img src=x onerror=alert(1)>.jpg"


def expect(locator):
    from playwright.sync_api import expect

    return expect(locator)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A report of four drawn photos, two of them a burst, an error, and many photos that went away."""
    root = tmp_path_factory.mktemp("report")
    quality_map = np.linspace(0.4, 0.6, 16, dtype=np.float32).reshape(4, 4)
    names = {"best.jpg": (0, 320), HOSTILE: (0, 480), "second.jpg": (3, 320), "third.jpg": (5, 320)}
    with Report(root / "report.html", 4, Scale([0.0, 0.5, 1.0], 0.15)) as report:
        for place, (name, (seed, width)) in enumerate(names.items()):
            path = root / name
            height = width * 2 if name == "third.jpg" else width * 3 // 4
            landscape(320, 240, seed).resize((width, height)).save(path)
            report.add(str(path), Score(0.9 - place / 10, quality_map=quality_map))
        report.add(str(root / "broken.jpg"), Score(float("nan"), error="the image data are damaged"))
        for number in range(NUM_MORE):
            report.add(str(root / "more" / f"{number}.jpg"), Score(0.1 + number / 10_000))
        report.finish()
    return (root / "report.html").as_uri()


@pytest.fixture(scope="module")
def chromium():
    with browser.open_browser() as chromium:
        yield chromium


@pytest.fixture
def open_page(chromium, url):
    pages, elsewhere, wrong = [], [], []

    def open_page(width=1280, height=900, **options):
        page = chromium.new_context(viewport={"width": width, "height": height}, **options).new_page()
        pages.append(page)
        page.set_default_timeout(PATIENCE * 1000)
        page.on("request", lambda seen: elsewhere.append(seen.url) if seen.url.startswith("http") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.goto(url)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert elsewhere == []
    assert wrong == []


@pytest.fixture
def page(open_page):
    return open_page()


def names(page):
    return page.locator(".name").evaluate_all("links => links.map(link => link.textContent)")


def colour_of(page, selector):
    return page.locator(selector).evaluate("one => getComputedStyle(one).backgroundColor")


def asks_before_leaving(page):
    return page.evaluate("!dispatchEvent(new Event('beforeunload', { cancelable: true }))")


def test_bursts_are_together_and_names_are_text(page):
    assert names(page)[:4] == ["best.jpg", HOSTILE, "second.jpg", "third.jpg"]
    assert page.locator(".mark").all_text_contents() == ["Burst 1: best of 2", "Burst 1: one of 2"]
    assert page.locator("img").count() == 4
    assert page.locator("img").first.get_attribute("alt") == "best.jpg"


def test_photos_are_selected_by_keyboard_and_pointer(page):
    page.locator(".photo").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    page.locator(".photo").nth(3).click()
    page.locator(".photo").first.click()  # takes it out again
    assert page.locator("#selected-count").text_content() == "2 photos selected"
    assert asks_before_leaving(page)
    page.get_by_role("button", name="List of paths").click()
    paths = page.locator("#paths").input_value().splitlines()
    assert [path.rsplit("/", 1)[1] for path in paths] == ["second.jpg", "third.jpg"]
    with page.expect_download() as download:
        page.get_by_text("Download selected.txt").click()
    assert not asks_before_leaving(page)
    assert download.value.path().read_text().splitlines() == paths


def test_down_moves_by_a_row_and_end_to_the_last(page):
    columns = page.evaluate("getComputedStyle(grid).gridTemplateColumns.split(' ').length")
    page.locator(".photo").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("[...grid.children].indexOf(document.activeElement.closest('li'))") == columns
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.closest('li').photo.name") == "broken.jpg"


def test_filters(page):
    page.locator("#search").fill("SECOND")
    expect(page.locator(".card")).to_have_count(1)
    assert names(page) == ["second.jpg"]
    page.locator("#search").fill("")
    page.locator("#which").select_option("errors")
    expect(page.locator(".card")).to_have_count(1)
    assert page.locator(".wrong").text_content() == "the image data are damaged"
    page.locator("#which").select_option("all")
    page.get_by_label("Lowest score").fill("0.65")
    expect(page.locator(".card")).to_have_count(3)
    page.locator("#which").select_option("best")
    expect(page.locator(".card")).to_have_count(2)
    assert page.locator("#count").text_content() == f"2 of {NUM_MORE + 5} photos shown."


def test_errors_are_shown_whatever_the_range_of_scores(page):
    page.get_by_label("Lowest score").fill("0.65")
    page.locator("#which").select_option("errors")
    expect(page.locator(".card")).to_have_count(1)


def test_a_tall_photo_is_shown_whole(page):
    size = "one => [one.clientWidth, one.clientHeight]"
    width, height = page.locator(".card:nth-child(4) img").evaluate(size)
    assert height <= page.locator(".photo").nth(3).evaluate(size)[1]
    assert height == pytest.approx(2 * width, abs=2)


def test_all_photos_shown_are_printed_and_no_buttons(page):
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".card").count() == NUM_MORE + 5
    assert page.locator("button:visible:not(.photo)").count() == 0


def test_folders_and_orders(page):
    folder = page.get_by_label("Folder")
    folder.select_option(index=2)
    page.get_by_label("Order").select_option("worst")
    expect(page.locator(".name").first).to_have_text("0.jpg")
    assert page.locator("#count").text_content() == f"{NUM_MORE} of {NUM_MORE + 5} photos shown."


def test_the_map_shows_under_the_pointer_on_both_scales(page):
    page.locator(".photo").nth(2).hover()
    canvas = page.locator(".card:nth-child(3) canvas")
    first = "one => [...one.getContext('2d').getImageData(0, 0, 1, 1).data.slice(0, 3)]"
    across = canvas.evaluate(first)
    page.mouse.move(0, 0)
    assert page.locator("canvas").count() == 0
    page.get_by_label("Quality map").select_option("relative")
    page.locator(".photo").nth(2).hover()
    assert page.locator(".key").text_content() == "0.400.60"  # the ends of its own map
    assert canvas.evaluate(first) == [0x8E, 0x01, 0x52]
    assert min(across) > 150  # middling


def test_a_finger_taps_for_the_map_and_on_the_circle_to_select(open_page):
    page = open_page(390, 844, has_touch=True, is_mobile=True)
    page.locator(".photo").first.tap(position={"x": 40, "y": 60})
    assert page.locator(".card:first-child canvas").count() == 1
    page.locator(".tick").nth(1).tap()
    assert page.locator("#selected-count").text_content() == "1 photo selected"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_dark_and_light(open_page):
    page = open_page(color_scheme="dark")
    dark = colour_of(page, "body")
    page.get_by_role("button", name="Light").click()
    assert colour_of(page, "body") != dark
    page.get_by_role("button", name="Dark").click()
    assert colour_of(page, "body") == dark


def test_cards_are_made_when_they_are_needed(page):
    assert 0 < page.locator(".card").count() < NUM_MORE
    for _ in range(5):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(50)
    expect(page.locator(".card")).to_have_count(NUM_MORE + 5)
