import importlib.util
import sys
import time

import numpy as np
import pytest

from fer_edge.contract.errors import SourceError
from fer_edge.frames.demo import Demo, picture_path
from fer_edge.frames.options import SourceOptions

needs_picture = pytest.mark.skipif(importlib.util.find_spec("skimage") is None, reason="needs the demo extra")


@needs_picture
def test_a_frame_depends_on_its_number_alone() -> None:
    one, other = Demo(SourceOptions()), Demo(SourceOptions())
    seventh = one.render(7).copy()
    for number in (3, 90, 7):
        again = other.render(number)
    np.testing.assert_array_equal(seventh, again)
    assert seventh.shape == (480, 640, 3) and seventh.dtype == np.uint8
    assert "skimage" not in sys.modules


@needs_picture
def test_it_moves_and_has_noise() -> None:
    demo = Demo(SourceOptions())
    now, next_, later = (demo.render(n).astype(int) for n in (0, 1, 60))
    assert 1 < np.abs(next_ - now).mean() < 15  # noise and a little motion
    assert np.abs(later - now).mean() > 15  # the face went elsewhere


@needs_picture
def test_it_never_runs_faster_than_its_clock_and_drops_what_nobody_read() -> None:
    demo = Demo(SourceOptions(fps=50, size=(160, 120)))
    began = time.monotonic()
    frames = [demo.read() for _ in range(11)]
    assert time.monotonic() - began >= 10 / 50 - 0.005
    assert frames[0].image.shape == (120, 160, 3)
    assert (np.diff([f.captured for f in frames]) > 0).all() and abs(frames[-1].time - time.time()) < 1
    before = demo.dropped
    time.sleep(0.2)
    demo.read()
    assert 8 <= demo.dropped - before <= 100


@needs_picture
def test_a_slow_demo_times_out_and_can_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.frames.demo._WAIT_S", 0.1)
    demo = Demo(SourceOptions(fps=5, size=(64, 48)))
    demo.read()
    with pytest.raises(TimeoutError):
        demo.read()
    assert demo.read().image.shape == (48, 64, 3)


@needs_picture
def test_the_astronauts_face_is_found_in_most_frames() -> None:
    import cv2

    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    demo = Demo(SourceOptions())
    found = 0
    for number in range(0, 300, 30):
        gray = cv2.cvtColor(demo.render(number), cv2.COLOR_BGR2GRAY)
        found += len(cascade.detectMultiScale(gray, 1.2, 4, minSize=(100, 100))) > 0
    assert found >= 8


def test_without_scikit_image_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match="pip install --no-deps scikit-image"):
        picture_path()
