from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_train import plots
from fer_train.augmentation import Augmentation
from fer_train.datasets import Dataset
from fer_train.evaluation import evaluate

pytest.importorskip("matplotlib", reason="the train or dev extra is not installed")


def drawn(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    assert min(image.shape[:2]) > 300
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "a temporary file was left"
    return image


def has_colour(image: np.ndarray, hex_colour: str) -> bool:
    blue_green_red = [int(hex_colour[i : i + 2], 16) for i in (5, 3, 1)]
    # Rounding to 8 bits may be off by one.
    return bool((np.abs(image.astype(int) - blue_green_red) <= 1).all(axis=2).any())


def test_curves_of_one_and_of_many_epochs(tmp_path: Path) -> None:
    row = {"learning_rate": 0.1, "loss": 2.0, "accuracy": 0.2, "val_loss": 2.1, "val_accuracy": 0.25}
    for epochs in (1, 40):
        plots.curves(tmp_path / "curves.png", [{"epoch": n + 1, **row} for n in range(epochs)], "title",
                     best=1 if epochs == 1 else None, accuracy=0.25)  # fmt: skip
        image = drawn(tmp_path / "curves.png")
        assert has_colour(image, plots.BLUE) and has_colour(image, plots.ORANGE)


def test_class_distribution_grows_with_the_number_of_splits(tmp_path: Path, made_data: Dataset) -> None:
    plots.class_distribution(tmp_path / "classes.png", made_data)
    two = drawn(tmp_path / "classes.png").shape
    plots.class_distribution(
        tmp_path / "classes.png", dataclasses.replace(made_data, splits={"Training": made_data.split("Training")})
    )
    assert drawn(tmp_path / "classes.png").shape[0] < two[0]


def test_confusion_matrix_shows_both_ends_of_the_scale(tmp_path: Path) -> None:
    result = evaluate(np.eye(3)[[0, 1, 1]], [0, 1, 2], ("a", "b", "c"))
    plots.confusion_matrix(tmp_path / "confusion.png", result, "title")
    image = drawn(tmp_path / "confusion.png")
    assert has_colour(image, "#00224E") and has_colour(image, "#FEE838"), "cividis from 0 to 1"


def test_sheets_show_pictures_and_are_the_same_each_time(tmp_path: Path, made_data: Dataset) -> None:
    split = made_data.split("PublicTest")
    path = tmp_path / "sheet.png"

    def augmentation(seed: int) -> bytes:
        plots.augmentation_sheet(path, split, made_data.labels, augmentation=Augmentation(), seed=seed, views=3)
        drawn(path)
        return path.read_bytes()

    assert augmentation(1) == augmentation(1) != augmentation(2)


def test_reliability_of_one_and_of_two_networks(tmp_path: Path) -> None:
    sure = evaluate([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], [0, 1, 1], ("a", "b"))
    plots.reliability(tmp_path / "reliability.png", {"float": sure}, "title")
    alone = drawn(tmp_path / "reliability.png")
    assert has_colour(alone, plots.BLUE) and not has_colour(alone, plots.VERMILION)
    plots.reliability(tmp_path / "reliability.png", {"float": sure, "int8": sure}, "title")
    assert has_colour(drawn(tmp_path / "reliability.png"), plots.VERMILION)


def test_a_sheet_grows_by_rows_of_eight_and_takes_any_text(tmp_path: Path, made_data: Dataset) -> None:
    images = made_data.split("PublicTest").images
    heights = []
    for count in (1, 8, 9):
        plots.picture_sheet(tmp_path / "sheet.png", images[:count], ["$50_a$.jpg\nis $x"] * count, "title")
        heights.append(drawn(tmp_path / "sheet.png").shape[0])
    assert heights[0] == heights[1] < heights[2]


def test_a_plot_goes_into_a_stream_as_into_a_file(tmp_path: Path) -> None:
    stream = io.BytesIO()
    for target in (tmp_path / "plot.png", stream):
        with plots.drawing(target, 3, 3, "title") as figure:
            figure.subplots().plot([0, 1])
    assert stream.getvalue() == (tmp_path / "plot.png").read_bytes()


def test_predictions_with_and_without_mistakes(tmp_path: Path, made_data: Dataset) -> None:
    everything = made_data.split("PublicTest")
    split = everything.take(np.flatnonzero(everything.labels < 3))
    path = tmp_path / "sheet.png"
    for mistakes in (False, True):
        said = (split.labels + mistakes * (np.arange(len(split)) % 2)) % 3
        probabilities = 0.7 * np.eye(3)[said] + 0.1
        plots.prediction_sheet(path, split, made_data.labels[:3], probabilities=probabilities, title="t", seed=1)
        image = drawn(path)
        assert has_colour(image, plots.GREEN)
        assert has_colour(image, plots.VERMILION) == mistakes
