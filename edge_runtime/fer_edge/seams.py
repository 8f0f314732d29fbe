"""The four seams that the loop knows. An implementation knows only its own seam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_edge.records import Detection, Frame, Framing

if TYPE_CHECKING:  # the sinks' package imports the seams
    from fer_edge.publish.event import Event
    from fer_edge.publish.health import SinkHealth


class FrameSource(Protocol):
    """Where frames come from. Opening is done by the constructor, which raises SourceError.

    Attributes:
        dropped: frames that a live source replaced by newer ones before they were read, so far; files
            drop none.
    """

    @property
    def dropped(self) -> int: ...

    def read(self) -> Frame | None:
        """The next frame, or None at the end of a file.

        A live source returns its newest frame and waits for one at most a second or so; then it
        raises TimeoutError and can be read again.

        Raises:
            SourceError: the source is gone or damaged; the sentence says which and what to do.
            SourceHungError: so that this process cannot open it again.
            TimeoutError: no new frame yet.
        """
        ...

    def close(self) -> None:
        """Let the camera or file go; may be called twice."""
        ...


class FaceDetector(Protocol):
    """Where faces are.

    Attributes:
        name: as in `--detector`.
        framing: where a training picture lies relative to this detector's boxes.
    """

    name: str
    framing: Framing

    def detect(self, frame: Frame, expected: Sequence[Detection] = ()) -> Sequence[Detection]:
        """Faces in pixels of `frame.image`, in any order.

        Args:
            frame: where to look.
            expected: the faces of the frame before, predicted to where they should be by now, in the same pixels;
                those that need not be looked for again may be given back.
        """
        ...


class ExpressionClassifier(Protocol):
    """What a face shows."""

    labels: tuple[str, ...]
    side: int

    def classify(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (float32, (number of labels,)) of one crop (uint8, (side, side), grey levels)."""
        ...


class EventSink(Protocol):
    """Where events go. Opening is done by the constructor, which raises PublishError or UsageError.

    Attributes:
        name: for messages, without credentials.
        every_frame: whether events of frames without faces are wanted too.
    """

    name: str
    every_frame: bool

    def publish(self, event: Event) -> None:
        """Take one event; must not block the loop.

        Raises:
            PublishError: this sink cannot go on (folder gone).
            ReaderGoneError: nobody reads it any more (pipe closed), which is no failure.
        """
        ...

    def health(self) -> SinkHealth:
        """The sink's counters; cheap, never waits, may be asked from any thread."""
        ...

    def close(self) -> None:
        """Deliver what is pending within a second and let go; may be called twice."""
        ...
