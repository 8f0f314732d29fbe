"""YuNet's graph for a TFLite runtime, with the weights of OpenCV Zoo's file.

OpenCV's own dnn module takes five times as long for a window and three times as long for a scan. The
graph is that of Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023: a backbone of
depthwise-separable convolutions, a feature pyramid of three levels, one head a level. Two things are
folded without changing a result: where grey levels stand for all three colours, the first convolution
sums its weights over them; and the four branches of a head are one convolution with 16 outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_edge.contract.digest import sha256
from fer_edge.contract.errors import DetectorError
from fer_edge.faces import onnx
from fer_edge.faces.onnx import Convolution
from fer_edge.faces.tflite_graph import Graph, flatbuffer
from fer_edge.faces.weights import YUNET_SHA256

STRIDES = (8, 16, 32)
"""Pixels between two cells of each level."""
OUTPUTS = 16
"""Of each cell: logit of class and of objectness, offset and log size of the box, five landmarks."""

_Take = Callable[[], Convolution]


def read_weights(path: Path) -> tuple[Convolution, ...]:
    """The 53 convolutions of OpenCV Zoo's .onnx file in order of execution.

    Raises:
        DetectorError: the file cannot be read, or is another one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DetectorError(f"YuNet's weights {path} cannot be read ({error.strerror}); check its rights") from error
    if sha256(data).hexdigest() != YUNET_SHA256:
        raise DetectorError(f"{path} is damaged or not OpenCV Zoo's YuNet; run: fer-edge model pull yunet --force")
    return tuple(onnx.convolutions(data))


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the network that works its way down the picture strip by strip.

    What a strip's neighbours would have added is missing in the rows at its edge. So strips overlap, and the
    result is that of the whole picture.

    Attributes:
        name: of its signature.
        shrink: rows that come in for one that goes out.
        margin: rows of the output at each edge of a strip, but not of the picture, that are wrong.
        rows: of the output, in all.
        strip: of the output, in one strip.
        columns, channels: of the output.
    """

    name: str
    shrink: int
    margin: int
    rows: int
    strip: int
    columns: int
    channels: int

    def strips(self) -> Iterator[tuple[int, int]]:
        """First row of each strip's output, and how many rows of it the strip before knows better."""
        start, wrong = 0, 0
        while True:
            yield start, wrong
            if start + self.strip >= self.rows:
                return
            start, wrong = min(start + self.strip - 2 * self.margin, self.rows - self.strip), self.margin


STEM, MIDDLE, REST = "stem", "middle", "rest"
STEM_MARGIN, MIDDLE_MARGIN = 1, 2
"""Of one convolution of 3x3 in front of a halving, and of four."""
STEM_STRIP, MIDDLE_STRIP = 14, 12
"""Most rows of a part's output that are made at once. A scan of 512x384 holds 9.5 MB and takes 4.1 ms; with 18 and
14 it would be 10.2 MB and 3.8 ms, without strips 20.7 MB and 3.3 ms (x86-64, one thread)."""


def parts(height: int, width: int) -> tuple[Part, Part]:
    """The first two parts of the network for a picture of `height` and `width`, multiples of 32."""
    return (
        _part(STEM, 4, STEM_MARGIN, height // 4, STEM_STRIP, width // 4, 16),
        _part(MIDDLE, 2, MIDDLE_MARGIN, height // 8, MIDDLE_STRIP, width // 8, 64),
    )


def _part(name: str, shrink: int, margin: int, rows: int, most: int, columns: int, channels: int) -> Part:
    # As many strips as that takes, all of one height.
    count = max(1, -(-(rows - 2 * margin) // (most - 2 * margin)))
    strip = -(-(rows + 2 * margin * (count - 1)) // count)
    return Part(name, shrink, margin, rows, strip, columns, channels)


def build(weights: Sequence[Convolution], height: int, width: int, channels: int) -> bytes:
    """A .tflite network for pictures of one size.

    Args:
        weights: as read.
        height, width: of the picture in pixels, multiples of 32.
        channels: 3 for BGR, 1 for grey levels.

    Returns:
        A flatbuffer from (1, height + 1, width + 1, channels) float32 in 0..255, whose first row and column are
        zero, to one (1, height / stride, width / stride, 16) float32 output for each of `STRIDES`.
    """
    take = iter(weights).__next__
    graph = Graph((1, height + 1, width + 1, channels))
    return flatbuffer({"whole": (graph, _rest(graph, _middle(graph, _stem(graph, take), take), take))})


def build_parts(weights: Sequence[Convolution], height: int, width: int, channels: int) -> bytes:
    """The same network in three parts, which share the runtime's memory; see `parts`.

    Returns:
        A flatbuffer with a signature for each part. `STEM` takes a strip of the picture with the row above and the
        column to the left of it (zero at the picture's edge), `MIDDLE` a strip of the stem's output, `REST` all of
        the middle's; the outputs of `REST` are those of `build`.
    """
    take = iter(weights).__next__
    first, second = parts(height, width)
    stem = Graph((1, first.shrink * first.strip + 1, width + 1, channels))
    middle = Graph((1, second.shrink * second.strip, first.columns, first.channels))
    rest = Graph((1, second.rows, second.columns, second.channels))
    return flatbuffer(
        {
            STEM: (stem, [_stem(stem, take)]),
            MIDDLE: (middle, [_middle(middle, 0, take)]),
            REST: (rest, _rest(rest, 0, take)),
        }
    )


def _stem(graph: Graph, take: _Take) -> int:
    """From the picture to a quarter of its size."""
    kernel, bias = take()
    kernel = kernel if graph.shape(0)[3] == 3 else kernel.sum(axis=1, keepdims=True)
    x = graph.convolution(0, kernel, bias, stride=2, relu=True)
    return graph.halved(graph.unit(x, take(), take()))


def _middle(graph: Graph, x: int, take: _Take) -> int:
    """The first two stages, which work at the same resolution, down to an eighth of the picture's size."""
    for _ in range(4):
        x = graph.unit(x, take(), take())
    return graph.halved(x)


def _rest(graph: Graph, x: int, take: _Take) -> list[int]:
    """The other three stages, the feature pyramid and the heads."""
    pyramid = []
    for stage in range(3):
        if stage > 0:
            x = graph.halved(x)
        for _ in range(2):
            x = graph.unit(x, take(), take())
        pyramid.append(x)
    laterals = [(take(), take()) for _ in STRIDES]
    heads = [[(take(), take()) for _ in STRIDES] for _ in range(4)]
    for level, lateral in zip((2, 1, 0), laterals, strict=True):
        x = pyramid[level] if level == 2 else graph.add(pyramid[level], graph.doubled(pyramid[level + 1]))
        pyramid[level] = graph.unit(x, *lateral)
    classes, boxes, objectness, landmarks = heads
    outputs = []
    for level in range(len(STRIDES)):
        branches = [branch[level] for branch in (classes, objectness, boxes, landmarks)]
        pointwise, depthwise = (
            (np.concatenate([b[part][0] for b in branches]), np.concatenate([b[part][1] for b in branches]))
            for part in (0, 1)
        )
        outputs.append(graph.unit(pyramid[level], pointwise, depthwise, relu=False))
    return outputs
