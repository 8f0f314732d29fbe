"""Folders as CK+48 and FERG-DB come, other sizes, other greys, several data sets at once: with drawn pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.contract.errors import DataError, UsageError
from fer_train.datasets import Reading, divide, load

CK = {"anger": "angry", "contempt": "contempt", "disgust": "disgust", "fear": "fear", "happy": "happy",
      "sadness": "sad", "surprise": "surprise"}  # fmt: skip
FERG = {"anger": "angry", "disgust": "disgust", "fear": "fear", "joy": "happy", "neutral": "neutral",
        "sadness": "sad", "surprise": "surprise"}  # fmt: skip


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.fixture
def ck48(tmp_path: Path) -> Path:
    """Six people with three frames of each class, as the folders of CK+48 hold them."""
    rng = np.random.default_rng(1)
    for number, folder in enumerate(CK):
        for person in (5, 10, 11, 22, 50, 999):
            for frame in (11, 12, 13):
                name = f"S{person:03}_{number + 1:03}_{frame:08}.png"
                write(tmp_path / "CK+48" / folder / name, rng.integers(0, 256, (48, 48), np.uint8))
    return tmp_path / "CK+48"


@pytest.fixture
def ferg(tmp_path: Path) -> Path:
    """Three characters with two colour pictures of each class, as the folders of FERG-DB hold them."""
    rng = np.random.default_rng(2)
    for who in ("aia", "bonnie", "jules"):
        for folder in FERG:
            for number in (1, 2):
                path = tmp_path / "FERG_DB_256" / who / f"{who}_{folder}" / f"{who}_{folder}_{number}.png"
                write(path, rng.integers(0, 256, (64, 64, 3), np.uint8))
    return tmp_path / "FERG_DB_256"


def test_ck48(ck48: Path) -> None:
    data = load(ck48)
    assert data.labels == ("angry", "disgust", "fear", "happy", "sad", "surprise", "contempt")
    split = data.split("Training")
    assert len(split) == 7 * 18
    for name, label in zip(split.names, split.labels, strict=True):
        assert CK[name.split("/")[0]] == data.labels[label]


def test_ferg(ferg: Path) -> None:
    data = load(ferg)
    assert data.labels == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert data.counts() == {"Training": [6] * 7}


def test_both_merged_with_six_classes(ck48: Path, ferg: Path) -> None:
    data = load(ck48, ferg, reading=Reading(label_map={"contempt": "", "neutral": ""}))
    assert data.labels == ("angry", "disgust", "fear", "happy", "sad", "surprise")
    assert data.counts() == {"Training": [24] * 6}
    assert data.paths == (str(ck48), str(ferg)) and data.name == "CK+48 + FERG_DB_256"


def test_nobody_stands_on_both_sides_of_a_subject_wise_division(ck48: Path, ferg: Path) -> None:
    data, training, validation = divide(load(ck48, ferg), "subject:0.34", 3)
    people = [
        {name.rpartition("/")[2].split("_")[0] for name in data.split(part).names} for part in (training, validation)
    ]
    assert not people[0] & people[1]
    assert len(people[0] | people[1]) == 9
    assert 0.2 < len(data.split(validation)) / (7 * 18 + 42) < 0.5


def test_own_classes_by_the_map_and_a_mistyped_one(tmp_path: Path) -> None:
    for folder in ("bored", "awake"):
        write(tmp_path / "own" / folder / "1.png", np.zeros((48, 48), np.uint8))
    names = {"bored": "bored", "awake": "attentive"}
    assert load(tmp_path / "own", reading=Reading(label_map=names)).labels == ("attentive", "bored")
    with pytest.raises(DataError, match=r"awake/1\.png is not in a class folder"):
        load(tmp_path / "own", reading=Reading(label_map={"bored": "bored"}))
    with pytest.raises(UsageError, match=r"label map cannot be used .*at least two labels"):
        load(tmp_path / "own", reading=Reading(label_map={"bored": "", "awake": "attentive"}))


@pytest.mark.parametrize("kind", ["bt601", "bt709"])
def test_grey_is_the_one_that_was_asked_for(kind: str, tmp_path: Path) -> None:
    colours = np.zeros((48, 48, 3), np.uint8)
    colours[:, :16], colours[:, 16:32], colours[:, 32:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    write(tmp_path / "set" / "happy" / "1.png", colours)
    image = load(tmp_path / "set", reading=Reading(grey=kind)).split("Training").images[0]
    wanted = {"bt601": (0.114, 0.587, 0.299), "bt709": (0.072, 0.715, 0.213)}[kind]
    assert image[0, [0, 20, 40]].astype(float) == pytest.approx([255 * share for share in wanted], abs=1)


def test_folders_keep_the_detail_that_a_larger_side_has_room_for(tmp_path: Path) -> None:
    lines = np.zeros((84, 84), np.uint8)
    lines[:, ::2] = 255
    write(tmp_path / "set" / "happy" / "1.png", lines)
    image = load(tmp_path / "set", reading=Reading(side=84)).split("Training").images[0]
    assert (image == lines).all()
    assert load(tmp_path / "set").split("Training").images.shape == (1, 48, 48)


def test_tables_are_resized_too(csv_rows: list[str], write_csv) -> None:
    small = load(write_csv(csv_rows))
    large = load(write_csv(csv_rows), reading=Reading(side=96))
    split = large.split("Training")
    assert split.images.shape[1:] == (96, 96)
    means = split.images.reshape(len(split), 48, 2, 48, 2).mean(axis=(2, 4))
    assert np.abs(means - small.split("Training").images).mean() < 12
