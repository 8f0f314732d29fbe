"""The flatbuffer itself: what the converter made, what is found in it, and what stripping changes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from fer_convert import inspection, quantization
from fer_convert.calibration import CalibrationSet
from fer_convert.runner import Runner
from fer_edge.contract.errors import ModelFileError, QualityError

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("kind", ["float16", "dynamic", "float32"])
def test_float_is_found_out(network: Any, calibration: CalibrationSet, kind: str) -> None:
    contents = inspection.inspect(quantization.convert(network, kind, calibration))
    with pytest.raises(QualityError, match=r"touches a tensor FLOAT(16|32)\["):
        inspection.require_int8(contents)


def test_another_input_scale_is_found_out(
    network: Any, calibration: CalibrationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    dark = dataclasses.replace(calibration, images=calibration.images // 2)
    whole = CalibrationSet.representative_dataset
    monkeypatch.setattr(CalibrationSet, "representative_dataset", lambda self: list(whole(self))[:-1])
    contents = inspection.inspect(quantization.convert(network, "int8", dark))
    with pytest.raises(QualityError, match="scale"):
        inspection.require_int8(contents)


def test_stripping_changes_names_and_alignment_only(network: Any, calibration: CalibrationSet) -> None:
    from ai_edge_litert import schema_py_generated as schema

    written = quantization.convert(network, "int8", calibration)
    stripped = quantization.strip(written)
    assert len(stripped) < len(written)
    assert stripped[4:8] == b"TFL3"
    before, after = Runner(written), Runner(stripped)
    for image in calibration.images:
        assert np.array_equal(before.classify(image), after.classify(image))
    model = schema.Model.GetRootAs(stripped, 0)
    tables = [model.Buffers(i)._tab for i in range(model.BuffersLength())]
    places = [table.Vector(table.Offset(4)) for table in tables if table.Offset(4)]
    assert len(places) > 20
    assert all(place % 16 == 0 for place in places)


def test_a_network_the_converter_refuses(calibration: CalibrationSet) -> None:
    import keras

    face = keras.Input((48, 48, 1))
    coded = keras.layers.Flatten()(keras.ops.real(keras.ops.fft2((face, keras.ops.zeros_like(face)))[0]))
    network = keras.Model(face, keras.layers.Dense(7, "softmax")(coded))
    with pytest.raises(ModelFileError, match="cannot convert this network to int8"):
        quantization.convert(network, "int8", calibration)
