"""Real cameras, on a machine that has them: .venv/bin/pytest -m hardware"""

from __future__ import annotations

import contextlib
import time

import pytest

from fer_edge.frames import SourceOptions, list_cameras, open_source
from fer_edge.records import Frame

pytestmark = pytest.mark.hardware

FRAMES = 30
SPECS = [spec for spec, _ in list_cameras()] or [None]


@pytest.mark.parametrize("spec", SPECS)
def test_a_camera_delivers_closes_and_opens_again(spec: str | None) -> None:
    if spec is None:
        pytest.skip("this machine has no camera: fer-edge cameras")
    for _ in range(2):
        source = open_source(spec, SourceOptions(size=(640, 480), fps=15))
        try:
            frames = taken(source)
        finally:
            source.close()
        moments = [frame.captured for frame in frames]
        assert moments == sorted(set(moments)), "a frame came twice"
        assert time.monotonic() - moments[-1] < 5
        assert {frame.source for frame in frames} == {spec}
        assert frames[-1].image.std() > 0, "the picture is of one level: is the lid on?"


def taken(source) -> list[Frame]:  # type: ignore[no-untyped-def]
    frames: list[Frame] = []
    began = time.monotonic()
    while len(frames) < FRAMES and time.monotonic() - began < 30:
        with contextlib.suppress(TimeoutError):
            frame = source.read()
            assert frame is not None
            frames.append(frame)
    assert len(frames) == FRAMES
    return frames
