"""What a viewer may see: never more than the settings allow and a viewer has chosen."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from live_page import Page, events, frame, pictures

from results import result

pytestmark = pytest.mark.slow

TOKEN = "0123456789abcdef"
Serve = Callable[..., Page]


@pytest.mark.parametrize("mode", ["boxes", "off"])
def test_a_picture_that_is_switched_off_ends_and_cannot_be_had(page: Page, mode: str) -> None:
    with page.stream("/events") as stream, page.stream("/stream.mjpg") as film:
        page.until(film, b"--frame")
        assert page.ask("POST", "/privacy", mode)[0] == 200
        film.settimeout(3)
        while film.recv(1 << 20):
            pass
        assert page.ask("GET", "/stream.mjpg")[0] == 403
        got = events(page.until(stream, f'"view":null,"mode":"{mode}"'.encode()))
    assert any(kind == "status" and data["mode"] == mode for kind, data in got)
    assert page.ask("POST", "/privacy", "picture")[0] == 200
    with page.stream("/stream.mjpg") as film:
        page.until(film, b"--frame")


def test_blurred_faces_leave_blurred_and_stay_so_while_the_detector_misses_them(serve: Serve) -> None:
    page = serve(most="blurred")
    noisy = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    shown = frame()
    shown.image[:] = noisy
    with page.stream("/stream.mjpg") as film:
        got, began = b"", time.monotonic()
        film.settimeout(0.02)
        while time.monotonic() - began < 0.8:
            page.show(shown, result() if time.monotonic() - began > 0.4 else None)
            try:
                got += film.recv(1 << 20)
            except TimeoutError:
                continue
    seen = [picture for _, picture in pictures(got)]
    assert len(seen) >= 4
    for picture in seen:
        assert picture[35:65, 45:75].std(axis=(0, 1)).max() < 25, "the face can be made out"
        # Somebody whom nobody has found yet may be anywhere: of noise nothing is left but its mean.
        assert picture[:10, :20].std() < 40


def test_the_page_cannot_show_more_than_the_settings_allow(serve: Serve) -> None:
    page = serve(most="boxes")
    assert page.ask("POST", "/privacy", "picture")[0] == 403
    assert page.ask("POST", "/privacy", "blurred")[0] == 403
    assert page.ask("GET", "/stream.mjpg")[0] == 403
    assert page.ask("POST", "/privacy", "off")[0] == 200
    assert page.ask("POST", "/privacy", "nonsense")[0] == 403
