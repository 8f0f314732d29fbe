"""From a run folder to a model file, through the command, with the real converter and runtime."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from fer_convert import inspection, quantization
from fer_convert.calibration import CalibrationSet
from fer_convert.cli import _check_size, main
from fer_convert.runner import Runner
from fer_edge.contract import model_file
from fer_edge.contract.errors import UsageError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.contract.model_file import Tensor
from fer_edge.contract.preprocessing import quantize_gray
from fer_train import datasets

pytestmark = pytest.mark.tensorflow


def convert(*arguments: object, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="fer-convert")
    assert result.exit_code == exit_code, result.output
    return result


def test_int8_of_the_newest_run(run: Path, patterns: Path) -> None:
    result = convert("--int8")
    path = run / "model.int8.tflite"
    model = model_file.read(path)
    assert (model.name, model.labels, model.side) == ("patterns", FER2013_LABELS, 48)
    assert model.input == Tensor("int8", float(np.float32(1 / 255)), -128)
    assert model_file.replay_golden(model, Runner(model.flatbuffer).classify) == 0

    contents = inspection.inspect(model.flatbuffer)
    assert set(contents.tensor_types) == {"INT8", "INT32"}
    assert contents.operator_counts()["SOFTMAX"] == 1
    assert not {"QUANTIZE", "DEQUANTIZE", "MUL"} & contents.operator_counts().keys()
    assert contents.per_channel > 10

    found = model.facts["accuracy"]["PublicTest"]
    assert found["pictures"] == 84
    assert found["float"]["accuracy"] > 0.95
    assert found["int8"]["accuracy"] > 0.95
    assert found["agreement"] > 0.95
    written = json.loads((run / "run.json").read_text())
    for key in ("recipe", "recipe_sha256", "seed", "data_sha256"):
        assert model.facts[key] == written[key]
    assert model.facts["license"] == "Apache-2.0"
    assert model.facts["calibration"]["counts"] == [30] * 7
    assert str(patterns.parent) not in json.dumps(model.metadata())

    report = json.loads((run / "conversion.json").read_text())["int8"]
    assert report["file_bytes"] == path.stat().st_size
    assert len(report["graph"]) == len(contents.operators)
    assert str(path) in result.output
    assert "accuracy" in result.output


def test_the_figures_are_those_of_the_file_on_litert(run: Path, patterns: Path) -> None:
    """Against the interpreter used by hand, with the XOR that the runtime will use."""
    from ai_edge_litert.interpreter import Interpreter

    convert(run, "--int8")
    model = model_file.read(run / "model.int8.tflite")
    interpreter = Interpreter(model_content=model.flatbuffer)
    interpreter.allocate_tensors()
    public = datasets.load(patterns).split("PublicTest")
    hits = 0
    for image, label in zip(public.images, public.labels, strict=True):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], quantize_gray(image)[None, :, :, None])
        interpreter.invoke()
        hits += interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].argmax() == label
    found = model.facts["accuracy"]["PublicTest"]["int8"]
    assert found["accuracy"] == round(hits / len(public), 4)


def test_the_same_run_gives_the_same_bytes(run: Path) -> None:
    convert(run, "--int8")
    path = run / "model.int8.tflite"
    first = path.read_bytes()
    path.unlink()
    convert(run, "--int8")
    assert path.read_bytes() == first


def test_a_model_that_averages_the_mirror_image_says_so(run: Path, tmp_path: Path) -> None:
    convert(run, "--mirror", "--max-drop", 100, "-o", tmp_path / "both.tflite")
    model = model_file.read(tmp_path / "both.tflite")
    assert model.facts["mirrored"] is True
    picture = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    runner = Runner(model.flatbuffer)
    np.testing.assert_array_equal(runner.classify(picture), runner.classify(picture[:, ::-1]))


def test_what_becomes_of_a_run_is_said_by_its_recipe(run: Path, tmp_path: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    facts["recipe"]["conversion"] = {"weights": "last", "mirror": True}
    shutil.copy(run / "best.keras", run / "last.keras")
    (run / "run.json").write_text(json.dumps(facts))
    said = convert(run, "--max-drop", 100, "-o", tmp_path / "asked.tflite").output
    assert f"Converting {run / 'last.keras'} to int8" in said
    assert model_file.read(tmp_path / "asked.tflite").facts["mirrored"] is True
    convert(run, "--no-mirror", "--max-drop", 100, "-o", tmp_path / "plain.tflite")
    assert "mirrored" not in model_file.read(tmp_path / "plain.tflite").facts


def test_several_kinds_into_a_folder(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, made = quantization.convert, []

    def counted(network: Any, kind: str, calibration: CalibrationSet) -> bytes:
        made.append(kind)
        return whole(network, kind, calibration)

    monkeypatch.setattr(quantization, "convert", counted)
    folder = tmp_path / "out"
    folder.mkdir()
    convert(run, "--float32", "--float16", "--dynamic", "-o", folder)
    assert sorted(made) == ["dynamic", "float16", "float32"], "what the others are measured by is made once"
    sizes = {}
    for kind in ("float32", "float16", "dynamic"):
        path = folder / f"model.{kind}.tflite"
        model = model_file.read(path)
        assert model.input == Tensor("float32", 0.0, 0)
        assert model.facts["quantization"] == kind
        assert model.facts["accuracy"]["PublicTest"]["agreement"] >= 0.95
        assert model_file.replay_golden(model, Runner(model.flatbuffer).classify) == 0
        sizes[kind] = len(model.flatbuffer)
    assert max(sizes["dynamic"], sizes["float16"]) < sizes["float32"]
    assert sorted(json.loads((folder / "conversion.json").read_text())) == ["dynamic", "float16", "float32"]
    convert(run, "--float32", "-o", folder)
    assert sorted(json.loads((folder / "conversion.json").read_text())) == ["dynamic", "float16", "float32"]
    assert not list(run.glob("*.tflite"))


def test_a_network_too_large_for_a_float_file_is_refused_before_the_work() -> None:
    _check_size(20_300_487, ["int8"])
    _check_size(1_000_000, ["float32", "float16"])
    for kind in ("float32", "float16"):
        with pytest.raises(UsageError, match=f"20,300,487 parameters.* {kind} .*--int8"):
            _check_size(20_300_487, ["int8", kind])


def test_a_runs_teacher_is_not_its_network(run: Path, patterns: Path) -> None:
    (run / "teacher.keras").write_bytes((run / "best.keras").read_bytes())
    convert(run / "teacher.keras", "--float32", "--data", patterns)
    model = model_file.read(run / "teacher.float32.tflite")
    assert model.name == "teacher" and "recipe" not in model.facts
    assert not (run / "model.float32.tflite").exists()


def test_a_keras_file_on_its_own(run: Path, patterns: Path) -> None:
    alone = Path("alone.keras")
    (run / "best.keras").rename(alone)
    result = convert(alone, exit_code=1)
    assert "--data PATH" in result.output
    assert "--calibration PATH" in result.output
    convert(alone, "--data", patterns, "-o", "mine.tflite")
    model = model_file.read(Path("mine.tflite"))
    assert model.name == "alone"
    assert "recipe" not in model.facts


def spoil(network: Any) -> None:
    """Shift all logits by the same 20,000: softmax does not care, one int8 scale for all of them does."""
    bias = next(layer for layer in reversed(network.layers) if layer.name.startswith("conv2d")).weights[1]
    bias.assign(bias + 20_000.0)


def test_a_worse_model_is_refused(run: Path, change_network: Callable[..., None]) -> None:
    change_network(run / "best.keras", spoil)
    old = run / "model.int8.tflite"
    old.write_bytes(b"the old one")
    result = convert(run, "--float32", "--int8", exit_code=1)
    assert "--max-drop 0.5" in result.output
    assert "points of accuracy on PublicTest" in result.output
    assert old.read_bytes() == b"the old one"
    assert sorted(path.name for path in run.iterdir()) == ["best.keras", "model.int8.tflite", "run.json"]
    convert(run, "--int8", "--max-drop", "100")
    assert model_file.read(old).facts["accuracy"]["PublicTest"]["drop_points"] > 0.5


def test_the_data_is_gone_or_another(run: Path, patterns: Path, tmp_path: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "sources": ["/gone/fer2013.csv"]}))
    result = convert(run, exit_code=1)
    assert "/gone/fer2013.csv" in result.output
    assert "--data PATH" in result.output
    assert "missing.csv does not exist" in convert(run, "--data", "missing.csv", exit_code=1).output

    lines = patterns.read_text().splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join(lines[:1] + lines[2:]) + "\n")
    assert "begun with" in convert(run, "--data", other, exit_code=1).output
    assert not list(run.glob("*.tflite"))
    convert(run, "--data", patterns, "--calibration", other)
    counts = model_file.read(run / "model.int8.tflite").facts["calibration"]["counts"]
    assert sum(counts) == 7 * 30 - 1


def test_a_calibration_set_without_training_pictures(run: Path, patterns: Path, tmp_path: Path) -> None:
    empty = tmp_path / "public.csv"
    empty.write_text(patterns.read_text().replace("Training", "PublicTest"))
    assert "no pictures in split 'Training'" in convert(run, "--calibration", empty, exit_code=1).output


def test_files_that_are_no_classifier(run: Path, patterns: Path) -> None:
    import keras

    whole = (run / "best.keras").read_bytes()
    for name, content in (("text", b"hello"), ("empty", b""), ("cut", whole[: len(whole) // 2])):
        path = Path(f"{name}.keras")
        path.write_bytes(content)
        result = convert(path, "--data", patterns, exit_code=1)
        assert f"{name}.keras cannot be loaded" in result.output
        assert "Traceback" not in result.output

    face = keras.Input((32, 32, 1))
    flat = keras.layers.Flatten()(face)
    for name, network, said in (
        ("colour", keras.Sequential([keras.Input((48, 48, 3)), keras.layers.Flatten()]), "square grey"),
        ("small", keras.Model(face, keras.layers.Dense(7, "softmax")(flat)), "takes 32x32 pictures"),
        ("three", keras.Model(face, keras.layers.Dense(3, "softmax")(flat)), "3 outputs"),
        ("map", keras.Model(face, face), "not one row of probabilities"),
    ):
        network.save(f"{name}.keras")
        assert said in convert(f"{name}.keras", "--data", patterns, exit_code=1).output
    face = keras.Input((48, 48, 1))
    keras.Model(face, keras.layers.Dense(7)(keras.layers.Flatten()(face))).save("logits.keras")
    assert "softmax" in convert("logits.keras", "--data", patterns, exit_code=1).output


@pytest.mark.parametrize("enough", [10, 10_000])
def test_the_temperature_is_fitted_on_what_was_held_out_if_it_is_enough(
    run: Path, monkeypatch: pytest.MonkeyPatch, enough: int
) -> None:
    facts = json.loads((run / "run.json").read_text())
    facts["recipe"]["training"]["hold_out"] = 0.5
    (run / "run.json").write_text(json.dumps(facts))
    monkeypatch.setattr("fer_convert.cli.ENOUGH", enough)
    said = convert(run, "--float32").stderr
    found = json.loads((run / "conversion.json").read_text())["float32"]["facts"]["temperature"]
    if enough == 10:
        assert f"Dividing the logits by {found:.3f}, fitted on " in said
        assert found != 1.0
    else:
        assert "pictures held out are too few to fit a temperature on" in said
        assert found == 1.0
