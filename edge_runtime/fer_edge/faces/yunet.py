"""YuNet (Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023) on a TFLite runtime."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DetectorError, UsageError
from fer_edge.contract.tflite import open_interpreter
from fer_edge.faces.framing import crop, resized
from fer_edge.faces.search import Scan, window_around
from fer_edge.faces.yunet_network import OUTPUTS, RANGES, STRIDES, build, read_weights
from fer_edge.records import Box, Detection, Frame, Framing

LEAST_SCORE = 0.4
LEAST_SCAN_SCORE = 0.45
"""Of 290 faces that are looked for in windows 0.4 finds 94.8 % and 0.6 finds 91.7. Scans are noisier for being int8:
with 0.4 one saw a hand as a face twice in a row, and `Tracker` believed it. With 0.45 as many of 616 faces on nine
clips are found, and of 3,589 in scenes 0.08 points fewer are right."""
NMS_THRESHOLD = 0.3
WINDOW_SIDE = 64
WINDOW_FACTOR = 1.25
"""Side of a window in pixels, and over the face's longer side. On nine clips 96 pixels and 1.4 find no more
faces (592 of 616 against 594) in twice the time; with 1.7 a tenth is lost."""
MULTIPLE = 32
"""Sides of a network's picture are multiples of the coarsest stride."""


