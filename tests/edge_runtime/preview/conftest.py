"""Serves pages for the tests."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from live_page import STATUS, Page

from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.preview import Address, Preview, PreviewOptions
from fer_edge.publish.event import to_event


@pytest.fixture
def serve() -> Iterator[Callable[..., Page]]:
    """Serves a page with the given `PreviewOptions`, on a free port of loopback unless told otherwise."""
    opened: list[Preview] = []

    def make(**options: Any) -> Page:
        status = dict(STATUS)
        preview = Preview(
            PreviewOptions(**{"address": Address("127.0.0.1", 0), **options}),
            labels=FER2013_LABELS,
            about={"device": "pi-kitchen", "run": "9f3c2a", "version": "1"},
            describe=functools.partial(to_event, device="pi-kitchen", run="9f3c2a"),
            status=lambda: status,
        )
        opened.append(preview)
        return Page(preview, status)

    yield make
    for preview in opened:
        preview.close()


@pytest.fixture
def page(serve: Callable[..., Page]) -> Page:
    return serve()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium."""
    driver, binary = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or binary is None:
        pytest.skip("no browser: install Debian's chromium and chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield browser
    finally:
        browser.quit()
