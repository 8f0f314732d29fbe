"""What a person does with the live page in a Chromium, and what they see."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).resolve().parents[2] / "test-output" / "preview"
DESK, PHONE = (1440, 960), (390, 844)
TRANSITIONS_S = 0.5
"""A little longer than the longest transition of the page's style sheet."""


def opened(browser: Any, url: str) -> Any:
    dress(browser, DESK, "light")
    browser.get(url)
    until(lambda: state(browser) == "live" and seq(browser))
    return browser


def dress(browser: Any, size: tuple[int, int], scheme: str) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE},
    )


def keep(browser: Any, name: str) -> None:
    time.sleep(TRANSITIONS_S)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    (OUTPUT / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


def until(condition: Callable[[], Any], limit_s: float = 40.0) -> Any:
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)
    return found


def text(browser: Any, selector: str) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector))


def state(browser: Any) -> str:
    """What the page says of its connection; empty on another page, such as the one that a click is about to leave."""
    return str(browser.execute_script("return document.getElementById('state')?.dataset.state ?? ''"))


def seq(browser: Any) -> str:
    """A digest of what the canvas shows; empty where it shows nothing."""
    return str(
        browser.execute_script(
            "const c = document.getElementById('picture');"
            "if (!c) return '';"
            "const d = c.getContext('2d').getImageData(0, c.height >> 1, c.width, 2).data;"
            "let sum = 0, any = 0;"
            "for (let i = 0; i < d.length; i += 7) { sum = (sum * 31 + d[i]) % 1000000007; any |= d[i]; }"
            "return any ? String(sum) : ''"
        )
    )
