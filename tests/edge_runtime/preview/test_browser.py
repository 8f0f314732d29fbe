"""The page in a real Chromium, as a person sees it; screenshots are kept under test-output/."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import DESK, PHONE, dress, keep, opened, seq, state, text, until
from live_page import Page, feeding

from fer_edge.contract.errors import SourceError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.preview import Address

pytestmark = pytest.mark.slow

ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("FER_EDGE_")}
ENVIRONMENT["FER_EDGE_DEVICE"] = "pi-kitchen"


@pytest.fixture(scope="module")
def run() -> Iterator[subprocess.Popen[str]]:
    """`fer-edge run --source demo --preview`, with the page's address in its log."""
    from fer_edge.frames.demo import picture_path

    try:
        picture_path()
    except SourceError as error:
        pytest.skip(str(error))
    with start() as process:
        yield process


@contextlib.contextmanager
def start(address: str = "127.0.0.1:0", *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "fer_edge", "run", "--source", "demo", "--preview", address, "--every-frame"]
    process = subprocess.Popen(
        [*command, "--publish", f"file:{os.devnull}", *arguments],
        stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"live page: (\S+)", line):
            return found[1]
    raise AssertionError("the page's address never was in the log")


@pytest.fixture(scope="module")
def run_url(run: subprocess.Popen[str]) -> str:
    return url_of(run)


@pytest.fixture
def demo(chromium: Any, run_url: str) -> Any:
    """Chromium on the page of a real run, with a picture."""
    return opened(chromium, run_url)


@pytest.fixture
def url(serve: Callable[..., Page]) -> Iterator[str]:
    """The address of a page that is shown thirty frames a second, with a happy face."""
    page = serve()
    with feeding(page):
        yield page.preview.url


@pytest.fixture
def browser(chromium: Any, url: str) -> Any:
    """Chromium on that page, with a picture."""
    return opened(chromium, url)


def notice(browser: Any) -> str:
    return text(browser, "#notice")


def is_grey(browser: Any) -> bool:
    stage = "document.getElementById('stage').classList.contains('stale')"
    picture = "getComputedStyle(document.getElementById('picture')).filter.includes('grayscale')"
    return bool(browser.execute_script(f"return {stage} && {picture}"))


def test_the_picture_moves_and_a_face_is_read(demo: Any) -> None:
    first = seq(demo)
    until(lambda: seq(demo) not in ("", first))
    label = until(lambda: text(demo, ".face h3").lower().replace("uncertain", ""))
    assert label in FER2013_LABELS
    assert re.fullmatch(r"\d{1,3} %", text(demo, ".face header b"))
    assert len(demo.find_elements("css selector", ".face .bars li")) == len(FER2013_LABELS)
    until(lambda: re.search(r"Live · \d+ frames/s", text(demo, "#state")))
    until(lambda: demo.find_elements("css selector", "#timeline .track span"))
    assert "pi-kitchen" in text(demo, "header")
    assert re.search(r"detect \d", text(demo, "#stages"))
    keep(demo, "desk-light")
    dress(demo, DESK, "dark")
    keep(demo, "desk-dark")


def test_boxes_lie_on_the_face_in_the_picture(demo: Any) -> None:
    until(lambda: demo.find_elements("css selector", ".box"))
    stage, box = demo.execute_script(
        "const r = (e) => { const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; };"
        "return [r(document.getElementById('stage')), r(document.querySelector('.box'))]"
    )
    assert stage[2] / stage[3] == pytest.approx(4 / 3, abs=0.02)
    across, down = (box[0] + box[2] / 2 - stage[0]) / stage[2], (box[1] + box[3] / 2 - stage[1]) / stage[3]
    assert 0.3 < across < 0.7
    assert 0.2 < down < 0.7


def test_nothing_is_refused_by_the_policy_and_no_script_fails(browser: Any) -> None:
    browser.get_log("browser")
    browser.refresh()
    until(lambda: seq(browser) if state(browser) == "live" else None)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    external = browser.execute_script(
        "return performance.getEntriesByType('resource').map((e) => e.name)"
        ".filter((name) => new URL(name).host !== location.host)"
    )
    assert external == []


