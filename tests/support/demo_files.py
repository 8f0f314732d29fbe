"""A clip and a picture with a face, made from the demo."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from fer_edge.contract.errors import SourceError
from fer_edge.frames import SourceOptions
from fer_edge.frames.demo import Demo


def write_demo_files(folder: Path, frames: int) -> None:
    """Write clip.mkv, of so many frames, and photo.jpg, its first; the test skips where there is no demo."""
    try:
        demo = Demo(SourceOptions())
    except SourceError as error:
        pytest.skip(str(error))
    writer = cv2.VideoWriter(str(folder / "clip.mkv"), cv2.VideoWriter.fourcc(*"MJPG"), 30, (640, 480))
    for number in range(frames):
        writer.write(demo.render(number))
    writer.release()
    cv2.imwrite(str(folder / "photo.jpg"), demo.render(0))
