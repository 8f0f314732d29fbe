from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.contract.errors import ConfigError
from fer_edge.frames.options import FLIPS, ROTATIONS, SourceOptions
from fer_edge.frames.transform import Transformed
from fer_edge.records import Frame


class OneFrame:
    """A source that shows the same picture for ever."""

    def __init__(self, image: Any, small: Any = None) -> None:
        self.frame = Frame(image=image, small=small, time=1.0, captured=2.0, source="test", name="a.png")
        self.closed = 0

    def read(self) -> Frame:
        return self.frame

    def close(self) -> None:
        self.closed += 1


def picture(height: int, width: int, *channels: int) -> Any:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, *channels), np.uint8)


@given(
    rotate=st.sampled_from(ROTATIONS),
    flip=st.sampled_from(FLIPS),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.sampled_from([(), (3,)]),
)
def test_turns_clockwise_then_mirrors_like_numpy(
    rotate: int, flip: str, height: int, width: int, channels: tuple[int, ...]
) -> None:
    image, small = picture(height, width, *channels), picture(height, width + 1)
    before = image.copy()
    source = Transformed(OneFrame(image, small), SourceOptions(rotate=rotate, flip=flip))
    for _ in range(2):  # the second time into the buffers of the first
        frame = source.read()
        assert frame is not None and frame.small is not None
        for got, original in ((frame.image, image), (frame.small, small)):
            expected = np.rot90(original, -rotate // 90)
            expected = expected[:, ::-1] if "h" in flip else expected
            expected = expected[::-1] if "v" in flip else expected
            np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(image, before)


def test_turning_reuses_its_buffer() -> None:
    source = Transformed(OneFrame(picture(48, 64, 3)), SourceOptions(rotate=90))
    first, second = source.read(), source.read()
    assert first is not None and second is not None
    assert np.shares_memory(first.image, second.image)


def test_a_region_is_a_view_that_knows_where_it_lies() -> None:
    image, small = picture(480, 640), picture(240, 320)
    source = Transformed(OneFrame(image, small), SourceOptions(roi=(100, 40, 200, 120)))
    frame = source.read()
    assert frame is not None and frame.small is not None
    assert np.shares_memory(frame.image, image) and np.shares_memory(frame.small, small)
    np.testing.assert_array_equal(frame.image, image[40:160, 100:300])
    np.testing.assert_array_equal(frame.small, small[20:80, 50:150])
    assert (frame.offset, frame.size) == ((100, 40), (640, 480))
    assert (frame.name, frame.time, frame.captured) == ("a.png", 1.0, 2.0)


def test_a_region_is_counted_in_the_turned_frame() -> None:
    source = Transformed(OneFrame(picture(480, 640)), SourceOptions(rotate=90, roi=(0, 600, 480, 40)))
    frame = source.read()
    assert frame is not None
    assert (frame.image.shape, frame.size) == ((40, 480), (480, 640))


def test_a_region_too_small_for_the_small_picture_leaves_it_out() -> None:
    source = Transformed(OneFrame(picture(480, 640), picture(24, 32)), SourceOptions(roi=(2, 2, 4, 4)))
    frame = source.read()
    assert frame is not None and frame.small is None


@pytest.mark.parametrize("roi", [(600, 0, 41, 10), (0, 480, 1, 1)])
def test_a_region_outside_the_frame_is_refused_with_the_frames_size(roi: tuple[int, int, int, int]) -> None:
    with pytest.raises(ConfigError, match="640x480"):
        Transformed(OneFrame(picture(480, 640)), SourceOptions(roi=roi)).read()


def test_closes_its_source() -> None:
    inner = OneFrame(picture(4, 4))
    Transformed(inner, SourceOptions(flip="h")).close()
    assert inner.closed == 1


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"rotate": 45}, "45"),
        ({"flip": "x"}, "'x'"),
        ({"fps": 0.0}, "fps 0"),
        ({"fps": float("nan")}, "fps nan"),
        ({"size": (0, 480)}, "0x480"),
        ({"lores": (320, 1)}, "320x1"),
        ({"roi": (-1, 0, 5, 5)}, "-1,0,5,5"),
        ({"roi": (0, 0, 0, 5)}, "0,0,0,5"),
    ],
)
def test_options_out_of_range_are_refused_by_name(setting: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        SourceOptions(**setting)