def test_a_frozen_picture_is_shown_as_such_and_clears_by_itself(chromium: Any, serve: Callable[..., Page]) -> None:
    page = serve()
    dress(chromium, DESK, "light")
    with feeding(page) as feeder:
        chromium.get(page.preview.url)
        until(lambda: state(chromium) == "live" and seq(chromium))
        feeder.clear()
        page.status["trouble"] = "camera 0 was unplugged"
        until(
            lambda: re.fullmatch(r"Frozen: this picture is \d+(\.\d)? s old\s*camera 0 was unplugged", notice(chromium))
        )
        assert state(chromium) == "frozen"
        assert is_grey(chromium)
        shown = seq(chromium)
        assert shown, "the last picture stays, greyed"
        keep(chromium, "frozen")
        page.status["trouble"] = None
        feeder.set()
        until(lambda: state(chromium) == "live" and notice(chromium) == "")
        assert not is_grey(chromium)
        until(lambda: seq(chromium) not in ("", shown))


def test_a_run_that_ends_is_told_and_the_next_one_is_joined(chromium: Any, serve: Callable[..., Page]) -> None:
    page = serve()
    dress(chromium, DESK, "light")
    with feeding(page):
        chromium.get(page.preview.url)
        until(lambda: state(chromium) == "live" and seq(chromium))
        page.preview.close()
    until(lambda: notice(chromium).startswith("fer-edge has stopped"))
    assert (state(chromium), is_grey(chromium)) == ("lost", True)
    until(lambda: text(chromium, "#health-title") == "Health, when last heard of")
    with feeding(serve(address=Address("127.0.0.1", page.port))):
        until(lambda: state(chromium) == "live" and notice(chromium) == "")


def test_a_second_viewer_and_a_switch_that_holds_for_both(browser: Any, url: str) -> None:
    first = browser.current_window_handle
    browser.switch_to.new_window("window")
    try:
        second = browser.current_window_handle
        browser.get(url)
        until(lambda: state(browser) == "live" and seq(browser))
        until(
            lambda: (
                text(browser, "#numbers").find("2\nViewers") >= 0
                or re.search(r"Viewers\s*\n?2|2\s*\n?Viewers", text(browser, "#numbers"))
            )
        )
        browser.find_element("css selector", "#privacy [value=boxes]").click()
        until(lambda: text(browser, "#mode") == "Boxes only")
        browser.switch_to.window(first)
        until(lambda: text(browser, "#mode") == "Boxes only")
        assert seq(browser) == "", "no picture is left"
        until(lambda: browser.find_elements("css selector", ".box"))
        keep(browser, "boxes")
        browser.find_element("css selector", "#privacy [value=picture]").click()
        until(lambda: seq(browser))
        browser.switch_to.window(second)
    finally:
        browser.close()
        browser.switch_to.window(first)


def test_a_phone_needs_no_sideways_scrolling(browser: Any) -> None:
    until(lambda: browser.find_elements("css selector", ".face"))
    for scheme in ("light", "dark"):
        dress(browser, PHONE, scheme)
        keep(browser, f"phone-{scheme}")
    width, view = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= view == PHONE[0]
    heights = browser.execute_script(
        "return [...document.querySelectorAll('#privacy label, button')].map((e) => e.getBoundingClientRect().height)"
    )
    assert min(heights) >= 24, "WCAG 2.2, target size"
    order = browser.execute_script(
        "return ['stage', 'faces', 'timeline', 'numbers'].map("
        "(id) => document.getElementById(id).getBoundingClientRect().y)"
    )
    assert order == sorted(order)


