from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fer_edge.contract import model_file
from fer_edge.contract.errors import ModelFileError, UsageError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.contract.shipped import SHIPPED, shipped_model
from fer_train import model_files
from fer_train import recipe as recipes
from fer_train.cli import main
from fer_train.datasets import Dataset
from fer_train.networks import Kin, find_networks, learned_before, to_train
from fer_train.runs import labels_of

ADAPT = recipes.load("adapt")
NOTHING = {"start": None, "teacher": None}


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (96, 48, 48), np.uint8)


def test_a_shipped_model_is_found_by_its_name_and_where_no_run_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kin = Kin(FER2013_LABELS)
    assert to_train(ADAPT, NOTHING, kin) is None
    assert find_networks(ADAPT, NOTHING, kin) == {"start": shipped_model("mini")}
    given = {"start": Path("plus"), "teacher": None}
    assert find_networks(ADAPT, given, kin) == {"start": shipped_model("plus")}


def test_only_a_beginning_may_know_other_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kin = Kin(("bored", "happy"))
    assert find_networks(ADAPT, NOTHING, kin) == {"start": shipped_model("mini")}
    for training in ({"start_share": 0.5}, {"start": "", "teacher": "mini", "teacher_share": 0.5}):
        wanted = dataclasses.replace(ADAPT, training=dataclasses.replace(ADAPT.training, **training))
        with pytest.raises(UsageError, match=r"mini\.int8\.tflite knows angry, .* where the data has bored, happy"):
            find_networks(wanted, NOTHING, kin)


def test_a_model_file_without_a_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.int8.tflite"
    dataclasses.replace(model_file.read(shipped_model()), facts={}).write(path)
    with pytest.raises(ModelFileError, match=r"bare\.int8\.tflite does not say which architecture it has"):
        find_networks(ADAPT, {"start": path, "teacher": None}, Kin(FER2013_LABELS))


