"""The model file: what was written is read back, and nothing that was changed since."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fer_edge.contract import model_file
from fer_edge.contract.errors import ModelFileError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.contract.model_file import Golden, ModelFile, Tensor, parse, read, replay_golden

SIDE = 12


def make(**changes: Any) -> ModelFile:
    rng = np.random.default_rng(5)
    probabilities = np.eye(7, dtype=np.float32)[[3, 0]] * np.float32(0.65) + np.float32(0.05)
    values: dict[str, Any] = {
        "name": "a test",
        "labels": FER2013_LABELS,
        "side": SIDE,
        "input": Tensor("int8", float(np.float32(1 / 255)), -128),
        "output": Tensor("int8", 1 / 256, -128),
        "golden": Golden(rng.integers(0, 256, (2, SIDE, SIDE), np.uint8), probabilities),
        "facts": {"accuracy": {"PublicTest": {"int8": 0.6}}, "license": "Apache-2.0"},
        "flatbuffer": b"\x1c\x00\x00\x00TFL3" + rng.bytes(2000),
    }
    return ModelFile(**{**values, **changes})


MODEL = make()
DATA = MODEL.to_bytes()


def same(one: ModelFile, other: ModelFile) -> bool:
    return one.metadata() == other.metadata() and one.flatbuffer == other.flatbuffer


def rezipped(members: dict[str, str | bytes], flatbuffer: bytes = MODEL.flatbuffer) -> bytes:
    stream = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content)
    return stream.getvalue()


def with_metadata(change: dict[str, Any], labels: tuple[str, ...] = FER2013_LABELS) -> bytes:
    metadata = {**MODEL.metadata(), **change}
    return rezipped({"labels.txt": "\n".join(labels), "metadata.json": json.dumps(metadata)})


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    MODEL.write(path)
    back = read(path)
    assert same(back, MODEL)
    assert (back.name, back.labels, back.side, back.input, back.output) == (
        MODEL.name, MODEL.labels, SIDE, MODEL.input, MODEL.output,
    )  # fmt: skip
    assert np.array_equal(back.golden.inputs, MODEL.golden.inputs)
    assert np.allclose(back.golden.probabilities, MODEL.golden.probabilities, atol=1e-6)
    assert back.facts == MODEL.facts
    assert back.sha256 == hashlib.sha256(MODEL.flatbuffer).hexdigest()


def test_starts_with_the_plain_flatbuffer_and_ends_with_a_plain_zip(tmp_path: Path) -> None:
    assert DATA.startswith(MODEL.flatbuffer)
    with zipfile.ZipFile(io.BytesIO(DATA)) as archive:
        assert archive.read("labels.txt").decode().split() == list(FER2013_LABELS)
        metadata = json.loads(archive.read("metadata.json"))
    assert metadata["labels"] == list(FER2013_LABELS)
    assert metadata["flatbuffer"] == {"bytes": len(MODEL.flatbuffer), "sha256": MODEL.sha256}
    assert metadata["license"] == "Apache-2.0"


def test_equal_content_gives_equal_bytes() -> None:
    assert make().to_bytes() == DATA == parse(DATA, "x").to_bytes()


@pytest.mark.parametrize("key", ["labels", "flatbuffer", "golden", "format"])
def test_facts_cannot_override_what_the_file_says_itself(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        make(facts={key: 1})


def test_a_model_that_would_not_read_back_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"the old one")
    with pytest.raises(ModelFileError):
        make(input=Tensor("int8", 0.0, -128)).write(path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        make(facts={"loss": float("nan")}).write(path)
    assert path.read_bytes() == b"the old one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.tflite"]


def test_missing_and_too_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelFileError, match=r"no\.tflite cannot be read"):
        read(tmp_path / "no.tflite")
    with pytest.raises(ModelFileError, match="cannot be read"):
        read(tmp_path)
    path = tmp_path / "model.tflite"
    path.write_bytes(DATA)
    monkeypatch.setattr(model_file, "MAX_FILE_BYTES", len(DATA) - 1)
    with pytest.raises(ModelFileError, match=f"has {len(DATA)} bytes"):
        read(path)


def test_every_truncation_is_refused() -> None:
    for length in [*range(0, len(DATA), 37), *range(len(DATA) - 64, len(DATA))]:
        with pytest.raises(ModelFileError):
            parse(DATA[:length], "cut.tflite")


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 8 * len(DATA) - 1))
@example(bit=16384)
def test_any_flipped_bit_is_refused_or_changes_nothing(bit: int) -> None:
    damaged = bytearray(DATA)
    damaged[bit // 8] ^= 1 << bit % 8
    # Deflate can say the same bytes in more than one way, and ends a member with bits that say nothing.
    with contextlib.suppress(ModelFileError):
        assert parse(bytes(damaged), "flipped.tflite").to_bytes() == DATA


def test_every_bit_of_the_zips_own_fields_counts() -> None:
    with zipfile.ZipFile(io.BytesIO(DATA)) as archive:
        members = archive.infolist()
        start = members[0].header_offset
        headers = [range(m.header_offset, m.header_offset + 30 + len(m.filename)) for m in members]
        fields = [*headers[0], *headers[1], *range(archive.start_dir, len(DATA))]
    assert start == len(MODEL.flatbuffer)
    for at in fields:
        for bit in range(8):
            damaged = bytearray(DATA)
            damaged[at] ^= 1 << bit
            with pytest.raises(ModelFileError):
                parse(bytes(damaged), "flipped.tflite")


def test_a_zip_of_another_tool_is_refused() -> None:
    stream = io.BytesIO(MODEL.flatbuffer)
    with zipfile.ZipFile(io.BytesIO(DATA)) as archive, zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name))
    with pytest.raises(ModelFileError, match="not as it was written"):
        parse(stream.getvalue(), "other.tflite")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_one_sentence(junk: bytes) -> None:
    for data in (junk, b"\x1c\x00\x00\x00TFL3" + junk, MODEL.flatbuffer + junk):
        with pytest.raises(ModelFileError) as caught:
            parse(data, "junk.tflite")
        assert "junk.tflite" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_foreign_files() -> None:
    with pytest.raises(ModelFileError, match=r"not a \.tflite file"):
        parse(b"GIF89a" + bytes(100), "cat.gif")
    with pytest.raises(ModelFileError, match="no readable fer-edge metadata"):
        parse(MODEL.flatbuffer, "plain.tflite")
    with pytest.raises(ModelFileError, match="carries no fer-edge metadata"):
        parse(rezipped({"labels.txt": "a\nb\n"}), "task_library.tflite")


def test_another_flatbuffer_under_the_same_zip() -> None:
    other = MODEL.flatbuffer[:-1] + bytes([MODEL.flatbuffer[-1] ^ 1])
    with zipfile.ZipFile(io.BytesIO(DATA)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with pytest.raises(ModelFileError, match="damaged"):
        parse(rezipped(members, other), "swapped.tflite")


def test_a_zip_bomb_is_not_unpacked() -> None:
    bomb = rezipped({"labels.txt": "a\nb\n", "metadata.json": b" " * (model_file.MAX_MEMBER_BYTES + 1)})
    assert len(bomb) < 10_000
    with pytest.raises(ModelFileError, match="at most"):
        parse(bomb, "bomb.tflite")


def test_a_zip_bomb_that_lies_about_its_size_is_not_unpacked() -> None:
    size = 8 * model_file.MAX_MEMBER_BYTES
    bomb = rezipped({"labels.txt": "a\nb\n", "metadata.json": b" " * size})
    with pytest.raises(ModelFileError):
        parse(bomb.replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little")), "bomb.tflite")


def test_deeply_nested_metadata_is_refused() -> None:
    nested = "[" * 200_000 + "]" * 200_000
    with pytest.raises(ModelFileError, match="cannot be used"):
        parse(rezipped({"labels.txt": "a\nb\n", "metadata.json": nested}), "deep.tflite")


def test_labels_that_contradict_each_other() -> None:
    with pytest.raises(ModelFileError, match=r"labels\.txt and metadata\.json differ"):
        parse(with_metadata({}, labels=FER2013_LABELS[::-1]), "mixed.tflite")


def test_a_newer_format_says_to_upgrade() -> None:
    with pytest.raises(ModelFileError, match="upgrade"):
        parse(with_metadata({"format": model_file.FORMAT + 1}), "new.tflite")


INPUT = MODEL.metadata()["input"]
GOLDEN = MODEL.metadata()["golden"]
PICTURE = GOLDEN["inputs"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["angry"]},
        {"labels": "happysad"},
        {"labels": ["a", "a", "b", "c", "d", "e", "f"]},
        {"labels": list(range(7))},
        {"labels": [["a"], ["b"]]},
        {"input": {**INPUT, "height": SIDE + 1}},
        {"input": {**INPUT, "channels": 3}},
        {"input": {**INPUT, "height": 100_000, "width": 100_000}},
        {"input": {**INPUT, "height": True, "width": True}},
        {"input": {**INPUT, "dtype": "uint8"}},
        {"input": {**INPUT, "scale": 0}},
        {"input": {**INPUT, "scale": float("inf")}},
        {"input": {**INPUT, "zero_point": 128}},
        {"input": {**INPUT, "zero_point": -127.5}},
        {"output": None},
        {"golden": {**GOLDEN, "inputs": []}},
        {"golden": {**GOLDEN, "inputs": GOLDEN["inputs"] * 40}},
        {"golden": {**GOLDEN, "inputs": ["*" + PICTURE[1:], PICTURE]}},
        {"golden": {**GOLDEN, "probabilities": [[0.1] * 6] * 2}},
        {"golden": {**GOLDEN, "probabilities": [[float("nan")] * 7] * 2}},
        {"flatbuffer": {}},
    ],
    ids=lambda change: json.dumps(change)[:60],
)
def test_metadata_that_cannot_be_used(change: dict[str, Any]) -> None:
    parse(with_metadata({}), "right.tflite")
    with pytest.raises(ModelFileError, match=r"wrong\.tflite has metadata that cannot be used"):
        parse(with_metadata(change), "wrong.tflite")


def test_golden_pictures_of_unequal_size_are_refused() -> None:
    first, second = (base64.b64decode(picture) for picture in GOLDEN["inputs"])
    moved = [base64.b64encode(part).decode() for part in (first + second[:1], second[1:])]
    with pytest.raises(ModelFileError, match="cannot be used"):
        parse(with_metadata({"golden": {**GOLDEN, "inputs": moved}}), "wrong.tflite")


class TestReplay:
    def outputs(self, change: np.ndarray | float = 0.0) -> Any:
        """A classifier that promises kept but for `change`."""
        remaining = iter(MODEL.golden.probabilities)
        return lambda _: next(remaining) + np.float32(change)

    def test_pictures_arrive_in_order(self) -> None:
        seen: list[np.ndarray] = []
        promised = iter(MODEL.golden.probabilities)
        assert replay_golden(MODEL, lambda picture: seen.append(picture) or next(promised)) == 0
        assert np.array_equal(np.stack(seen), MODEL.golden.inputs)

    @pytest.mark.parametrize("steps", [1, -20, model_file.GOLDEN_TOLERANCE_STEPS])
    def test_other_kernels_are_accepted(self, steps: int) -> None:
        assert replay_golden(MODEL, self.outputs(steps / 256)) == abs(steps)

    def test_more_than_the_tolerance_is_refused(self) -> None:
        with pytest.raises(ModelFileError, match="41 of 256 steps"):
            replay_golden(MODEL, self.outputs((model_file.GOLDEN_TOLERANCE_STEPS + 1) / 256))

    def test_another_label_is_refused_however_close(self) -> None:
        close = np.full((1, 7), 0.14, np.float32)
        close[0, 3] = 0.15
        model = dataclasses.replace(MODEL, golden=Golden(MODEL.golden.inputs[:1], close))
        turned = close[0].copy()
        turned[2] = 0.16
        with pytest.raises(ModelFileError, match="ai-edge-litert"):
            replay_golden(model, lambda _: turned)

    @pytest.mark.parametrize("output", [np.full(7, np.nan, np.float32), np.zeros(8, np.float32)])
    def test_garbage_is_refused(self, output: np.ndarray) -> None:
        with pytest.raises(ModelFileError, match="256 of 256"):
            replay_golden(MODEL, lambda _: output)
