"""How the page is laid out in a real Chromium, with faces where they are awkward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from browser import DESK, PHONE, dress, keep, opened, text, until
from live_page import Page, feeding

from results import face

pytestmark = pytest.mark.slow

# In a frame of 160x120: beyond each edge, in a corner, and two in the middle.
BOXES = (
    (130.0, 40.0, 40.0, 45.0), (-15.0, 50.0, 30.0, 30.0), (60.0, -12.0, 25.0, 30.0), (60.0, 100.0, 25.0, 30.0),
    (120.0, -5.0, 45.0, 50.0), (70.0, 45.0, 10.0, 10.0), (95.0, 60.0, 12.0, 14.0),
)  # fmt: skip
CROWD = [replace(face(number), box=box) for number, box in enumerate(BOXES, start=1)]


@pytest.fixture
def crowd(chromium: Any, serve: Callable[..., Page]) -> Iterator[Any]:
    """Chromium on a page with seven faces."""
    page = serve()
    with feeding(page, *CROWD):
        yield opened(chromium, page.preview.url)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_every_label_can_be_read_whole_wherever_its_face_is(crowd: Any, size: tuple[int, int]) -> None:
    dress(crowd, size, "light")
    until(lambda: len(crowd.find_elements("css selector", ".box")) == len(CROWD))
    keep(crowd, "crowd-desk" if size == DESK else "crowd-phone")
    stage, *labels = crowd.execute_script(
        "return [document.getElementById('stage'), ...document.querySelectorAll('.box p')].map((e) =>"
        "{ const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; })"
    )
    for label, seen in zip(labels, CROWD, strict=True):
        beyond = max(stage[0] - label[0], stage[1] - label[1], label[2] - stage[2], label[3] - stage[3])
        assert beyond < 1, (seen.id, stage, label)


def test_a_crowd_is_shown_side_by_side(crowd: Any) -> None:
    until(lambda: len(crowd.find_elements("css selector", ".face")) == 6)
    assert text(crowd, ".more") == "and 1 more"
    rows = crowd.execute_script(
        "return [...document.querySelectorAll('.face')].map((e) => e.getBoundingClientRect().top)"
    )
    assert len(set(rows)) == 3, "two cards in a row"
    wide, room = crowd.execute_script(
        "return [...document.querySelectorAll('.face, .face *')].reduce(([w, r], e) =>"
        " [Math.max(w, e.scrollWidth - e.clientWidth), r + (e.clientWidth > 0)], [0, 0])"
    )
    assert room and wide <= 1, "nothing is cut off"
    until(lambda: len(crowd.find_elements("css selector", "#timeline .row:not(.axis)")) == 6)