def test_a_division_of_what_a_model_has_learned_is_said(made_data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "mine.int8.tflite"
    whole = model_file.read(shipped_model())
    sums = {name: split.sha256() for name, split in made_data.splits.items()}
    dataclasses.replace(whole, facts={**whole.facts, "data_sha256": sums}).write(path)
    assert "--split stratified:0.2 validates on" in learned_before(path, made_data, "stratified:0.2")
    assert learned_before(path, made_data, "usage") == ""
    assert learned_before(shipped_model(), made_data, "stratified:0.2") == ""
    assert learned_before(tmp_path / "best.keras", made_data, "stratified:0.2") == ""


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_network_goes_on_where_it_stands(name: str, pictures: np.ndarray) -> None:
    from fer_edge.expressions import litert
    from fer_train.batches import to_input

    network = model_files.to_keras(shipped_model(name), pictures)
    assert network.trainable_weights
    classifier = litert.load(shipped_model(name))
    golden = classifier.model.golden.inputs
    promised = np.stack([classifier.classify(picture) for picture in golden])
    made = network.predict_on_batch(to_input(np.stack(list(golden))))
    # In float and, for plus, without its mirror image; noise is what both know the least about.
    assert np.abs(made - promised).mean() < 0.03
    # With the statistics of a batch as with those that are kept: training does not begin with a jump.
    given = to_input(pictures)
    still, moving = (np.asarray(network(given, training=training)) for training in (False, True))
    assert np.abs(still - moving).mean() < (0.02 if name == "mini" else 0.1)  # plus leaves features out in training


@pytest.mark.tensorflow
def test_weights_in_a_wrong_place_are_noticed(tmp_path: Path, pictures: np.ndarray) -> None:
    whole = model_file.read(shipped_model())
    path = tmp_path / "other.int8.tflite"
    for changed, sentence in (
        ({"stem": [8, 8]}, r"do not fit its architecture mini_xception \(\d+ layers have no counterpart\)"),
        ({"head": "convolution"}, r"layers have no counterpart"),
    ):
        recipe = {**whole.facts["recipe"], "model": {**whole.facts["recipe"]["model"], **changed}}
        dataclasses.replace(whole, facts={**whole.facts, "recipe": recipe}).write(path)
        with pytest.raises(ModelFileError, match=sentence):
            model_files.to_keras(path, pictures)
    whole = dataclasses.replace(whole, facts={**whole.facts, "temperature": 1.0})
    golden = dataclasses.replace(whole.golden, probabilities=whole.golden.probabilities[:, ::-1].copy())
    dataclasses.replace(whole, golden=golden).write(path)
    with pytest.raises(ModelFileError, match=r"golden outputs are off by 0\.\d+"):
        model_files.to_keras(path, pictures)
    with pytest.raises(UsageError, match=r"takes 48x48 pictures where the data has 64x64"):
        model_files.to_keras(path, np.zeros((2, 64, 64), np.uint8))


@pytest.mark.tensorflow
def test_another_architecture_is_refused_before_there_is_a_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_csv: Callable[[list[str]], Path], csv_rows: list[str]
) -> None:
    from fer_train import models

    monkeypatch.chdir(tmp_path)
    data = write_csv(csv_rows)
    models.build("mini_xception", filters=[4], classes=7).save(tmp_path / "other.keras")
    models.build(**ADAPT.model, classes=3).save(tmp_path / "three.keras")
    (tmp_path / "damaged.keras").write_bytes(b"PK")
    Path("taught.toml").write_text(
        '[model]\narchitecture = "mini_xception"\n[training]\nepochs = 1\nteacher = "any"\nteacher_share = 0.5\n'
    )
    done = CliRunner().invoke(main, ["--recipe", "taught.toml", "--data", str(data), "--teacher", "three.keras"])
    assert done.exit_code == 2 and "is a network of other classes or another size than recipe taught" in done.output
    assert not Path("runs").exists()
    for given, code, sentence in (
        ("other.keras", 2, "--start other.keras is of another architecture than recipe adapt"),
        ("three.keras", 2, "three.keras has 3 outputs and does not say which classes they are"),
        ("plus", 2, r"plus.int8.tflite is of another architecture than recipe adapt"),
        ("damaged.keras", 1, "damaged.keras cannot be read as a Keras model"),
    ):
        done = CliRunner().invoke(main, ["--recipe", "adapt", "--data", str(data), "--start", given])
        assert done.exit_code == code and sentence in done.output, done.output
        assert not Path("runs").exists()


@pytest.mark.tensorflow
def test_the_shipped_model_learns_classes_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_data: Dataset
) -> None:
    import cv2
    import keras

    rng = np.random.default_rng(1)
    for split, count in (("train", 12), ("validation", 4)):
        for label in ("asleep", "happy"):
            folder = tmp_path / "faces" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 256, (48, 48), np.uint8))
    monkeypatch.chdir(tmp_path)
    Path("map.toml").write_text('asleep = "asleep"\n')
    done = CliRunner().invoke(
        main, ["--recipe", "adapt", "--data", "faces", "--label-map", "map.toml", "--epochs", "1"]
    )
    assert done.exit_code == 0, done.output
    run = Path("runs/adapt-1")
    facts = json.loads((run / "run.json").read_text())
    assert facts["start"]["labels"] == list(FER2013_LABELS) and facts["start"]["set_aside"] is None
    assert facts["labels"] == ["happy", "asleep"]
    # What it began with lies in its folder and knows other classes than the run.
    assert labels_of(run / "best.keras") == ("happy", "asleep") and labels_of(run / "start.keras") is None
    assert f"start: {shipped_model()}" in done.output
    start, last = (keras.saving.load_model(run / name, compile=False) for name in ("start.keras", "last.keras"))
    assert start.output_shape == (None, 7) and last.output_shape == (None, 2)
    dense = [layer.get_weights()[0] for layer in (start.layers[-2], last.layers[-2])]
    happy = FER2013_LABELS.index("happy")
    # One step of training is small beside the distance to any other column, a new one among them.
    near = np.abs(dense[1][:, 0] - dense[0][:, happy]).mean()
    others = [np.abs(dense[1][:, 0] - dense[0][:, column]).mean() for column in range(7) if column != happy]
    assert near < 0.2 * min(others)
