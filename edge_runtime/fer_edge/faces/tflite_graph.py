"""TFLite networks written operator by operator, with the `flatbuffers` package that LiteRT itself requires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from fer_edge.faces.onnx import Convolution

# Numbers of the TFLite schema (tensorflow/compiler/mlir/lite/schema/schema.fbs).
_ADD, _CONV_2D, _DEPTHWISE_CONV_2D, _MAX_POOL_2D, _RESIZE_NEAREST_NEIGHBOR = 0, 3, 4, 17, 97
_OPTIONS = {_ADD: 11, _CONV_2D: 1, _DEPTHWISE_CONV_2D: 2, _MAX_POOL_2D: 5, _RESIZE_NEAREST_NEIGHBOR: 74}
_FLOAT32, _INT32 = 0, 2
_SAME, _VALID = 0, 1
_NONE, _RELU = 0, 1


INPUT = "picture"
"""Name of every network's input."""


class Graph:
    """Operators in order of execution, each with the shape of what it makes; a tensor is its number.

    Args:
        shape: of the only input, tensor 0: batch, rows, columns, channels, float32.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.buffers: list[bytes] = []
        self._tensors: list[tuple[tuple[int, ...], int, int | None]] = []
        self.operators: list[tuple[int, list[int], int, list[tuple[str, int]]]] = []
        self._tensor(shape)

    def shape(self, x: int) -> tuple[int, ...]:
        """Of a tensor."""
        return self._tensors[x][0]

    def _tensor(self, shape: tuple[int, ...], kind: int = _FLOAT32, buffer: int | None = None) -> int:
        self._tensors.append((shape, kind, buffer))
        return len(self._tensors) - 1

    def _constant(self, values: NDArray[Any]) -> int:
        kind = _INT32 if values.dtype == np.int32 else _FLOAT32
        self.buffers.append(np.ascontiguousarray(values).tobytes())
        return self._tensor(values.shape, kind, len(self.buffers) - 1)

    def _operator(self, code: int, inputs: list[int], shape: tuple[int, ...], options: list[tuple[str, int]]) -> int:
        made = self._tensor(shape)
        self.operators.append((code, inputs, made, options))
        return made

    def convolution(
        self, x: int, kernel: NDArray[np.float32], bias: NDArray[np.float32], *, stride: int = 1, relu: bool = False
    ) -> int:
        """A convolution without padding."""
        batch, rows, columns, _ = self._tensors[x][0]
        reach = kernel.shape[2] - 1
        inputs = [x, self._constant(kernel.transpose(0, 2, 3, 1)), self._constant(bias)]
        shape = (batch, (rows - reach - 1) // stride + 1, (columns - reach - 1) // stride + 1, len(bias))
        options = [("int8", _VALID), ("int32", stride), ("int32", stride), ("int8", _RELU if relu else _NONE)]
        return self._operator(_CONV_2D, inputs, shape, options)

    def unit(self, x: int, pointwise: Convolution, depthwise: Convolution, *, relu: bool = True) -> int:
        """YuNet's unit: a 1x1 convolution, then a 3x3 one of each channel alone."""
        x = self.convolution(x, *pointwise)
        kernel, bias = depthwise
        inputs = [x, self._constant(kernel.transpose(1, 2, 3, 0)), self._constant(bias)]
        options = [("int8", _SAME), ("int32", 1), ("int32", 1), ("int32", 1), ("int8", _RELU if relu else _NONE)]
        return self._operator(_DEPTHWISE_CONV_2D, inputs, self._tensors[x][0], options)

    def halved(self, x: int) -> int:
        """The largest of each 2x2 cells."""
        batch, rows, columns, channels = self._tensors[x][0]
        options = [("int8", _VALID), *[("int32", 2)] * 4, ("int8", _NONE)]
        return self._operator(_MAX_POOL_2D, [x], (batch, rows // 2, columns // 2, channels), options)

    def doubled(self, x: int) -> int:
        """Each cell four times."""
        batch, rows, columns, channels = self._tensors[x][0]
        size = self._constant(np.array([2 * rows, 2 * columns], np.int32))
        shape = (batch, 2 * rows, 2 * columns, channels)
        return self._operator(_RESIZE_NEAREST_NEIGHBOR, [x, size], shape, [])

    def add(self, x: int, y: int) -> int:
        """The sum of two tensors of one shape."""
        return self._operator(_ADD, [x, y], self._tensors[x][0], [("int8", _NONE)])

    def write(self, builder: flatbuffers.Builder, outputs: Sequence[int], codes: Sequence[int], first: int) -> int:
        """Put the graph down as a SubGraph.

        Args:
            builder: takes it.
            outputs: tensors.
            codes: operators of the whole model.
            first: number of this graph's first buffer in the model.
        """
        tensors = [
            _table(
                builder,
                [
                    ("offset", _integers(builder, shape)),
                    ("int8", kind),
                    ("uint32", 0 if buffer is None else first + buffer),
                ],
            )
            for shape, kind, buffer in self._tensors
        ]
        operators = [
            _table(
                builder,
                [
                    ("uint32", codes.index(code)),
                    ("offset", _integers(builder, inputs)),
                    ("offset", _integers(builder, [made])),
                    ("uint8", _OPTIONS[code]),
                    ("offset", _table(builder, options)),
                ],
            )
            for code, inputs, made, options in self.operators
        ]
        parts = [_offsets(builder, tensors), _integers(builder, [0]), _integers(builder, outputs)]
        return _table(builder, [("offset", at) for at in (*parts, _offsets(builder, operators))])


def flatbuffer(networks: Mapping[str, tuple[Graph, Sequence[int]]]) -> bytes:
    """One .tflite file.

    Args:
        networks: graphs and their outputs by the names of their signatures; outputs are called `0`, `1` and so on.
    """
    builder = flatbuffers.Builder(1 << 18)
    codes = sorted({code for graph, _ in networks.values() for code, *_ in graph.operators})
    # The schema wants an empty buffer first.
    contents = [b""]
    subgraphs, signatures = [], []
    for number, (name, (graph, outputs)) in enumerate(networks.items()):
        subgraphs.append(graph.write(builder, outputs, codes, len(contents)))
        contents += graph.buffers
        given = _offsets(builder, [_named(builder, INPUT, 0)])
        made = _offsets(builder, [_named(builder, str(place), tensor) for place, tensor in enumerate(outputs)])
        key = builder.CreateString(name)
        slots = [("offset", given), ("offset", made), ("offset", key), ("offset", 0), ("uint32", number)]
        signatures.append(_table(builder, slots))
    buffers = [_table(builder, [("offset", _bytes(builder, data) if data else 0)]) for data in contents]
    # Every code fits the old field of a byte; version 1 is the newest that any of these needs.
    operator_codes = [_table(builder, [("int8", c), ("offset", 0), ("int32", 1), ("int32", c)]) for c in codes]
    parts = [_offsets(builder, operator_codes), _offsets(builder, subgraphs), 0, _offsets(builder, buffers), 0, 0]
    parts.append(_offsets(builder, signatures))
    builder.Finish(_table(builder, [("uint32", 3), *[("offset", at) for at in parts]]), b"TFL3")
    return bytes(builder.Output())


def _named(builder: flatbuffers.Builder, name: str, tensor: int) -> int:
    return _table(builder, [("offset", builder.CreateString(name)), ("uint32", tensor)])


def _table(builder: flatbuffers.Builder, slots: list[tuple[str, int]]) -> int:
    """A table with its fields in the schema's order; an offset of 0 is an absent field."""
    builder.StartObject(len(slots))
    for number, (kind, value) in enumerate(slots):
        if kind == "offset":
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
        else:
            getattr(builder, f"Prepend{kind.capitalize()}Slot")(number, value, None)
    return int(builder.EndObject())


def _bytes(builder: flatbuffers.Builder, data: bytes) -> int:
    # The schema wants buffers aligned to 16 bytes.
    builder.StartVector(1, len(data), 16)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return int(builder.EndVector())


def _integers(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, np.int32)))


def _offsets(builder: flatbuffers.Builder, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())
