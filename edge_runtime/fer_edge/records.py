"""The records that go from room to room: Frame -> Detection -> Face -> FrameResult."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels; x grows to the right, y downwards; may leave the frame."""

CLOCK_JUMP_S = 1.0
"""A wall clock that moves so much against the monotonic one was set; NTP slews by less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture from a source, valid until the source is read again: sources reuse their buffers.

    Attributes:
        image: uint8, (height, width) luma or (height, width, 3) BGR: what is looked at.
        time: wall-clock time of capture, seconds since the epoch (for people and events); a video file's begin
            when it is opened.
        captured: `time.monotonic()` of capture, seconds (for intervals, and for the ages of live frames);
            a video file's advance by the clip's own clock, whatever the speed at which it is read.
        source: name of the source, without credentials.
        name: for files, which frame of which file (`clip.mkv#120`, `photo.jpg`).
        small: uint8, (h, w) luma of the same view in lower resolution where the camera delivers one
            (`lores`); detectors use it instead of shrinking `image`.
        offset: x and y of `image`'s corner in the full frame, where only a region is looked at.
        full_size: width and height of the full frame; None means that `image` is all of it.
        independent: a still that has nothing to do with the frame before it.
        capture_ms: time that reading and decoding took, in milliseconds.
    """

    image: NDArray[np.uint8]
    time: float
    captured: float
    source: str
    name: str | None = None
    small: NDArray[np.uint8] | None = None
    offset: tuple[int, int] = (0, 0)
    full_size: tuple[int, int] | None = None
    independent: bool = False
    capture_ms: float = 0.0

    def __post_init__(self) -> None:
        image = self.image
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0 or image.shape[2:] not in ((), (3,)):
            raise ValueError(
                f"a frame is uint8 (height, width) or (height, width, 3) and not empty, got {image.dtype} {image.shape}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the full frame in pixels."""
        return self.full_size or (self.image.shape[1], self.image.shape[0])

    @property
    def live(self) -> bool:
        """Whether it comes from something that goes on by itself; frames of files have names."""
        return self.name is None


@dataclass(frozen=True, slots=True)
class Detection:
    """Where a face is.

    Attributes:
        box: in pixels of the frame's `image`.
        score: confidence 0..1, or None where the detector has none (Haar).
        eyes: the centres of both eyes as x, y pixels, the one further left in the picture first; None
            where the detector finds no landmarks.
        predicted: it was not looked for in this frame: it was going to be there.
    """

    box: Box
    score: float | None = None
    eyes: tuple[tuple[float, float], tuple[float, float]] | None = None
    predicted: bool = False

    def __post_init__(self) -> None:
        if not (self.box[2] > 0 and self.box[3] > 0):
            raise ValueError(f"a detection needs a width and a height over 0, got box {self.box}")


@dataclass(frozen=True, slots=True)
class Framing:
    """Where a FER2013 picture lies relative to a detector's box.

    Attributes:
        scale: side of the picture over the geometric mean of the box's sides.
        rise: how far the picture's centre lies above the box's centre, in box heights.
    """

    scale: float
    rise: float

    def square(self, box: Box) -> Box:
        """The square around the face as FER2013 would frame it, in the box's pixels."""
        x, y, width, height = box
        side = self.scale * (width * height) ** 0.5
        return (x + (width - side) / 2, y + (height - side) / 2 - self.rise * height, side, side)


@dataclass(frozen=True, slots=True)
class Track:
    """A detection that was recognised as the continuation of earlier ones.

    Attributes:
        id: positive, unique within a run, never used again.
        detection: where it is in the newest frame.
    """

    id: int
    detection: Detection


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A tracked face and its expression.

    Attributes:
        id: the track's id.
        box: in pixels of the full frame.
        score: the detector's confidence 0..1, or None.
        probabilities: float32, (number of labels,), of this frame alone, in label order; sums to 1
            within quantization.
        expression: the label with the highest probability in this frame.
        confidence: that probability.
        stable: the label smoothed over time, or `"uncertain"`.
        stable_since: wall-clock time at which `stable` began, seconds since the epoch.
        predicted: the box is where the face was going to be; it was not looked for in this frame.
    """

    id: int
    box: Box
    score: float | None
    probabilities: NDArray[np.float32]
    expression: str
    confidence: float
    stable: str
    stable_since: float
    predicted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameResult:
    """All that is known about one frame once it went through the loop; holds no picture.

    Attributes:
        seq: number of the frame in this run, from 0.
        time: wall-clock time of capture, seconds since the epoch.
        age_ms: from capture until this record was made, milliseconds.
        width, height: of the full frame, pixels.
        source, name: as in `Frame`.
        labels: names of the probabilities, in their order.
        faces: in order of their ids.
        stages_ms: time each stage took: `capture`, `detect`, `classify`, `other`; milliseconds.
        dropped: frames of this run that a live source replaced by newer ones before they were looked at, so far.
    """

    seq: int
    time: float
    age_ms: float
    width: int
    height: int
    source: str
    name: str | None
    labels: tuple[str, ...]
    faces: tuple[Face, ...]
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    dropped: int = 0

    @property
    def live(self) -> bool:
        """As `Frame.live`."""
        return self.name is None
