"""The weights of an ONNX file's convolutions, read without a runtime: OpenCV's dnn module costs 4 MB that stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Convolution = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Kernel (float32, (out, in, rows, columns)) and bias (float32, (out,))."""

# Field numbers of onnx.proto: ModelProto, GraphProto, NodeProto, TensorProto; TensorProto.DataType.
_GRAPH = 7
_NODE, _INITIALIZER = 1, 5
_INPUT, _OP_TYPE = 1, 4
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_FLOAT = 1

# Wire types of Protocol Buffers.
_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}


def convolutions(model: bytes) -> list[Convolution]:
    """Every `Conv` of the graph, in its order, which is one of execution.

    Args:
        model: a file known to be good, whose convolutions have biases and whose weights are raw float32.
    """
    (graph,) = (part for field, part in _fields(memoryview(model)) if field == _GRAPH)
    tensors: dict[bytes, NDArray[np.float32]] = {}
    named = []
    for field, part in _fields(graph):
        parts = dict(_fields(part)) if field in (_INITIALIZER, _NODE) else {}
        # Shapes that `Reshape` takes are initializers too, of integers.
        if field == _INITIALIZER and parts[_DATA_TYPE] == _FLOAT:
            shape = [size for key, size in _fields(part) if key == _DIMS]
            tensors[bytes(parts[_NAME])] = np.frombuffer(parts[_RAW_DATA], "<f4").reshape(shape)
        elif field == _NODE and parts[_OP_TYPE] == b"Conv":
            _, kernel, bias = (bytes(name) for key, name in _fields(part) if key == _INPUT)
            named.append((kernel, bias))
    return [(tensors[kernel], tensors[bias]) for kernel, bias in named]


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Numbers and values (int or memoryview) of a message's fields (Protocol Buffers, Encoding)."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        field, wire = divmod(varint(), 8)
        if wire == _VARINT:
            yield field, varint()
            continue
        size = varint() if wire == _LENGTH_DELIMITED else _FIXED_BYTES[wire]
        yield field, message[at : at + size]
        at += size
