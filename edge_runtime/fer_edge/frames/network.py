"""A network stream through OpenCV's FFmpeg: rtsp, rtmp, http, udp, tcp."""

from __future__ import annotations

import cv2

from fer_edge.contract.errors import SourceError
from fer_edge.contract.redaction import redact
from fer_edge.frames.live import LiveCapture

OPEN_TIMEOUT_MS = 5000
READ_TIMEOUT_MS = 2500

MAX_PIXELS = 4096 * 4096
"""Of a picture: 50 MB. A sender that may choose could fill the memory of a board with one frame."""

_NAME_LOOKUP_S = 3.0
"""FFmpeg's timeout starts only once the host's name is resolved."""


class NetworkStream(LiveCapture):
    """A live stream; its name is the URL without credentials."""

    hung_s = READ_TIMEOUT_MS / 1000 + 0.5

    def __init__(self, url: str) -> None:
        """Open it; at most eight seconds.

        Raises:
            SourceError: the address does not answer, or answers with no video or with pictures over `MAX_PIXELS`.
        """
        self._url = url
        super().__init__(redact(url), open_timeout_s=OPEN_TIMEOUT_MS / 1000 + _NAME_LOOKUP_S)

    def _late(self, sentence: str) -> SourceError:
        return SourceError(sentence)  # a name that is looked up for long; the resolver gives up by itself

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(
            self._url,
            cv2.CAP_FFMPEG,
            [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                OPEN_TIMEOUT_MS,
                cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                READ_TIMEOUT_MS,
                # Decoding on several threads holds back as many frames as there are threads.
                cv2.CAP_PROP_N_THREADS,
                1,
            ],
        )
        if not capture.isOpened():
            raise SourceError(f"{self.name} cannot be opened as a video stream; {self._advice()}")
        # Once is enough: OpenCV shrinks what grows later to this size.
        width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height > MAX_PIXELS:
            capture.release()
            raise SourceError(
                f"{self.name} sends pictures of {width:.0f}x{height:.0f} pixels, more than {MAX_PIXELS:,}; "
                "set a smaller size there"
            )
        return capture

    def _advice(self) -> str:
        return "check the address, its user and password, and that the sender is on"
