from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_edge.contract.errors import DataError, UsageError
from fer_edge.contract.labels import FER2013_LABELS
from fer_train.datasets import Dataset, Reading, Split, check_label_map, in_labels, load
from fer_train.datasets.labelling import merged, ordered, renamed
from fer_train.datasets.reading import read_label_map
from fer_train.datasets.records import joined


def data(labels: tuple[str, ...], numbers: list[int], source: str = "a", targets: np.ndarray | None = None) -> Dataset:
    images = np.stack([np.full((4, 4), 10 * number, np.uint8) for number in numbers])
    split = Split(images, np.array(numbers), tuple(f"{i}.png" for i in range(len(numbers))), targets)
    return Dataset(labels, {"Training": split}, source)


def named(found: Dataset) -> list[str]:
    return [found.labels[number] for number in found.split("Training").labels]


def test_order_is_fer2013s_then_contempt_then_the_alphabet() -> None:
    assert ordered(["tired", "contempt", "neutral", "bored", "angry"]) == (
        "angry", "neutral", "contempt", "bored", "tired",
    )  # fmt: skip


def test_renamed_classes_join_and_unnamed_ones_go() -> None:
    found = renamed(data(FER2013_LABELS, [0, 1, 3, 6]), {"disgust": "angry", "neutral": ""})
    assert found.labels == ("angry", "fear", "happy", "sad", "surprise")
    assert named(found) == ["angry", "angry", "happy"]
    assert found.split("Training").names == ("0.png", "1.png", "2.png")


def test_targets_follow_their_classes_and_still_sum_to_one() -> None:
    targets = np.array([[0.5, 0.25, 0.25], [0.2, 0.0, 0.8], [0.0, 0.0, 1.0]], np.float32)
    found = renamed(data(("angry", "disgust", "sad"), [0, 0, 2], targets=targets), {"disgust": "angry", "sad": ""})
    split = found.split("Training")
    assert found.labels == ("angry",) and split.names == ("0.png", "1.png")
    assert split.targets is not None and split.targets.tolist() == [[1.0], [1.0]]


def test_in_labels_moves_counts_and_adds() -> None:
    found, left_out = in_labels(data(("happy", "sad", "neutral"), [0, 1, 2, 2]), ("sad", "fear", "happy"))
    assert found.labels == ("sad", "fear", "happy") and left_out == 2
    assert named(found) == ["happy", "sad"]


def test_merged_has_the_labels_of_all_and_says_whose_picture_it_is() -> None:
    ck = data(("angry", "contempt"), [0, 1], "/x/ck")
    ferg = data(("angry", "happy", "neutral"), [0, 1, 2], "/x/ferg")
    found = merged([ck, ferg])
    assert found.labels == ("angry", "happy", "neutral", "contempt")
    assert named(found) == ["angry", "contempt", "angry", "happy", "neutral"]
    assert found.split("Training").names[1:3] == ("ck/1.png", "ferg/0.png")
    with pytest.raises(DataError, match="have the same name"):
        merged([ck, dataclasses.replace(ck, source="/y/ck")])


def test_joined_gives_hard_labels_targets_where_others_are_soft() -> None:
    soft = data(("angry", "sad"), [1], targets=np.array([[0.3, 0.7]], np.float32)).split("Training")
    hard = data(("angry", "sad"), [0]).split("Training")
    found = joined([hard, soft], 2)
    assert found.targets is not None and np.allclose(found.targets, [[1, 0], [0.3, 0.7]])
    assert joined([hard, hard], 2).targets is None


def test_label_map(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('Joy = "happy"\ncontempt = ""\n"sehr traurig" = "sad"\n')
    assert read_label_map(path) == {"joy": "happy", "contempt": "", "sehr traurig": "sad"}
    for text, sentence in (("joy = 3", "joy is 3"), ("joy", "cannot be read as TOML")):
        path.write_text(text)
        with pytest.raises(UsageError, match=sentence):
            read_label_map(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_label_map(tmp_path / "none.toml")


def test_reading_survives_json_and_refuses_nonsense() -> None:
    reading = Reading(labels="blend:0.4", label_map={"a": "b"}, clean=("copies", "leaks"), grey="bt709", side=84)
    assert Reading.from_dict(reading.to_dict()) == reading
    for wrong, sentence in (
        ({"labels": "ferplus+"}, "labels 'ferplus\\+' are unknown"),
        ({"labels": "blend:1"}, "labels 'blend:1' are unknown"),
        ({"labels": "blend:nan"}, "blend:nan"),
        ({"clean": ("dirt",)}, "--clean dirt is unknown"),
        ({"grey": "mean"}, "--grey mean is unknown"),
    ):
        with pytest.raises(UsageError, match=sentence):
            Reading(**wrong)


def test_a_label_map_that_leaves_nothing_is_what_is_blamed(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match="the label map leaves out every class that has pictures"):
        load(tmp_path, reading=Reading(label_map={"happy": ""}))


def test_a_label_map_names_classes_that_a_table_has(
    csv_rows: list[str], write_csv: Callable[..., Path], tmp_path: Path
) -> None:
    table = write_csv(csv_rows)
    with pytest.raises(UsageError, match=r"names 'angy', which is no class of .*fer2013.csv; did you mean angry\?"):
        check_label_map(Reading(label_map={"angy": "x"}), table)
    with pytest.raises(UsageError, match="names 'contempt', which is no class"):
        check_label_map(Reading(label_map={"contempt": ""}), table)
    check_label_map(Reading(labels="ferplus", label_map={"contempt": ""}), table)
    check_label_map(Reading(label_map={"angy": "x"}), table, tmp_path)  # a folder may be called anything
    # What another data set's map says of a table's classes is used, and the rest is not.
    assert "disgust" not in load(table, reading=Reading(label_map={"disgust": "", "anger": "angry"})).labels
