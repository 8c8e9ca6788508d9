"""The page in a browser, used as a person uses it: by mouse and keys, on a phone, in the dark."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pages
import pytest
from filming import Film
from sounds import write_coded

from tagline.retrieval.web.app import STATIC
from tagline.tagging.catalog.write import Catalog

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EVIL = "<svg onload=hit=1>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; `apt install chromium` brings one")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    folder = tmp_path_factory.mktemp("library")
    kinds = {
        "corner": Film(count=75, sound="aac"),
        "turned": Film(count=60, rotation=90),
        "old": Film("mpeg4", ".avi", count=350, sound="mp2"),
        EVIL: Film(count=75, metadata={"title": EVIL}),
    }
    with pages.films(folder, kinds) as catalog:
        yield catalog


@pytest.fixture(scope="module")
def address(library: Catalog) -> Iterator[str]:
    with pages.served(library) as address:
        yield address


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Any]:
    """Opens the page as somebody new. An error in the browser, or a request to others, fails the test."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def visit(token: bool = True, address: str = address, **how: Any) -> Any:
        home = address.partition("#")[0]
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(90_000)  # for machines that have much else to do
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None)
        page.on(
            "request", lambda request: None if request.url.startswith(home) else wrong.append(request.url)
        )
        page.goto(address if token else home)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []


def find(page: Any, query: str) -> None:
    page.keyboard.press("/")
    page.keyboard.type(query, delay=20)
    page.get_by_role("heading", name=f"for “{query}”").wait_for()


def now(page: Any) -> float:
    return float(page.evaluate("document.querySelector('video').currentTime"))


def until(page: Any, holds: str) -> None:
    """Wait for something in the page. Playwright's own waiting would need `eval`, which the page forbids."""
    for _ in range(900):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never came true: {holds}")


def shown(page: Any) -> None:
    """Wait until the player shows a picture."""
    until(
        page, "document.querySelector('video')?.readyState >= 2 && document.querySelector('video').videoWidth"
    )


def row(page: Any, text: str) -> Any:
    return page.locator(".tagrow", has=page.get_by_role("button", name=re.compile(f"^{text}, ")))


def test_from_a_sentence_to_the_moment_with_the_keyboard_alone(visit: Any) -> None:
    page = visit()
    find(page, "moving bar")
    assert page.get_by_role("status").first.text_content() == "4 moments for “moving bar”"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    shown(page)
    until(page, "Math.abs(document.querySelector('video').currentTime - 1) < 0.1")
    page.keyboard.press(" ")
    until(page, "document.querySelector('video').currentTime > 1.2")
    page.keyboard.press(" ")
    until(page, "document.querySelector('video').paused")
    page.keyboard.press("ArrowLeft")
    until(page, "document.querySelector('video').currentTime < 0.1")
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="for “moving bar”").wait_for()


def test_hits_say_why_and_lead_on(visit: Any) -> None:
    page = visit()
    find(page, "bar")
    card = page.locator("article").first
    mark = card.locator(".strip .now").evaluate(
        "node => [node.style.getPropertyValue('--from'), node.style.getPropertyValue('--to')]"
    )
    assert 0 < float(mark[0]) < float(mark[1]) <= 1
    card.get_by_role("button", name="Why this").click()
    reasons = card.locator(".reasons")
    assert "moving bar" in reasons.text_content()
    reasons.get_by_role("button", name="Less of moving bar").click()
    page.get_by_role("heading", name="Nothing found").wait_for()
    page.get_by_role("button", name="Remove the filter not object:moving bar").click()
    page.get_by_role("heading", name="4 moments").wait_for()
    page.locator("article").first.get_by_role("button", name="More like").click()
    page.get_by_role("heading", name="More like this").wait_for()
    assert page.locator(".similar article").count() == 3


def test_filters_count_and_narrow(visit: Any) -> None:
    page = visit()
    page.get_by_role("heading", name="4 videos").wait_for()
    box = page.get_by_label(re.compile("10 s to 1 min"))
    box.check()
    page.get_by_role("heading", name="1 video").wait_for()
    page.go_back()
    page.get_by_role("heading", name="4 videos").wait_for()


