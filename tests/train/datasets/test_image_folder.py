from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.contract.errors import DataError
from fer_train.datasets import Dataset, image_folder, load

FACE = np.tile(np.arange(48, dtype=np.uint8) * 5, (48, 1))


def encoded(image: np.ndarray = FACE, ending: str = ".jpg") -> bytes:
    return cv2.imencode(ending, image)[1].tobytes()


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_zip(root: Path, files: dict[str, bytes]) -> Path:
    path = root / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


both_forms = pytest.mark.parametrize("write", [write_folder, write_zip])
Write = Callable[[Path, dict[str, bytes]], Path]


def members(data: Dataset) -> dict[str, tuple[str, ...]]:
    return {name: split.names for name, split in data.splits.items()}


@both_forms
def test_prefix_decides_the_split_before_the_folder(write: Write, tmp_path: Path) -> None:
    names = ["train/happy/Training_1.jpg", "test/sad/PublicTest_2.jpg", "test/angry/PrivateTest_3.jpg"]
    data = load(write(tmp_path, dict.fromkeys(names, encoded())))
    assert members(data) == {"Training": (names[0],), "PublicTest": (names[1],), "PrivateTest": (names[2],)}
    assert data.labels == ("angry", "happy", "sad")
    assert data.split("Training").labels.tolist() == [1]
    assert np.abs(data.split("Training").images[0].astype(int) - FACE).max() < 12


@both_forms
def test_without_prefix_the_folder_decides(write: Write, tmp_path: Path) -> None:
    names = ["set/train/happy/1.png", "set/test/happy/1.png"]
    assert members(load(write(tmp_path, dict.fromkeys(names, encoded(ending=".png"))))) == {
        "Training": (names[0],),
        "PublicTest": (names[1],),
    }


def test_beside_a_validation_folder_test_is_the_last_examination(tmp_path: Path) -> None:
    names = ["train/happy/1.jpg", "validation/happy/1.jpg", "test/happy/1.jpg"]
    found = members(load(write_folder(tmp_path, dict.fromkeys(names, encoded()))))
    assert found == {"Training": (names[0],), "PublicTest": (names[1],), "PrivateTest": (names[2],)}


def test_without_split_folders_all_is_training(tmp_path: Path) -> None:
    names = ["happy/1.jpg", "sad/1.jpg"]
    assert members(load(write_folder(tmp_path, dict.fromkeys(names, encoded())))) == {"Training": tuple(names)}


def test_equal_basenames_in_two_classes_stay_two_pictures(tmp_path: Path) -> None:
    names = ["train/happy/Training_8.jpg", "train/sad/Training_8.jpg"]
    split = load(write_zip(tmp_path, dict.fromkeys(names, encoded()))).split("Training")
    assert split.names == tuple(names)
    assert split.labels.tolist() == [0, 1]


@pytest.mark.parametrize("folder", ["HAPPY", "Happiness", "happy", "joy", "mery_joy"])
def test_class_folders_in_any_case_and_with_other_names(folder: str, tmp_path: Path) -> None:
    assert load(write_folder(tmp_path, {f"train/{folder}/1.jpg": encoded()})).labels == ("happy",)


def test_other_sizes_and_colour_become_48x48_grey(tmp_path: Path) -> None:
    colour = np.zeros((96, 96, 3), np.uint8)
    colour[:, 48:] = (255, 255, 255)
    split = load(write_folder(tmp_path, {"train/sad/1.png": encoded(colour, ".png")})).split("Training")
    assert split.images.shape == (1, 48, 48)
    assert (split.images[0, :, :24] == 0).all() and (split.images[0, :, 24:] == 255).all()


def test_what_archives_and_systems_leave_is_ignored(tmp_path: Path) -> None:
    files = {
        "train/happy/1.jpg": encoded(),
        "train/happy/Thumbs.db": b"x",
        "train/happy/.DS_Store": b"x",
        "__MACOSX/train/happy/._1.jpg": b"x",
        "README.txt": b"x",
    }
    assert members(load(write_zip(tmp_path, files))) == {"Training": ("train/happy/1.jpg",)}


@both_forms
@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "holds no pictures; train/<class>"),
        ({"notes.txt": b"x"}, "holds no pictures"),
        ({"train/happy/1.jpg": b"ok", "train/2.jpg": b"ok"}, r"train/2\.jpg is not in a class folder"),
        ({"train/happy/1.jpg": b"ok", "3.jpg": b"ok"}, r"3\.jpg is not in a class folder"),
        ({"train/hapy/1.jpg": b"ok"}, r"train/hapy/1\.jpg is not in a class folder \(did you mean happy\?\)"),
        ({"train/bored/1.jpg": b"ok"}, "bored.*the classes are angry, disgust.* and those that --label-map names"),
        ({"train/happy/1.jpg.part": b"ok"}, r"1\.jpg\.part stands in a class folder and is no picture"),
        ({"train/happy/1.jpg": b"ok", "extra/happy/2.jpg": b"ok"}, "extra/happy/2.jpg stands in none of the split"),
        ({"train/happy/1.jpg": b"not a picture"}, r"train/happy/1\.jpg is damaged or no picture"),
        ({"train/happy/1.jpg": b""}, r"train/happy/1\.jpg is damaged or no picture"),
        ({"train/happy/1.jpg": b"half"}, r"train/happy/1\.jpg is damaged or no picture"),
    ],
)
def test_refused_with_the_pictures_name(write: Write, files: dict[str, bytes], sentence: str, tmp_path: Path) -> None:
    made = {b"ok": encoded(), b"half": encoded()[: len(encoded()) // 2]}
    source = write(tmp_path, {name: made.get(data, data) for name, data in files.items()})
    with pytest.raises(DataError, match=sentence) as caught:
        load(source)
    assert str(source) in str(caught.value)


@both_forms
def test_oversized_picture(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "MAX_PICTURE_BYTES", 100)
    with pytest.raises(DataError, match=r"train/happy/1\.jpg has more than 100 bytes"):
        load(write(tmp_path, {"train/happy/1.jpg": encoded()}))


def test_flipped_bit_inside_the_zip(tmp_path: Path) -> None:
    path = write_zip(tmp_path, {"train/happy/1.jpg": encoded(), "train/sad/2.jpg": encoded()})
    data = bytearray(path.read_bytes())
    data[data.index(b"train/sad/2.jpg") + 400] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"train/sad/2\.jpg cannot be read .*CRC"):
        load(path)


def test_a_zip_that_is_none_and_one_cut_off(tmp_path: Path) -> None:
    path = write_zip(tmp_path, {"train/happy/1.jpg": encoded()})
    whole = path.read_bytes()
    for data in (b"hello", whole[:-30], b""):
        path.write_bytes(data)
        with pytest.raises(DataError, match="is not a zip or is cut off"):
            load(path)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    renamed = write_zip(tmp_path, {"train/happy/1.jpg": encoded()}).rename(tmp_path / "fer2013.csv")
    assert len(load(renamed).split("Training")) == 1
