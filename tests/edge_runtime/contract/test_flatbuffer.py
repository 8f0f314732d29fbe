"""What a flatbuffer asks for is read without the runtime, and refused where it is more than a network."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.contract import flatbuffer, model_file
from fer_edge.contract.errors import ModelFileError
from fer_edge.contract.flatbuffer import check_network
from fer_edge.contract.shipped import shipped_model

INT8, FLOAT32, VARIANT = 9, 0, 14
CONV_2D, RESHAPE, CUSTOM, CALL_ONCE, IF = 3, 22, 32, 129, 118


def table(fields: dict[int, bytes], children: dict[int, bytes]) -> bytes:
    """A flatbuffer table: vtable, then the table with scalars and offsets, then what the offsets point at."""
    count = max([*fields, *children], default=-1) + 1
    body, places = b"", {}
    for field, value in fields.items():
        places[field] = 4 + len(body)
        body += value.ljust(4, b"\0")
    for field in children:
        places[field] = 4 + len(body)
        body += b"\0" * 4
    vtable = struct.pack("<HH", 4 + 2 * count, 4 + len(body)) + b"".join(
        struct.pack("<H", places.get(field, 0)) for field in range(count)
    )
    vtable += b"\0" * (-len(vtable) % 4)
    made = bytearray(vtable + struct.pack("<i", len(vtable)) + body)
    for field, child in children.items():
        at = len(vtable) + places[field]
        start, made = len(made), made + child
        # A vector's offset points at its length, a table's at the table behind its vtable.
        made[at : at + 4] = struct.pack("<I", start - at)
    return bytes(made)


def vector(elements: list[bytes]) -> bytes:
    """A vector of tables: length, offsets, the tables."""
    made = bytearray(struct.pack("<I", len(elements)) + b"\0" * 4 * len(elements))
    for number, element in enumerate(elements):
        at = 4 + 4 * number
        table_at = len(made) + struct.unpack_from("<H", element)[0]
        table_at += -struct.unpack_from("<H", element)[0] % 4
        made[at : at + 4] = struct.pack("<I", table_at - at)
        made += element
    return bytes(made)


def numbers(values: list[int]) -> bytes:
    return struct.pack(f"<I{len(values)}i", len(values), *values)


def code(builtin: int, *, old: bool = False) -> bytes:
    return table({0: struct.pack("<b", builtin)} if old else {0: b"\x7f", 3: struct.pack("<i", builtin)}, {})


def tensor(shape: list[int], kind: int = INT8, *, variable: bool = False) -> bytes:
    fields = {1: struct.pack("<b", kind)} | ({5: b"\1"} if variable else {})
    return table(fields, {0: numbers(shape)})


def model(codes: list[bytes], tensors: list[bytes], *, operators: int = 1, subgraphs: int = 1) -> bytes:
    graph = table({}, {0: vector(tensors), 3: vector([table({}, {})] * operators)})
    root = table({}, {1: vector(codes), 2: vector([graph] * subgraphs)})
    start = struct.unpack_from("<H", root)[0]
    return struct.pack("<I4s", 8 + start + -start % 4, b"TFL3") + root


GOOD = [tensor([1, 48, 48, 1]), tensor([1, 7])]


def test_the_shipped_network_passes() -> None:
    check_network(model_file.read(shipped_model()).flatbuffer, "mini")


def test_a_plain_network_passes_in_both_spellings_of_operators() -> None:
    check_network(model([code(CONV_2D), code(RESHAPE, old=True)], GOOD), "plain")


@pytest.mark.parametrize("builtin", [CUSTOM, CALL_ONCE, IF, 5000, -1])
def test_operators_that_no_network_needs_are_refused(builtin: int) -> None:
    with pytest.raises(ModelFileError, match=f"operator {builtin}"):
        check_network(model([code(CONV_2D), code(builtin)], GOOD), "odd")


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ([*GOOD, tensor([1, 7], FLOAT32)], "type 0"),
        ([*GOOD, tensor([1, 7], VARIANT)], "type 14"),
        ([*GOOD, tensor([1, 7], variable=True)], "no int8 network has"),
        ([*GOOD, tensor([-1, 7])], "sizes have to be fixed"),
        ([*GOOD, tensor([0])], "sizes have to be fixed"),
        ([*GOOD, tensor([40_000, 40_000])], "at most"),
        ([*GOOD, tensor([1] * 9)], "not a readable flatbuffer"),
    ],
)
def test_tensors_that_no_network_needs_are_refused(tensors: list[bytes], words: str) -> None:
    with pytest.raises(ModelFileError, match=words):
        check_network(model([code(CONV_2D)], tensors), "odd")


def test_floats_pass_where_they_are_asked_for() -> None:
    check_network(model([code(CONV_2D)], [*GOOD, tensor([1, 7], FLOAT32)]), "float", allow_float=True)


def test_only_one_graph_with_operators_passes() -> None:
    for wrong in (model([code(CONV_2D)], GOOD, operators=0), model([code(CONV_2D)], GOOD, subgraphs=0)):
        with pytest.raises(ModelFileError, match=r"subgraphs|no operators"):
            check_network(wrong, "odd")
    with pytest.raises(ModelFileError, match="flatbuffer"):
        check_network(model([code(CONV_2D)], GOOD, subgraphs=2), "odd")


def test_limits_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flatbuffer, "MAX_TENSORS", 1)
    with pytest.raises(ModelFileError, match="flatbuffer"):
        check_network(model([code(CONV_2D)], GOOD), "long")


SHIPPED = model_file.read(shipped_model()).flatbuffer


@given(st.lists(st.tuples(st.integers(0, len(SHIPPED) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_is_refused_or_read_but_never_anything_else(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(SHIPPED)
    for at, value in changes:
        damaged[at] = value
    try:
        check_network(bytes(damaged), "damaged")
    except ModelFileError as error:
        assert "damaged" in str(error)


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(junk: bytes) -> None:
    with pytest.raises(ModelFileError):
        check_network(junk, "junk")