def test_typing_calls_the_question_before_off(visit: Any) -> None:
    page = visit()
    asked: list[str] = []

    def slowly(route: Any) -> None:
        asked.append(route.request.url)
        if "q=bright&" in route.request.url:
            return  # never answered: only calling it off ends it
        route.continue_()

    page.route("**/api/search?*", slowly)
    page.fill("#query", "bright")
    page.wait_for_timeout(600)
    page.fill("#query", "bright corner")
    page.get_by_role("heading", name="for “bright corner”").wait_for()
    assert sum("q=bright&" in url for url in asked) == 1


def test_a_rejected_tag_stays_away_after_another_run(visit: Any, library: Catalog) -> None:
    page = visit()
    find(page, "corner")
    page.get_by_role("link", name=re.compile("^corner.mp4")).click()
    bar = row(page, "moving bar")
    bar.get_by_role("button", name="moving bar, ").first.click()
    page.keyboard.press("x")
    page.get_by_text("“moving bar” rejected").first.wait_for()
    bar.wait_for(state="detached")
    page.keyboard.press("u")
    bar.wait_for()
    page.keyboard.press("j")
    bar.get_by_role("button", name="moving bar is wrong").click()
    bar.wait_for(state="detached")

    pages.look_again(library, "2")
    page.reload()
    row(page, "bright corner").wait_for()
    assert bar.count() == 0
    assert page.get_by_role("button", name="moving bar, object, was rejected").is_visible()
    find(page, "moving bar")
    page.get_by_role("heading", name="3 moments").wait_for()


def test_accepting_and_adding_with_one_key(visit: Any, library: Catalog) -> None:
    page = visit()
    page.get_by_role("link", name=re.compile("^turned.mp4")).click()
    row(page, "bright corner").get_by_role("button").first.click()
    page.keyboard.press("a")
    row(page, "bright corner").locator(".score [aria-hidden]").wait_for()
    page.keyboard.press("n")
    page.keyboard.type("grandpa")
    page.keyboard.press("Enter")
    row(page, "grandpa").wait_for()
    [video] = [video for video in library.videos() if video.paths[0].endswith("turned.mp4")]
    assert [(v.kind, v.text) for v in library.verdicts.of(video.id)] == [
        ("accept", "bright corner"),
        ("add", "grandpa"),
    ]
    assert "human" in page.locator(".lane[data-modality=human]").get_attribute("aria-label")


def test_the_timeline_and_the_transcript_follow_and_lead(visit: Any) -> None:
    page = visit()
    page.get_by_role("link", name=re.compile("^corner.mp4")).click()
    shown(page)
    page.get_by_text("speaking", exact=True).click()
    until(page, "document.querySelector('video').currentTime >= 1.4")
    page.locator(".said .current").wait_for()
    page.keyboard.press(" ")
    bright = row(page, "bright corner")
    bright.locator(".span").click()
    until(page, "document.querySelector('.tagrow .span.on')")
    assert "looker" in page.locator(".evidence").text_content()
    page.locator(".sightings button").first.click()
    assert page.locator(".boxes span").count() == 1


def test_what_the_browser_cannot_play_is_shown_as_a_preview(visit: Any) -> None:
    page = visit()
    page.get_by_role("link", name=re.compile("^old.avi")).click()
    shown(page)
    slider = page.get_by_role("slider", name="Position")
    slider.fill("13")
    until(page, "document.querySelector('video').src.endsWith('part=1')")
    shown(page)
    until(page, "Math.abs(document.querySelector('video').currentTime - 1) < 0.2")
    assert slider.get_attribute("aria-valuetext") == "13 seconds of 14 seconds"


def test_sound_alone_is_played_as_it_is_or_else_as_a_preview(visit: Any, tmp_path: Path) -> None:
    write_coded(tmp_path / "song.mp3", "libmp3lame", 16000)
    write_coded(tmp_path / "old.wma", "wmav2", 44100)
    with Catalog.open(tmp_path) as catalog:
        pages.look_again(catalog, "1")
        with pages.served(catalog) as elsewhere:
            for name, source in (("song.mp3", "/media/"), ("old.wma", "/preview")):
                page = visit(address=elsewhere)
                page.get_by_role("link", name=re.compile(f"^{name}")).click()
                until(page, "document.querySelector('video')?.readyState >= 2")
                assert source in page.evaluate("document.querySelector('video').currentSrc")
                assert page.evaluate("document.querySelector('video').duration") == pytest.approx(2, abs=0.2)
                assert "sound alone" in page.locator(".head").text_content()
                assert not page.locator(".note").is_visible()