def test_everything_can_be_done_with_the_keyboard(browser: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> None:
        ActionChains(browser).send_keys(*keys).perform()

    def focused() -> str:
        return str(browser.execute_script("return document.activeElement.value ?? document.activeElement.id ?? ''"))

    until(lambda: browser.execute_script("return !document.getElementById('privacy').disabled"))
    press(Keys.TAB)
    assert browser.execute_script("return document.activeElement.className") == "skip"
    press(Keys.TAB)
    assert focused() == "picture"
    press(Keys.ARROW_RIGHT)
    until(lambda: text(browser, "#mode") == "Blurred")
    until(lambda: seq(browser))
    keep(browser, "blurred")
    assert (
        browser.execute_script("return getComputedStyle(document.activeElement.nextElementSibling).outlineStyle")
        == "solid"
    ), "the focus is seen"
    press(Keys.ARROW_LEFT)
    until(lambda: text(browser, "#mode") == "" and seq(browser))
    press(Keys.TAB)
    assert browser.execute_script("return document.activeElement.id") == "fullscreen"


def test_full_screen_shows_the_picture_as_it_is(browser: Any) -> None:
    dress(browser, (1600, 700), "light")
    until(lambda: seq(browser))
    browser.find_element("id", "fullscreen").click()
    until(lambda: browser.execute_script("return document.fullscreenElement !== null"))
    found = until(
        lambda: browser.execute_script(
            "const r = (id) => { const b = document.getElementById(id).getBoundingClientRect();"
            " return [b.x, b.y, b.width, b.height]; };"
            "const c = document.getElementById('picture');"
            "return c.width && [r('picture'), r('boxes'), c.width / c.height, innerWidth, innerHeight]"
        )
    )
    picture, boxes, ratio, width, height = found
    keep(browser, "full-screen")
    browser.execute_script("return document.exitFullscreen()")
    dress(browser, DESK, "light")
    assert picture == pytest.approx(boxes, abs=1)
    assert picture[2] / picture[3] == pytest.approx(ratio, rel=0.01), "a face is not drawn out"
    assert max(picture[2] / width, picture[3] / height) == pytest.approx(1.0, abs=0.01), "as large as the screen allows"


def test_a_switch_that_did_not_reach_the_run_does_not_say_so(browser: Any) -> None:
    until(lambda: browser.execute_script("return !document.getElementById('privacy').disabled"))
    browser.execute_script(
        "window.real = window.fetch; window.fetch = (path, how) =>"
        " path === '/privacy' ? Promise.reject(new TypeError('no network')) : window.real(path, how)"
    )
    browser.execute_script("document.querySelector('#privacy [value=off]').click()")
    chosen = "return document.querySelector('#privacy :checked').value"
    until(lambda: browser.execute_script(chosen) == "picture")
    until(lambda: "has not changed" in text(browser, "#announcer"))
    browser.execute_script("window.fetch = window.real")


def test_a_screen_reader_hears_labels_once_they_are_stable(browser: Any) -> None:
    region = browser.find_element("id", "announcer")
    assert (region.get_attribute("role"), region.get_attribute("aria-live")) == ("status", "polite")
    browser.refresh()
    heard = until(lambda: text(browser, "#announcer"))
    assert re.search(rf"Face \d+: ({'|'.join(FER2013_LABELS)})", heard)
    unnamed = browser.execute_script(
        "return [...document.querySelectorAll('button, input, canvas, section')].filter((e) =>"
        " !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.closest('label')?.innerText)).length"
    )
    assert unnamed == 0


def test_a_recording_is_announced(chromium: Any, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    with start("127.0.0.1:0", "--record", str(clip)) as process:
        dress(chromium, DESK, "light")
        chromium.get(url_of(process))
        until(lambda: "Recording clip.mkv (plain" in text(chromium, "#recording"))
        keep(chromium, "recording")
    assert clip.stat().st_size > 10_000


def test_the_token_is_taken_once_and_leaves_the_address(chromium: Any) -> None:
    with start("0.0.0.0:0") as process:
        _, port, rest = re.sub(r"//[^:/]+", "//127.0.0.1", url_of(process)).rpartition(":")
        chromium.get(f"http://127.0.0.1:{rest.partition('/')[0]}/")
        assert "token" in text(chromium, "h1")
        assert "Content Security Policy" not in str(chromium.get_log("browser"))
        chromium.find_element("name", "token").send_keys(rest.partition("token=")[2])
        chromium.find_element("tag name", "button").click()
        until(lambda: state(chromium) == "live" and seq(chromium))
        chromium.delete_all_cookies()
        chromium.get(f"http://127.0.0.1{port}{rest}")
        until(lambda: state(chromium) == "live" and seq(chromium))
        assert "token" not in chromium.current_url
        chromium.refresh()
        until(lambda: state(chromium) == "live" and seq(chromium))
