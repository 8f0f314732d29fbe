"""What a .tflite flatbuffer asks of the runtime, read before the runtime sees it.

LiteRT runs whatever a model file describes, and trusts its sizes. This reader follows the few tables of the
TFLite schema that name operators and tensors (tensorflow/compiler/mlir/lite/schema/schema.fbs), never leaves
the buffer, and lets only networks through: no custom or control-flow operators, no variables, no giants.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

from fer_edge.contract.errors import ModelFileError

MAX_OPERATORS = 4096
MAX_TENSORS = 16384
MAX_TENSOR_BYTES = 64 * 1024 * 1024
"""Of all tensors of a network together; mini-Xception's have under 1 MB."""

_OPERATORS = frozenset((
    0, 1, 2, 3, 4, 6, 9, 11, 14, 17, 18, 19, 20, 21, 22, 23, 25, 28, 34, 36, 39, 40, 41, 43, 45, 47, 49, 54, 55, 57,
    60, 65, 70, 74, 75, 76, 82, 83, 88, 89, 92, 97, 98, 99, 100, 101, 102, 105, 111, 114, 117, 126, 130, 150, 152,
))  # fmt: skip
"""BuiltinOperator codes of arithmetic, convolution, pooling, activation, reduction and shape."""

_INT8 = {2: 4, 9: 1}
_FLOAT = {0: 4, 1: 2, 17: 1}
"""TensorType codes and their bytes an element: INT32 and INT8; FLOAT32, FLOAT16 and INT4 besides."""

_PLACEHOLDER = 127
"""In the old one-byte field: the code is in the new field."""


def check_network(flatbuffer: bytes, name: str, *, allow_float: bool = False) -> None:
    """Refuse a flatbuffer that is more than a network, or a damaged one.

    Args:
        flatbuffer: a .tflite file without what is appended to it.
        name: of the model, for messages.
        allow_float: accept tensors of floats too.

    Raises:
        ModelFileError: it holds an operator, a tensor type or a size that no expression network needs.
    """
    try:
        _check(_Buffer(flatbuffer), name, _INT8 | _FLOAT if allow_float else _INT8)
    except (struct.error, IndexError) as error:
        raise ModelFileError(f"model {name!r} is not a readable flatbuffer; convert it again") from error


def _check(data: _Buffer, name: str, types: dict[int, int]) -> None:
    model = data.root()
    graphs = list(data.tables(model, 2, limit=1))
    if len(graphs) != 1:
        raise ModelFileError(f"model {name!r} has {len(graphs)} subgraphs where a network has one")
    for code in data.tables(model, 1, limit=MAX_OPERATORS):
        old, new = data.number(code, 0, "b"), data.number(code, 3, "i")
        builtin = max(old, new) if old != _PLACEHOLDER else new
        if builtin not in _OPERATORS:
            raise ModelFileError(f"model {name!r} holds operator {builtin}, which no expression network needs")
    if sum(1 for _ in data.tables(graphs[0], 3, limit=MAX_OPERATORS)) == 0:
        raise ModelFileError(f"model {name!r} holds no operators")
    total = 0
    for tensor in data.tables(graphs[0], 0, limit=MAX_TENSORS):
        kind = data.number(tensor, 1, "b")
        if kind not in types or data.number(tensor, 5, "b"):
            raise ModelFileError(
                f"model {name!r} holds tensors that no int8 network has (type {kind}); use fer-convert --int8"
            )
        shape = data.numbers(tensor, 0)
        if any(size < 1 for size in shape):
            raise ModelFileError(f"model {name!r} holds a tensor of shape {shape}; sizes have to be fixed")
        total += math.prod(shape) * types[kind]
    if total > MAX_TENSOR_BYTES:
        raise ModelFileError(f"model {name!r} needs {total} bytes of tensors; at most {MAX_TENSOR_BYTES}")


class _Buffer:
    """Tables, vectors and numbers of a flatbuffer (flatbuffers.dev/internals), by position."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def root(self) -> int:
        return self._read("I", 0)

    def number(self, table: int, field: int, form: str) -> int:
        at = self._field(table, field)
        return self._read(form, at) if at else 0

    def numbers(self, table: int, field: int) -> tuple[int, ...]:
        start, length = self._vector(table, field, limit=8)
        return tuple(self._read("i", start + 4 * number) for number in range(length))

    def tables(self, table: int, field: int, *, limit: int) -> Iterator[int]:
        start, length = self._vector(table, field, limit=limit)
        for at in range(start, start + 4 * length, 4):
            yield at + self._read("I", at)

    def _vector(self, table: int, field: int, *, limit: int) -> tuple[int, int]:
        at = self._field(table, field)
        if not at:
            return 0, 0
        start = at + self._read("I", at)
        length = self._read("I", start)
        if length > limit:
            raise IndexError
        return start + 4, length

    def _field(self, table: int, field: int) -> int:
        vtable = table - self._read("i", table)
        entry = 4 + 2 * field
        offset = self._read("H", vtable + entry) if entry < self._read("H", vtable) else 0
        return table + offset if offset else 0

    def _read(self, form: str, at: int) -> int:
        if at < 0:  # unpack_from would count from the end
            raise IndexError
        value: int = struct.unpack_from("<" + form, self._data, at)[0]
        return value
