"""The classifier refuses whatever would not compute what its file promises."""

from __future__ import annotations

import dataclasses
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from fer_edge.contract import model_file
from fer_edge.contract.errors import ModelFileError, UsageError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.contract.model_file import Golden, ModelFile, Tensor
from fer_edge.contract.shipped import model_path, shipped_model
from fer_edge.expressions import litert
from fer_edge.expressions.litert import LiteRtClassifier


@pytest.fixture(scope="module")
def shipped() -> ModelFile:
    return model_file.read(shipped_model())


def test_the_shipped_model_is_int8_small_and_fer2013(shipped: ModelFile) -> None:
    classifier = LiteRtClassifier(shipped)
    assert shipped.labels == FER2013_LABELS
    assert shipped.side == 48
    assert shipped.input == Tensor("int8", float(np.float32(1 / 255)), -128)
    assert len(shipped.flatbuffer) <= 110_000
    assert shipped_model().stat().st_size <= 125_000
    assert classifier.runtime == "ai-edge-litert"
    assert classifier.golden_steps <= 1


def test_probabilities_are_a_distribution(shipped: ModelFile) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (20, 48, 48), np.uint8)
    classifier = LiteRtClassifier(shipped)
    for face in faces:
        probabilities = classifier.classify(face)
        assert probabilities.shape == (7,)
        assert probabilities.dtype == np.float32
        assert probabilities.min() >= 0
        assert probabilities.sum() == pytest.approx(1, abs=7 / 256)


def test_threads_do_not_change_the_answer(shipped: ModelFile) -> None:
    faces = np.random.default_rng(1).integers(0, 256, (20, 48, 48), np.uint8)
    one, two = LiteRtClassifier(shipped), LiteRtClassifier(shipped, threads=2)
    for face in faces:
        np.testing.assert_array_equal(one.classify(face), two.classify(face))


def test_another_input_size_than_promised_is_refused(shipped: ModelFile) -> None:
    golden = Golden(np.zeros((1, 64, 64), np.uint8), shipped.golden.probabilities[:1])
    with pytest.raises(ModelFileError, match=r"48, 48.*promises.*64, 64"):
        LiteRtClassifier(dataclasses.replace(shipped, side=64, golden=golden))


def test_another_number_of_labels_is_refused(shipped: ModelFile) -> None:
    golden = Golden(shipped.golden.inputs, shipped.golden.probabilities[:, :6])
    with pytest.raises(ModelFileError, match="output"):
        LiteRtClassifier(dataclasses.replace(shipped, labels=shipped.labels[:6], golden=golden))


def test_another_quantization_is_refused(shipped: ModelFile) -> None:
    with pytest.raises(ModelFileError, match="zero point"):
        LiteRtClassifier(dataclasses.replace(shipped, input=Tensor("int8", 2 / 255, 0)))


def test_a_float_model_is_refused(shipped: ModelFile) -> None:
    with pytest.raises(ModelFileError, match="fer-convert --int8"):
        LiteRtClassifier(dataclasses.replace(shipped, input=Tensor("float32", 0.0, 0)))


def test_bytes_that_are_no_network_are_refused(shipped: ModelFile) -> None:
    with pytest.raises(ModelFileError, match="0 subgraphs"):
        LiteRtClassifier(dataclasses.replace(shipped, flatbuffer=b"\x1c\0\0\0TFL3" + b"\0" * 400))


def test_golden_outputs_that_are_not_reproduced_are_refused(shipped: ModelFile) -> None:
    rolled = np.roll(shipped.golden.probabilities, 1, axis=1)
    with pytest.raises(ModelFileError, match="something else"):
        LiteRtClassifier(dataclasses.replace(shipped, golden=Golden(shipped.golden.inputs, rolled)))


def _another_runtime(monkeypatch: pytest.MonkeyPatch, disturb: float) -> None:
    """Take LiteRT away and offer its interpreter as tflite_runtime's, with disturbed outputs."""
    from ai_edge_litert.interpreter import Interpreter

    class Other(Interpreter):  # type: ignore[misc]
        def get_tensor(self, index: int) -> np.ndarray:
            values = super().get_tensor(index).astype(int)
            values[..., 0] += int(disturb)
            return np.clip(values, -128, 127).astype(np.int8)

    module = types.ModuleType("tflite_runtime.interpreter")
    module.Interpreter = Other  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", module)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)


def test_tflite_runtime_serves_with_a_warning_where_litert_is_absent(
    shipped: ModelFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _another_runtime(monkeypatch, disturb=20)
    classifier = LiteRtClassifier(shipped)
    assert classifier.runtime == "tflite-runtime"
    assert 15 <= classifier.golden_steps <= 20
    assert "ai-edge-litert is not installed" in caplog.text


def test_tflite_runtime_is_held_to_the_golden_labels(shipped: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    _another_runtime(monkeypatch, disturb=200)
    with pytest.raises(ModelFileError, match="install ai-edge-litert"):
        LiteRtClassifier(shipped)


def test_no_runtime_at_all_names_the_command(shipped: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    with pytest.raises(UsageError, match="pip install ai-edge-litert"):
        LiteRtClassifier(shipped)


@pytest.mark.parametrize("size", [0, 3, 7, 8, 1_000, 50_000, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, size: int) -> None:
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(shipped_model().read_bytes()[:size])
    with pytest.raises(ModelFileError, match=r"cut\.tflite"):
        litert.load(cut)


@pytest.mark.parametrize(("setting", "name"), [("", "mini"), ("mini", "mini"), ("plus", "plus")])
def test_shipped_models_are_known_by_their_names(setting: str, name: str) -> None:
    classifier = litert.load(model_path(setting))
    assert (classifier.model.name, classifier.labels) == (name, FER2013_LABELS)
    assert model_path("plus.tflite") == Path("plus.tflite")