class YuNetDetector:
    """Finds faces and their eyes on a small version of the frame.

    Args:
        weights: the .onnx file (`fer-edge model pull yunet`).
        width: the frame is shrunk to this width in pixels; smaller ones are taken as they are.
        min_face: smallest face in pixels of the frame.
        threads: of the runtime for windows, for which one is the fastest.
        scan_threads: of the runtime for scans; two take 1.2 ms where one takes 1.9 (x86-64).
        least_score, least_scan_score: of a face in a window and in a scan, 0..1.
        quantized: scans are made in int8; in float32, as windows always are, they are OpenCV's to 0.0002.

    Raises:
        DetectorError: the weights cannot be loaded.
    """

    name = "yunet"
    framing = Framing(scale=1.03, rise=-0.02)

    def __init__(
        self, weights: Path, *, width: int = 512, min_face: int = 24, threads: int = 1, scan_threads: int = 1,
        least_score: float = LEAST_SCORE, least_scan_score: float = LEAST_SCAN_SCORE, quantized: bool = True,
    ) -> None:  # fmt: skip
        self._weights = read_weights(weights)
        self._width = width
        self._min_face = min_face
        self._threads, self._scan_threads = threads, scan_threads
        self._least_score, self._least_scan_score, self._quantized = least_score, least_scan_score, quantized
        self._looker: _Cells | None = None
        self._scanner: _Cells | None = None

    def scan(self, frame: Frame) -> Sequence[Detection]:
        """All faces in pixels of `frame.image`, with eyes and score."""
        return self.prepare_scan(frame)()

    def prepare_scan(self, frame: Frame, *, mirrored: bool = False) -> Scan:
        """What `scan` finds, for later, with a small copy of the frame, or in its mirror image."""
        image = frame.image
        seen = image if frame.small is None else frame.small
        if seen.shape[1] > self._width:
            small = resized(seen, (self._width, max(1, round(seen.shape[0] * self._width / seen.shape[1]))))
        else:
            small = seen.copy()
        zoom = (image.shape[1] / small.shape[1], image.shape[0] / small.shape[0])
        return lambda: self._kept(self._scanner_for(small).faces(small, mirrored=mirrored), (0.0, 0.0), zoom)

    def look(self, frame: Frame, box: Box) -> Sequence[Detection]:
        """Faces in a window around `box`, in pixels of `frame.image`, with eyes and score."""
        window = window_around(box, WINDOW_FACTOR)
        zoom = window[2] / WINDOW_SIDE
        shape = (WINDOW_SIDE, WINDOW_SIDE, _channels(frame.image))
        if self._looker is None or self._looker.shape != shape:
            # A window's box is what the crop is made of, and int8 would save 0.02 ms.
            self._looker = _Cells(Network(build(self._weights, *shape), shape, self._threads), self._least_score)
        faces = self._looker.faces(crop(frame.image, window, WINDOW_SIDE))
        return self._kept(faces, window[:2], (zoom, zoom))

    def _scanner_for(self, small: NDArray[np.uint8]) -> _Cells:
        height, width = small.shape[:2]
        shape = (-(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE, _channels(small))
        # A frame seldom has another size than the one before: there is a network for the newest alone.
        if self._scanner is None or self._scanner.shape != shape:
            network = build(self._weights, *shape, ranges=RANGES if self._quantized else None)
            self._scanner = _Cells(Network(network, shape, self._scan_threads), self._least_scan_score)
        return self._scanner

    def _kept(
        self, faces: NDArray[np.float32], corner: tuple[float, float], zoom: tuple[float, float]
    ) -> list[Detection]:
        found = []
        for x, y, width, height, score, *eyes in faces.tolist():
            size = (width * zoom[0], height * zoom[1])
            if max(size) < self._min_face:
                continue
            left, right = sorted(
                (ex * zoom[0] + corner[0], ey * zoom[1] + corner[1]) for ex, ey in (eyes[:2], eyes[2:])
            )
            found.append(Detection((x * zoom[0] + corner[0], y * zoom[1] + corner[1], *size), score, (left, right)))
        return found


def _channels(image: NDArray[np.uint8]) -> int:
    return 1 if image.ndim == 2 else 3


class Network:
    """YuNet for pictures of at most one size.

    Args:
        flatbuffer: what `build` or `build_observed` made for this shape.
        shape: height and width in pixels, multiples of 32, and channels: 3 for BGR, 1 for grey levels.
        threads: of the runtime.
    """

    def __init__(self, flatbuffer: bytes, shape: tuple[int, int, int], threads: int) -> None:
        self.shape = shape
        self._interpreter = _open(flatbuffer, threads)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [details["index"] for details in self._interpreter.get_output_details()]

    def run(self, image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The network's outputs for an image (uint8, (height, width[, 3])) in the upper left of the picture."""
        self._show(image.reshape(*image.shape[:2], -1))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(number) for number in self._outputs]

    def _show(self, image: NDArray[np.uint8]) -> None:
        """Write an image into the runtime's own memory: a picture of ours and a copy of it would be a megabyte."""
        height, width = image.shape[:2]
        given = self._interpreter.tensor(self._input)()[0].reshape(self.shape[0] + 1, self.shape[1] + 2, -1)
        quantized = given.dtype == np.int8
        zero = -128 if quantized else 0
        # In front of the picture there is a row and a column for the first convolution to reach into.
        given[0], given[:, 0] = zero, zero
        # What a larger image left around this one would be looked at too.
        given[height + 1 :], given[:, width + 1 :] = zero, zero
        picture = given[1 : height + 1, 1 : width + 1]
        if quantized:
            np.bitwise_xor(image, np.uint8(0x80), out=picture.view(np.uint8))
        else:
            picture[:] = image


def _open(flatbuffer: bytes, threads: int) -> Any:
    try:
        return open_interpreter(flatbuffer, threads=threads)[0]
    except UsageError:
        raise
    except (ValueError, RuntimeError) as error:
        raise DetectorError(f"this TFLite runtime cannot load YuNet ({error}); install ai-edge-litert") from error


class _Cells:
    """What the network's outputs mean.

    Args:
        network: makes them.
        least: least score of a face.
    """

    def __init__(self, network: Network, least: float) -> None:
        self._network, self.shape = network, network.shape
        height, width, _ = self.shape
        corners = np.concatenate(
            [np.mgrid[: height // stride, : width // stride][::-1].reshape(2, -1).T * stride for stride in STRIDES]
        )
        strides = np.repeat(STRIDES, [height // stride * (width // stride) for stride in STRIDES])
        # Of each cell: its stride, then its corner for the box's centre, its size and either eye.
        self._grid = np.column_stack((strides, corners, corners, corners, corners)).astype(np.float32)
        self._least = least
        # The score is the geometric mean of two probabilities: neither is below its square.
        self._least_logit = math.log(least**2 / (1 - least**2))

    def faces(self, image: NDArray[np.uint8], *, mirrored: bool = False) -> NDArray[np.float32]:
        """Faces in a picture that fills the upper left of the network's.

        Args:
            image: uint8, (height, width) grey levels or (height, width, 3) BGR.
            mirrored: the network sees the mirror image.

        Returns:
            float32, (n, 9), best first: x, y, width, height of the box, score, x and y of either eye; pixels of
            `image`.
        """
        cells = np.concatenate(
            [made.reshape(-1, OUTPUTS) for made in self._network.run(image[:, ::-1] if mirrored else image)]
        )
        likely = (np.minimum(cells[:, 0], cells[:, 1]) > self._least_logit).nonzero()[0]
        cells, grid = cells[likely], self._grid[likely]
        strides, faces = grid[:, :1], np.empty((len(likely), 9), np.float32)
        points = cells[:, 2:10] * strides + grid[:, 1:]
        faces[:, 2:4] = np.exp(cells[:, 4:6]) * strides
        faces[:, :2] = points[:, :2] - faces[:, 2:4] / 2
        odds = 1 + np.exp(-cells[:, :2])
        faces[:, 4] = 1 / np.sqrt(odds[:, 0] * odds[:, 1])
        faces[:, 5:] = points[:, 4:]
        if mirrored:
            faces[:, 0] += faces[:, 2]
            faces[:, [0, 5, 7]] = image.shape[1] - faces[:, [0, 5, 7]]
        best = cv2.dnn.NMSBoxes(faces[:, :4], faces[:, 4], self._least, NMS_THRESHOLD)  # type: ignore[arg-type]
        return cast("NDArray[np.float32]", faces[np.asarray(best, int)])
