"""What a trained network looks like, and how good it is on either label set: on drawn patterns."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from fer_train.cli import main
from fer_train.datasets import Dataset

pytestmark = pytest.mark.tensorflow

COLUMNS = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt", "unknown", "NF"]


def fer_train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="fer-train")


@pytest.fixture
def voted(csv_rows: list[str], write_csv: Callable[..., Path]) -> Path:
    """The made FER2013 with votes that name its own classes, but contempt in every fifth picture."""
    data = write_csv(csv_rows)
    with data.with_name("fer2013new.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Usage", "Image name", *COLUMNS])
        for number, line in enumerate(csv_rows[1:]):
            label, _, usage = line.split(",")
            votes = [0] * len(COLUMNS)
            votes[7 if number % 5 == 0 else int(label)] = 10
            writer.writerow([usage, "x", *votes])
    return data


def test_eight_classes_train_and_are_measured_on_both_label_sets(
    voted: Path, small_recipe: Path, tmp_path: Path, made_data: Dataset
) -> None:
    folder = tmp_path / "run"
    arguments = ["--recipe", small_recipe, "--data", voted, "--run", folder, "--epochs", 2, "--threads", 1]
    done = fer_train(*arguments, "--labels", "ferplus")
    assert done.exit_code == 0, done.output
    facts = json.loads((folder / "run.json").read_text())
    assert facts["labels"][-1] == "contempt" and facts["reading"]["labels"] == "ferplus"
    sets = json.loads((folder / "label_sets.json").read_text())
    assert [sets[name]["count"] for name in ("fer2013", "ferplus")] == [35, 35]
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert sets["ferplus"]["confusion"] == evaluation["confusion"]
    # Where the label sets agree, so do the columns of what was predicted.
    predicted = [np.array(sets[name]["confusion"]).sum(axis=0).tolist() for name in ("fer2013", "ferplus")]
    assert predicted[0] == predicted[1]
    assert sets["fer2013"]["classes"]["contempt"]["support"] == 0
    assert "FER+ majority" in done.output
    again = fer_train("--resume", folder)
    assert again.exit_code == 0, again.output


def test_pictures_whose_label_the_network_does_not_know_are_left_out_and_counted(
    voted: Path, small_recipe: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    done = fer_train("--recipe", small_recipe, "--data", voted, "--run", folder, "--epochs", 1, "--threads", 1)
    assert done.exit_code == 0, done.output
    sets = json.loads((folder / "label_sets.json").read_text())
    assert (sets["fer2013"]["count"], sets["fer2013"]["left_out"]) == (35, 0)
    assert (sets["ferplus"]["count"], sets["ferplus"]["left_out"]) == (28, 7)


def test_inspect_draws_filters_activations_and_saliency(
    csv_rows: list[str], write_csv: Callable[..., Path], small_recipe: Path, tmp_path: Path
) -> None:
    folder, data = tmp_path / "run", write_csv(csv_rows)
    assert fer_train("inspect", folder).exit_code == 2
    trained = fer_train("--recipe", small_recipe, "--data", data, "--run", folder, "--epochs", 1, "--threads", 1)
    assert trained.exit_code == 0, trained.output
    done = fer_train("inspect", folder, "--pictures", 2)
    assert done.exit_code == 0, done.output
    for name in ("filters.png", "activations.png", "saliency.png"):
        drawn = cv2.imread(str(folder / name))
        assert drawn is not None and drawn.std() > 10, name
        assert name in done.output


def test_filters_are_the_weights_and_maps_what_they_make_of_a_picture() -> None:
    import keras

    from fer_train.batches import to_input
    from fer_train.inspection import activations, first_filters

    images = np.random.default_rng(0).integers(0, 256, (2, 12, 12), np.uint8)
    inputs = keras.Input((12, 12, 1))
    convolution = keras.layers.Conv2D(3, 5)
    x = keras.layers.ReLU(name="first")(convolution(inputs))
    x = keras.layers.ReLU(name="second")(keras.layers.MaxPooling2D()(x))
    x = keras.layers.Dense(4)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, x)
    filters, maps = first_filters(model, images)
    assert filters.shape == (3, 5, 5) and maps is not None and maps.shape == (2, 8, 8, 3)
    patch = to_input(images)[1, 2:7, 3:8, 0]
    assert maps[1, 2, 3, 1] == pytest.approx(float((patch * filters[1]).sum()), abs=1e-4)
    stages = activations(model, images)
    assert {name: values.shape[1:] for name, values in stages.items()} == {"first": (8, 8, 3), "second": (4, 4, 3)}
    assert np.allclose(stages["first"], np.maximum(maps, 0), atol=1e-5)


def test_a_dense_layer_on_pixels_is_drawn_as_pictures() -> None:
    import keras

    from fer_train.inspection import activations, first_filters

    inputs = keras.Input((6, 6, 1))
    dense = keras.layers.Dense(4)
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    images = np.zeros((1, 6, 6), np.uint8)
    filters, maps = first_filters(model, images)
    assert maps is None and activations(model, images) == {}
    assert np.allclose(filters[2].ravel(), np.asarray(dense.kernel)[:, 2])
