"""The model file: a plain .tflite flatbuffer with a zip appended that says what it is.

TFLite runtimes read the flatbuffer and ignore what follows, as with TFLite Metadata's associated
files. The zip holds `labels.txt` and `metadata.json`; `unzip -p model.tflite metadata.json` shows it.

Three checks, because each catches what the others cannot: the hash catches a damaged file, shapes,
types and labels catch a foreign one, and the replay of golden inputs catches a runtime that computes
something else (docs/adr/0004-model-file.md).
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.digest import sha256
from fer_edge.contract.errors import ModelFileError
from fer_edge.contract.files import write_bytes
from fer_edge.contract.labels import checked_labels

FORMAT = 1
MAX_NAME = 64

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_MEMBER_BYTES = 1024 * 1024
MAX_GOLDEN = 64
MAX_SIDE = 512
GOLDEN_TOLERANCE_STEPS = 40
"""Largest difference of a golden output, of 256 steps: kernels other than LiteRT's differ by up to 38."""

_TFLITE_MAGIC = b"TFL3"


@dataclass(frozen=True, slots=True)
class Tensor:
    """Quantization of an input or output tensor: real = scale * (q - zero_point).

    Attributes:
        dtype: `int8` or `float32`.
        scale: 0.0 for float32.
        zero_point: 0 for float32.
    """

    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Golden:
    """Synthetic inputs and the outputs that LiteRT computed for them when the file was made.

    Attributes:
        inputs: uint8, (n, side, side), grey levels.
        probabilities: float32, (n, number of labels).
    """

    inputs: NDArray[np.uint8]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model file's content.

    Attributes:
        name: the recipe that made it.
        labels: in output order.
        side: width and height of the input in pixels; it has one grey channel.
        input, output: quantization of the tensors.
        golden: inputs to replay; at least one.
        facts: free-form JSON values for people and reports: recipe, data hashes, versions, accuracy.
        flatbuffer: the network itself.
    """

    name: str
    labels: tuple[str, ...]
    side: int
    input: Tensor
    output: Tensor
    golden: Golden
    facts: dict[str, Any] = field(default_factory=dict)
    flatbuffer: bytes = field(repr=False)

    def __post_init__(self) -> None:
        taken = _OWN_KEYS & self.facts.keys()
        if taken:
            raise ValueError(f"facts may not be called {', '.join(sorted(taken))}: the model file itself says these")

    @property
    def sha256(self) -> str:
        """SHA-256 over every byte of the flatbuffer: the model's identity."""
        return sha256(self.flatbuffer).hexdigest()

    def metadata(self) -> dict[str, Any]:
        """What `metadata.json` says."""
        return {
            "format": FORMAT,
            "name": self.name,
            "labels": list(self.labels),
            "input": {"height": self.side, "width": self.side, "channels": 1, **_tensor_json(self.input)},
            "output": _tensor_json(self.output),
            "preprocessing": "grey levels 0..255 of a square face crop, divided by 255",
            "flatbuffer": {"bytes": len(self.flatbuffer), "sha256": self.sha256},
            "golden": {
                "inputs": [base64.b64encode(picture.tobytes()).decode() for picture in self.golden.inputs],
                "probabilities": [[round(float(p), 6) for p in row] for row in self.golden.probabilities],
            },
            **self.facts,
        }

    def to_bytes(self) -> bytes:
        """The whole file; the same content always gives the same bytes."""
        stream = io.BytesIO(self.flatbuffer)
        with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, text in (
                ("labels.txt", "".join(f"{label}\n" for label in self.labels)),
                ("metadata.json", json.dumps(self.metadata(), separators=(",", ":"), allow_nan=False)),
            ):
                # A fixed date keeps equal content equal, byte by byte.
                member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, text)
        return stream.getvalue()

    def write(self, path: Path) -> None:
        """Write the file atomically, having checked that it reads back."""
        data = self.to_bytes()
        parse(data, str(path))
        write_bytes(path, data)


