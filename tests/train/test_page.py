"""What a page promises: all text escaped, nothing loaded from anywhere, readable by programs too."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.contract.errors import DataError
from fer_train import page

PNG = cv2.imencode(".png", np.arange(48 * 48, dtype=np.uint8).reshape(48, 48))[1].tobytes()
NASTY = "<script>alert(1)</script> & \"quoted\" 'text'"


class Reader(HTMLParser):
    """Text, attributes and balance of a page, as a browser would take it apart."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.tags if name == tag]


def written(tmp_path: Path, *parts: page.Html, title: str = "t", lead: str = "l") -> str:
    page.write(tmp_path / "page.html", title, lead, parts)
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def everything(text: str) -> list[page.Html]:
    return [
        page.section(text, page.paragraph(text), page.facts({text: text})),
        page.table([text, text], [(text, text)]),
        page.picture(PNG, text, text),
        page.folded(text, page.preformatted(text)),
    ]


def test_every_text_is_escaped_once(tmp_path: Path) -> None:
    html = written(tmp_path, *everything(NASTY), title=NASTY, lead=NASTY)
    found = Reader(html)
    assert found.text.count(NASTY) == 15  # the section is in the contents, too
    assert found.all("script") == []
    assert found.all("img")[0]["alt"] == NASTY


def test_facts_without_a_value_are_left_out() -> None:
    html = page.facts({"a": 0, "b": "", "c": None, "d": False})
    assert [name for name in "abcd" if f">{name}</th>" in html] == ["a", "d"]


@given(st.text())
def test_any_text_leaves_the_page_whole(text: str) -> None:
    Reader("".join(everything(text)))


def test_nothing_comes_from_anywhere_else(tmp_path: Path) -> None:
    html = written(tmp_path, *everything("x"))
    assert not re.search(r"(src|href|url\(|@import|http)\W*(https?:)?//", html)
    policy = next(tag["content"] for tag in Reader(html).all("meta") if "http-equiv" in tag)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_pictures_are_inside_to_the_last_byte(tmp_path: Path) -> None:
    source = Reader(written(tmp_path, page.picture(PNG, "a"))).all("img")[0]["src"]
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == PNG


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=8
    )
)
def test_what_is_embedded_comes_back(value: Any) -> None:
    html = page.embedded("results", value)
    inside = html.removeprefix('<script type="application/json" id="results">').removesuffix("</script>")
    assert "<" not in inside
    assert json.loads(inside) == value


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no/page\.html cannot be written \(No such file"):
        page.write(tmp_path / "no" / "page.html", "t", "l", [])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(tmp_path: Path, scheme: str) -> None:
    """Chromium shows the picture, complains of nothing, and writes light on dark where that is wished for."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary, driver = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
    if not binary.exists() or not driver.exists():
        pytest.skip("Chromium and its driver are not installed")
    options = selenium.ChromeOptions()
    options.binary_location = str(binary)
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    written(tmp_path, *everything("x"), page.embedded("results", {"a": 1}))
    browser = selenium.Chrome(options=options, service=selenium.ChromeService(str(driver)))
    try:
        wish = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
        browser.get((tmp_path / "page.html").as_uri())
        assert browser.get_log("browser") == []
        assert browser.execute_script("return document.querySelector('img').naturalWidth") == 48
        assert browser.execute_script("return JSON.parse(document.getElementById('results').textContent)") == {"a": 1}
        assert browser.execute_script("return document.body.scrollWidth <= window.innerWidth")
        ink, paper = (
            sum(map(int, re.findall(r"\d+", browser.execute_script(f"return getComputedStyle(document.body).{key}"))))
            for key in ("color", "backgroundColor")
        )
        assert (ink > paper) == (scheme == "dark")
    finally:
        browser.quit()