def test_the_queue_is_judged_with_one_key(visit: Any, library: Catalog) -> None:
    page = visit()
    page.get_by_role("link", name="Review").click()
    page.get_by_role("heading", name="Is this").wait_for()
    before = library.verdicts.all()
    asked = page.locator(".review h1 .chip").text_content()
    page.keyboard.press("a")
    page.get_by_text(f"“{asked}” is right").first.wait_for()
    assert [(v.kind, v.text) for v in library.verdicts.all()[len(before) :]] == [("accept", asked)]
    page.keyboard.press("u")
    page.get_by_text(f"Taken back: accept “{asked}”").first.wait_for()
    assert library.verdicts.all() == before
    assert page.locator(".review h1 .chip").text_content() == asked


def test_markup_in_names_is_text(visit: Any) -> None:
    page = visit()
    page.get_by_role("link", name=re.compile("^" + re.escape(EVIL))).click()
    page.get_by_role("heading", name=EVIL).wait_for()
    find(page, EVIL)
    assert page.evaluate("window.hit") is None


def test_where_reading_takes_the_token_too_strips_and_films_come_by_their_key(
    browser: Any, library: Catalog
) -> None:
    with pages.served(library, open_reading=False) as address:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(90_000)
        seen: list[tuple[str, int]] = []
        page.on("response", lambda answer: seen.append((answer.url, answer.status)))
        page.goto(address)
        page.get_by_role("link", name=re.compile("corner")).first.click()
        shown(page)
        assert "token" not in page.url
        assert not context.cookies()
        film = [(url, status) for url, status in seen if "/media/" in url or "/previews/" in url]
        assert film
        assert {status for _, status in film} <= {200, 206}
        assert pages.TOKEN not in str(seen)
        # Another tab knows it, a page of another port does not.
        other = context.new_page()
        other.goto(address.partition("#")[0])
        other.get_by_role("link", name=re.compile("corner")).first.wait_for()
        with pages.served(library, open_reading=False) as elsewhere:
            other.goto(elsewhere.partition("#")[0])
            other.get_by_text("open the address that").first.wait_for()
            assert other.evaluate("localStorage.length") == 0
        context.close()


def test_without_the_token_one_may_look_and_is_told_how_to_change(visit: Any, library: Catalog) -> None:
    before = library.verdicts.all()
    page = visit(token=False)
    page.get_by_role("link", name=re.compile("^old.avi")).click()
    row(page, "bright corner").get_by_role("button").first.click()
    page.keyboard.press("x")
    page.get_by_text("takes the token").first.wait_for()
    assert library.verdicts.all() == before


VIEWS = ("#/", "#/?q=bar", "#/review", "video")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 820])
def test_it_fits_and_everything_has_a_name(visit: Any, scheme: str, width: int) -> None:
    page = visit(viewport={"width": width, "height": 780}, color_scheme=scheme, reduced_motion="reduce")
    for view in VIEWS:
        if view == "video":
            page.goto(page.url.partition("#")[0] + "#/")
            page.get_by_role("link", name=re.compile("^corner.mp4")).click()
            row(page, "bright corner").wait_for()
        else:
            page.goto(page.url.partition("#")[0] + view)
            page.locator("article, .review h1").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        nameless = page.evaluate(
            """[...document.querySelectorAll("button, a, input, summary, video, [role]")].filter((node) =>
                node.checkVisibility() && !node.closest("[aria-hidden=true]")
                && !(node.getAttribute("aria-label") || node.textContent.trim() || node.labels?.length))
                .map((node) => node.outerHTML)"""
        )
        assert nameless == [], view
        assert page.locator("h1").count() == 1, view
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) > 380) == (scheme == "light")


def contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dim = sorted((light(one), light(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_every_text_stands_out_from_its_ground() -> None:
    style = (STATIC / "base.css").read_text(encoding="utf-8")
    blocks = [
        dict(re.findall(r"--([\w-]+): (#\w{6});", block))
        for block in style.split("prefers-color-scheme: dark")
    ]
    for colours in (blocks[0], {**blocks[0], **blocks[1]}):
        for ground in ("paper", "card", "sunk"):
            for text in (
                "ink",
                "soft",
                "accent",
                "moment",
                "bad",
                "object",
                "person",
                "scene",
                "speech",
                "screen",
            ):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["on-accent"], colours["accent"]) >= 4.5


def test_each_file_of_the_page_holds_one_idea() -> None:
    for path in STATIC.iterdir():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path.name
    assert Path(STATIC / "main.js").is_file()