def _tensor_json(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": tensor.dtype, "scale": tensor.scale, "zero_point": tensor.zero_point}


def read(path: Path) -> ModelFile:
    """Read and check a model file (hash, labels, sizes); the network is not run.

    Raises:
        ModelFileError: it is missing, damaged, or not a model file of fer-edge.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelFileError(f"{path} has {size} bytes; a model file has at most {MAX_FILE_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"model {path} cannot be read ({error.strerror}); check the path") from error
    return parse(data, str(path))


def parse(data: bytes, where: str) -> ModelFile:
    """Parse and check the bytes of a model file; `where` names it in messages.

    Raises:
        ModelFileError: damaged, or not a model file of fer-edge.
    """
    if data[4:8] != _TFLITE_MAGIC:
        raise ModelFileError(f"{where} is not a .tflite file; make one with fer-convert --int8")
    members, flatbuffer, is_as_written = _unzip(data, where)
    try:
        metadata = json.loads(members["metadata.json"], parse_constant=_not_finite)
        if metadata["format"] != FORMAT:
            raise ModelFileError(
                f"{where} has metadata format {metadata['format']!r}; this fer-edge reads {FORMAT}: upgrade fer-edge"
            )
        promised = metadata["flatbuffer"]["sha256"]
        labels = checked_labels(metadata["labels"])
        side = _side(metadata["input"])
        model = ModelFile(
            name=_name(metadata["name"]),
            labels=labels,
            side=side,
            input=_tensor(metadata["input"]),
            output=_tensor(metadata["output"]),
            golden=_golden(metadata["golden"], side, len(labels)),
            facts={key: value for key, value in metadata.items() if key not in _OWN_KEYS},
            flatbuffer=flatbuffer,
        )
    except ModelFileError:
        raise
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
        raise ModelFileError(f"{where} has metadata that cannot be used ({error!r}); convert it again") from error
    if model.sha256 != promised:
        raise ModelFileError(f"{where} is damaged: its sha256 is not the one it was written with; copy it again")
    if members["labels.txt"].decode(errors="replace").splitlines() != list(labels):
        raise ModelFileError(f"{where} contradicts itself: labels.txt and metadata.json differ; convert it again")
    if not is_as_written:
        raise ModelFileError(f"{where} is damaged behind its network: its zip is not as it was written; copy it again")
    return model


_OWN_KEYS = frozenset(("format", "name", "labels", "input", "output", "preprocessing", "flatbuffer", "golden"))


def _unzip(data: bytes, where: str) -> tuple[dict[str, bytes], bytes, bool]:
    members: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            start = min((info.header_offset for info in infos), default=0)
            for name in ("labels.txt", "metadata.json"):
                info = archive.getinfo(name)
                if info.file_size > MAX_MEMBER_BYTES:
                    raise ModelFileError(f"{where}: {name} has {info.file_size} bytes; at most {MAX_MEMBER_BYTES}")
                with archive.open(info) as stream:
                    members[name] = stream.read(MAX_MEMBER_BYTES + 1)
            written = _zip_around(data, infos)
    except ModelFileError:
        raise
    except KeyError as error:
        raise ModelFileError(f"{where} carries no fer-edge metadata; make it with fer-convert --int8") from error
    except Exception as error:  # zipfile raises whatever the damage leads it to
        raise ModelFileError(
            f"{where} carries no readable fer-edge metadata (cut off, or not made by fer-convert); "
            "copy it again, or make it with fer-convert --int8"
        ) from error
    if any(len(content) > MAX_MEMBER_BYTES for content in members.values()):
        raise ModelFileError(f"{where}: its metadata unpacks to more than {MAX_MEMBER_BYTES} bytes")
    return members, data[:start], data[start:] == written


def _zip_around(data: bytes, infos: list[zipfile.ZipInfo]) -> bytes:
    """The zip as `to_bytes` writes it, around the compressed members in `data` (APPNOTE.TXT 6.3.10, 4.3).

    CRC-32 covers what is in the members; this covers every other byte.
    """
    local, central = b"", b""
    start = infos[0].header_offset
    for info in infos:
        name = info.filename.encode("ascii")
        same = struct.pack(
            "<HHHHHIIIHH", 20, 0, zipfile.ZIP_DEFLATED, 0, _DOS_DATE, info.CRC, info.compress_size, info.file_size,
            len(name), 0,
        )  # fmt: skip
        where = struct.pack("<HHHII", 0, 0, 0, _MODE, start + len(local))
        central += b"PK\1\2" + bytes((20, _UNIX)) + same + where + name
        at = info.header_offset + 30 + len(name)
        local += b"PK\3\4" + same + name + data[at : at + info.compress_size]
    counts = (0, 0, len(infos), len(infos), len(central), start + len(local), 0)
    return local + central + b"PK\5\6" + struct.pack("<HHHHIIH", *counts)


_DOS_DATE = 1 << 5 | 1
"""1 January 1980."""

_UNIX, _MODE = 3, 0o600 << 16


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or not value.isprintable():
        raise ValueError(f"the name is not one line of 1 to {MAX_NAME} characters")
    return value


def _side(values: dict[str, Any]) -> int:
    height, width, channels = values["height"], values["width"], values["channels"]
    if type(height) is not int or height != width or channels != 1 or not 1 <= height <= MAX_SIDE:
        raise ValueError(f"input {height}x{width}x{channels} is not a square grey picture of at most {MAX_SIDE}")
    return height


def _tensor(values: dict[str, Any]) -> Tensor:
    dtype, scale, zero_point = values["dtype"], float(values["scale"]), values["zero_point"]
    if dtype not in ("int8", "float32"):
        raise ValueError(f"tensor type {dtype!r} is neither int8 nor float32")
    if not np.isfinite(scale) or (dtype == "int8" and scale <= 0.0):
        raise ValueError(f"scale {scale} is not a positive number")
    if type(zero_point) is not int or not -128 <= zero_point <= 127:
        raise ValueError(f"zero point {zero_point!r} is not a whole number from -128 to 127")
    return Tensor(dtype, scale, zero_point)


def _golden(values: dict[str, Any], side: int, classes: int) -> Golden:
    pictures = values["inputs"]
    if not 1 <= len(pictures) <= MAX_GOLDEN:
        raise ValueError(f"{len(pictures)} golden inputs; 1 to {MAX_GOLDEN} are allowed")
    try:
        raw = [base64.b64decode(picture, validate=True) for picture in pictures]
    except binascii.Error as error:
        raise ValueError("golden inputs are not base64") from error
    inputs = np.stack([np.frombuffer(picture, np.uint8).reshape(side, side) for picture in raw])
    probabilities = np.array(values["probabilities"], np.float32)
    if probabilities.shape != (len(pictures), classes) or not np.isfinite(probabilities).all():
        raise ValueError(f"golden outputs of shape {probabilities.shape} where ({len(pictures)}, {classes}) is needed")
    return Golden(inputs, probabilities)


def replay_golden(model: ModelFile, classify: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> int:
    """Run the golden inputs through `classify` and compare; return the largest difference in 1/256 steps.

    Args:
        model: the file that promises the outputs.
        classify: from one picture (uint8, (side, side)) to probabilities (float32, (labels,)).

    Raises:
        ModelFileError: a label differs, or a probability by more than 40 of 256 steps: this runtime
            computes something else than the one that made the file.
    """
    worst = 0
    for number, (picture, promised) in enumerate(zip(model.golden.inputs, model.golden.probabilities, strict=True)):
        computed = classify(picture)
        comparable = computed.shape == promised.shape and np.isfinite(computed).all()
        steps = round(float(np.abs(computed - promised).max()) * 256) if comparable else 256
        worst = max(worst, steps)
        if steps > GOLDEN_TOLERANCE_STEPS or np.argmax(computed) != np.argmax(promised):
            raise ModelFileError(
                f"this TFLite runtime computes something else than the model file {model.name!r} promises "
                f"(golden input {number}: {steps} of 256 steps off); install ai-edge-litert"
            )
    return worst
