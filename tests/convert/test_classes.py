"""Six and eight classes, from the folders or the votes they come from to the labels of an event."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from fer_edge.contract import model_file
from fer_edge.contract.labels import FER2013_LABELS

pytestmark = pytest.mark.tensorflow

SIX = ("angry", "disgust", "fear", "happy", "sad", "surprise")
RECIPE = """
[model]
architecture = "mini_xception"
batch_norm_momentum = 0.7
filters = [4, 8]
repeats = [0, 0]
[training]
epochs = 2
batch_size = 16
learning_rate = 0.01
"""


def stripes(label: int, rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:48, :48]
    angle = np.pi * label / 8
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 1.2 + rng.uniform(0, 2 * np.pi))
    return np.clip(128 + 70 * wave + rng.normal(0, 20, (48, 48)), 0, 255).astype(np.uint8)


def ck_and_ferg(root: Path) -> list[str]:
    rng = np.random.default_rng(1)
    for number, folder in enumerate(("anger", "disgust", "fear", "happy", "sadness", "surprise", "contempt")):
        for person in range(6):
            path = root / "CK+48" / folder / f"S{person:03}_{number:03}_00000001.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), stripes(number, rng))
    for number, folder in enumerate(("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")):
        for place in range(6):
            path = root / "FERG" / "aia" / f"aia_{folder}" / f"aia_{folder}_{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), stripes(number, rng))
    (root / "map.toml").write_text('contempt = ""\nneutral = ""\n')
    return ["--data", str(root / "CK+48"), "--data", str(root / "FERG"), "--label-map", str(root / "map.toml"),
            "--split", "stratified:0.25"]  # fmt: skip


def fer2013_with_votes(root: Path) -> list[str]:
    rng = np.random.default_rng(2)
    names = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt", "unknown", "NF"]
    rows, votes = ["emotion,pixels,Usage"], []
    for usage, count in (("Training", 10), ("PublicTest", 4)):
        for label in np.repeat(np.arange(8), count):
            rows.append(f"{label % 7},{' '.join(map(str, stripes(int(label), rng).ravel()))},{usage}")
            votes.append([usage, "x", *(10 * (number == label) for number in range(10))])
    (root / "fer2013.csv").write_text("\n".join(rows) + "\n")
    with (root / "fer2013new.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["Usage", "Image name", *names], *votes])
    return ["--data", str(root / "fer2013.csv"), "--labels", "ferplus"]


@pytest.mark.parametrize(
    ("make", "labels"), [(ck_and_ferg, SIX), (fer2013_with_votes, (*FER2013_LABELS, "contempt"))], ids=["six", "eight"]
)
def test_labels_of_the_data_are_those_of_the_event(make, labels: tuple[str, ...], tmp_path: Path) -> None:
    from fer_bench.cli import main as fer_bench
    from fer_convert.cli import main as fer_convert
    from fer_edge.cli import main as fer_edge
    from fer_train.cli import main as fer_train

    def run(command, *arguments: object) -> str:
        done = CliRunner().invoke(command, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    source = make(tmp_path)
    (tmp_path / "small.toml").write_text(RECIPE)
    folder = tmp_path / "run"
    run(fer_train, "--recipe", tmp_path / "small.toml", "--run", folder, "--threads", 1, *source)
    run(fer_convert, folder, "--max-drop", 100)
    model = folder / "model.int8.tflite"
    assert model_file.read(model).labels == labels
    converted = json.loads((folder / "conversion.json").read_text())["int8"]["comparison"]["int8"]
    result = tmp_path / "accuracy.json"
    run(fer_bench, "accuracy", *source, "--model", model, "--json", result)
    measured = json.loads(result.read_text())["results"][0]["evaluation"]
    assert measured["confusion"] == converted["confusion"]
    assert tuple(measured["classes"]) == labels
    from fer_edge.expressions import litert

    probabilities = litert.load(model).classify(stripes(0, np.random.default_rng(3)))
    assert probabilities.shape == (len(labels),) and probabilities.sum() == pytest.approx(1, abs=0.05)
    shown = json.loads(run(fer_edge, "model", "show", model))
    assert tuple(shown["labels"]) == labels
    events = tmp_path / "events.jsonl"
    run(fer_edge, "run", "--model", model, "--source", "demo", "--detector", "haar", "--max-frames", 6, "--publish",
        f"file:{events}")  # fmt: skip
    assert json.loads(events.read_text().splitlines()[0])["faces"][0]["probabilities"].keys() == set(labels)


def test_a_table_is_measured_in_the_models_labels(make_eight, tmp_path: Path) -> None:
    """Eight classes on FER2013's seven: contempt has no pictures, and counts as wrong where it is said."""
    from fer_bench import accuracy
    from fer_train import datasets

    data, model = make_eight
    content = accuracy.measure(datasets.load(data), "PublicTest", [model])
    evaluation = content["results"][0]["evaluation"]
    assert list(evaluation["classes"]) == [*FER2013_LABELS, "contempt"]
    assert evaluation["classes"]["contempt"]["support"] == 0 and evaluation["count"] == 32


@pytest.fixture
def make_eight(tmp_path: Path) -> tuple[Path, Path]:
    """FER2013 as drawn, and an int8 model of eight classes that learnt nothing."""
    from fer_convert.cli import main as fer_convert
    from fer_train import datasets, models, recipe, runs

    fer2013_with_votes(tmp_path)
    (tmp_path / "small.toml").write_text(RECIPE)
    wanted = recipe.load(str(tmp_path / "small.toml"))
    data = datasets.load(tmp_path / "fer2013.csv", reading=datasets.Reading(labels="ferplus"))
    folder = tmp_path / "run"
    runs.create_run(folder, wanted, data, seed=1)
    models.build(**wanted.model, classes=8, side=48).save(folder / "best.keras")
    done = CliRunner().invoke(fer_convert, [str(folder), "--max-drop", "100"])
    assert done.exit_code == 0, done.output
    return tmp_path / "fer2013.csv", folder / "model.int8.tflite"
