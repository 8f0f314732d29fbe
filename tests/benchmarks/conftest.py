"""Model files of one known rule, and data that is made to fit it."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tflite
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray

from fer_convert.runner import Runner
from fer_edge.contract.errors import SourceError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.contract.model_file import Golden, ModelFile, Tensor
from fer_edge.contract.preprocessing import INPUT_SCALE, INPUT_ZERO_POINT
from fer_edge.faces.weights import YUNET_FILE
from fer_edge.frames.demo import picture_path
from fer_train import datasets
from fer_train.datasets import Dataset

SIDE = 48
BAND = 6


def band(label: int) -> NDArray[np.uint8]:
    """A picture whose rows number 6 * label to 6 * label + 5 are white: uint8, (48, 48)."""
    picture = np.zeros((SIDE, SIDE), np.uint8)
    picture[BAND * label : BAND * (label + 1)] = 255
    return picture


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a model file that says which band of `band` is the brightest; `blind` labels are never seen."""

    def make(
        *,
        quantization: str = "int8",
        labels: Sequence[str] = FER2013_LABELS,
        blind: Sequence[str] = (),
        facts: Mapping[str, Any] = MappingProxyType({}),
    ) -> Path:
        weights = np.zeros((len(labels), SIDE * SIDE), np.float32)
        for row, label in enumerate(labels):
            if label not in blind:
                weights[row] = band(FER2013_LABELS.index(label)).ravel() / 255 * 0.04
        flatbuffer = _flatbuffer(weights, int8=quantization == "int8")
        inputs = np.stack([band(label) for label in range(len(FER2013_LABELS)) if FER2013_LABELS[label] not in blind])
        classify = Runner(flatbuffer).classify
        path = tmp_path_factory.mktemp("models") / f"band.{quantization}.tflite"
        int8 = quantization == "int8"
        ModelFile(
            name="band",
            labels=tuple(labels),
            side=SIDE,
            input=Tensor("int8", INPUT_SCALE, INPUT_ZERO_POINT) if int8 else Tensor("float32", 0.0, 0),
            output=Tensor("int8", 1 / 256, -128) if int8 else Tensor("float32", 0.0, 0),
            golden=Golden(inputs, np.stack([classify(picture) for picture in inputs])),
            facts={"quantization": quantization, **facts},
            flatbuffer=flatbuffer,
        ).write(path)
        return path

    return make


@pytest.fixture(scope="session")
def model(make_model: Callable[..., Path]) -> Path:
    """An int8 model file."""
    return make_model()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FER2013 as CSV: in both splits two bands of each class, the last two of which are labelled angry."""
    path = tmp_path_factory.mktemp("data") / "fer2013.csv"
    classes = [*range(7), *range(7)]
    truth = [*classes[:-2], 0, 0]
    pixels = [" ".join(map(str, band(label).ravel())) for label in classes]
    rows = [f"{t},{p},{usage}" for usage in ("Training", "PublicTest") for t, p in zip(truth, pixels, strict=True)]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames without a face."""
    path = tmp_path_factory.mktemp("clip") / "grey.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (160, 120))
    for level in range(6):
        writer.write(np.full((120, 160, 3), 40 * level, np.uint8))
    writer.release()
    return path


def _flatbuffer(weights: NDArray[np.float32], *, int8: bool) -> bytes:
    """A fully connected layer and a softmax, as the TFLite schema writes them."""
    classes = len(weights)
    kind = tflite.TensorType.INT8 if int8 else tflite.TensorType.FLOAT32
    scale = float(weights.max()) / 127
    stored = np.rint(weights / scale).astype(np.int8) if int8 else weights
    bias = np.zeros(classes, np.int32 if int8 else np.float32)
    tensors = [
        _tensor("face", (1, SIDE, SIDE, 1), kind, 0, (INPUT_SCALE, INPUT_ZERO_POINT)),
        _tensor("weights", weights.shape, kind, 1, (scale, 0)),
        _tensor("bias", (classes,), tflite.TensorType.INT32 if int8 else kind, 2, (scale * INPUT_SCALE, 0)),
        _tensor("logits", (1, classes), kind, 0, (12 / 255, -128)),
        _tensor("probabilities", (1, classes), kind, 0, (1 / 256, -128)),
    ]
    if not int8:
        for tensor in tensors:
            tensor.quantization = None
    dense, softmax = tflite.FullyConnectedOptionsT(), tflite.SoftmaxOptionsT()
    softmax.beta = 1.0
    graph = tflite.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs = tensors, [0], [4]
    graph.operators = [
        _operator(0, [0, 1, 2], [3], tflite.BuiltinOptions.FullyConnectedOptions, dense),
        _operator(1, [3], [4], tflite.BuiltinOptions.SoftmaxOptions, softmax),
    ]
    model = tflite.ModelT()
    model.version = 3
    model.subgraphs = [graph]
    model.operatorCodes = [
        _code(tflite.BuiltinOperator.FULLY_CONNECTED, 4 if int8 else 1),
        _code(tflite.BuiltinOperator.SOFTMAX, 2 if int8 else 1),
    ]
    model.buffers = [_buffer(b""), _buffer(stored.tobytes()), _buffer(bias.tobytes())]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _tensor(name: str, shape: tuple[int, ...], kind: int, buffer: int, quantization: tuple[float, int]) -> Any:
    tensor = tflite.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, buffer
    tensor.quantization = tflite.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [quantization[0]], [quantization[1]]
    return tensor


def _operator(code: int, inputs: list[int], outputs: list[int], options_type: int, options: Any) -> Any:
    operator = tflite.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, outputs
    operator.builtinOptionsType, operator.builtinOptions = options_type, options
    return operator


def _code(builtin: int, version: int) -> Any:
    code = tflite.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = version
    return code


def _buffer(data: bytes) -> Any:
    buffer = tflite.BufferT()
    buffer.data = list(data) or None
    return buffer


@pytest.fixture(scope="session")
def faces(fer_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The first pictures of FER2013's Training split: real faces, read in a moment."""
    path = tmp_path_factory.mktemp("faces") / "fer2013.csv"
    with gzip.open(fer_data / "fer2013" / "fer2013.csv.gz", "rt") as stream:
        path.write_text("".join(itertools.islice(stream, 81)))
    return datasets.load(path)


@pytest.fixture
def yunet(fer_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """YuNet's weights, installed for this test."""
    folder = tmp_path / "share" / "fer-edge"
    folder.mkdir(parents=True)
    (folder / YUNET_FILE).symlink_to(fer_data / "models" / YUNET_FILE)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder.parent))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)


@pytest.fixture
def demo_picture() -> Path:
    """The picture that the demo shows; skips where it is not installed."""
    try:
        return picture_path()
    except SourceError as error:
        pytest.skip(str(error))
