from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.contract.errors import DataError
from fer_edge.contract.labels import FER2013_LABELS
from fer_train.datasets import Dataset, Reading, load
from fer_train.datasets.ferplus import COLUMNS, FERPLUS_LABELS, distribution, majority, no_face

WriteCsv = Callable[..., Path]
FILE_COLUMNS = [
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
]  # fmt: skip
ten_votes = st.lists(st.integers(0, 9), min_size=10, max_size=10).map(
    lambda voters: np.bincount(voters, minlength=10).astype(np.uint8)
)


def votes(**counts: int) -> list[int]:
    """A row in the order of the file."""
    return [counts.get(name, 0) for name in FILE_COLUMNS]


def write_votes(data: Path, rows: list[tuple[str, str, list[int]]], name: str = "fer2013new.csv") -> Path:
    path = data.with_name(name)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Usage", "Image name", *FILE_COLUMNS])
        writer.writerows([usage, picture, *counts] for usage, picture, counts in rows)
    return path


def published(counts: list[float], mode: str) -> list[float]:
    """The rules as the authors' `ferplus.py` writes them, step by step; the last two columns are no expression."""
    size = len(counts)
    unknown = [0.0] * (size - 2) + [1.0, 0.0]
    raw = [0.0 if count < 1.0 + sys.float_info.epsilon else float(count) for count in counts]
    total = sum(raw)
    found = [0.0] * size
    if mode == "majority":
        if max(raw) > 0.5 * total:
            found[raw.index(max(raw))] = max(raw)
        else:
            found = unknown
    else:
        part, count, valid = 0.0, 0, True
        while part < 0.75 * total and count < 3 and valid:
            top = max(raw)
            for i in range(size):
                if raw[i] == top:
                    found[i], raw[i] = top, 0.0
                    part += found[i]
                    count += 1
                    if i >= size - 2:
                        valid = False
                        if sum(found) > top:
                            found[i] = 0.0
                            count -= 1
                        break
        if sum(found) <= 0.5 * total or count > 3:
            found = unknown
    return [value / sum(found) for value in found]


@given(ten_votes)
def test_majority_and_distribution_are_those_of_the_authors_code(counts: np.ndarray) -> None:
    for mode in ("majority", "cross-entropy"):
        wanted = np.array(published(list(counts), mode))
        kept = wanted.argmax() < 8
        if mode == "majority":
            assert majority(counts[None])[0] == (wanted.argmax() if kept else -1)
        else:
            np.testing.assert_allclose(distribution(counts[None])[0], wanted[:8] if kept else np.zeros(8), atol=1e-6)


@pytest.mark.parametrize(
    ("counts", "label"),
    [
        (votes(neutral=6, sadness=4), "neutral"),
        (votes(neutral=5, sadness=5), None),
        (votes(contempt=5, anger=1, fear=1, disgust=1, surprise=1, happiness=1), "contempt"),
        (votes(unknown=6, neutral=4), None),
        (votes(NF=10), None),
    ],
)
def test_majority_of_examples(counts: list[int], label: str | None) -> None:
    row = np.array([counts[FILE_COLUMNS.index("NF" if name == "nf" else name)] for name in COLUMNS], np.uint8)
    assert majority(row[None])[0] == (-1 if label is None else FERPLUS_LABELS.index(label))


@pytest.fixture
def voted(csv_rows: list[str], write_csv: WriteCsv) -> Path:
    """The made FER2013, with votes for the next class in every third picture and none for a face in every tenth."""
    data = write_csv(csv_rows)
    names = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt"]
    rows = []
    for number, line in enumerate(csv_rows[1:]):
        label, _, usage = line.split(",")
        if number % 10 == 9:
            rows.append((usage, "", votes()))
        else:
            main = names[int(label) + (number % 3 == 0)]
            rows.append((usage, f"fer{number + 5:07}.png", votes(**{main: 7, "unknown": 3})))
    write_votes(data, rows)
    return data


def test_labels_go_by_row_number_and_not_by_picture_name(voted: Path, made_data: Dataset) -> None:
    found = load(voted, reading=Reading(labels="ferplus"))
    assert found.labels == (*FER2013_LABELS, "contempt")
    for name, split in made_data.splits.items():
        first = 0 if name == "Training" else len(made_data.split("Training"))
        rows = [row for row in range(len(split)) if (first + row) % 10 != 9]
        assert found.split(name).labels.tolist() == [split.labels[row] + ((first + row) % 3 == 0) for row in rows]
        assert (found.split(name).images == split.images[rows]).all()
        assert found.split(name).targets is None


def test_soft_targets_are_for_training_only(csv_rows: list[str], write_csv: WriteCsv) -> None:
    data = write_csv(csv_rows)
    usages = [line.rpartition(",")[2] for line in csv_rows[1:]]
    write_votes(data, [(usage, "x", votes(happiness=6, surprise=4)) for usage in usages])
    found = load(data, reading=Reading(labels="ferplus-soft"))
    targets = found.split("Training").targets
    assert targets is not None
    happy, surprise = FERPLUS_LABELS.index("happy"), FERPLUS_LABELS.index("surprise")
    assert np.allclose(targets[:, [happy, surprise]], [0.6, 0.4]) and np.allclose(targets.sum(axis=1), 1)
    assert found.split("PublicTest").targets is None
    assert set(found.split("PublicTest").labels) == {happy}


def test_blended_targets_keep_the_files_labels(voted: Path, made_data: Dataset) -> None:
    found = load(voted, reading=Reading(labels="blend:0.4"))
    split, given = found.split("Training"), made_data.split("Training")
    assert found.labels == FER2013_LABELS and split.labels.tolist() == given.labels.tolist()
    assert split.targets is not None
    for row, (label, target) in enumerate(zip(given.labels, split.targets, strict=True)):
        wanted = np.zeros(7)
        other = label + 1 if row % 3 == 0 and row % 10 != 9 else label
        wanted[label] += 0.6
        wanted[other if other < 7 else label] += 0.4
        np.testing.assert_allclose(target, wanted, atol=1e-6)


def test_what_is_no_face_leaves_training_alone(voted: Path, made_data: Dataset) -> None:
    found = load(voted, reading=Reading(clean=("no-face",)))
    assert len(found.split("Training")) == len(made_data.split("Training")) - 9
    assert found.split("PublicTest").sha256() == made_data.split("PublicTest").sha256()


def test_no_face_needs_half_of_the_voters() -> None:
    rows = np.zeros((3, 10), np.uint8)
    rows[:, 0], rows[:, 9] = (5, 6, 10), (5, 4, 0)
    assert no_face(rows).tolist() == [True, False, False]


def test_targets_are_part_of_the_hash(voted: Path) -> None:
    plain = load(voted).split("Training")
    blended = load(voted, reading=Reading(labels="blend:0.4")).split("Training")
    assert (blended.labels == plain.labels).all() and blended.sha256() != plain.sha256()


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([("PublicTest", "a", votes(neutral=10))], "data row 0 is PublicTest where the pictures' row is Training"),
        ([("Training", "a", votes(neutral=10))], "data row 1 is missing where the pictures' row is Training"),
        ([("Training", "a", [11] + 9 * [0])], "line 2: '11' is not a number of votes from 0 to 10"),
        ([("Training", "a", [-1] + 9 * [0])], "line 2: '-1' is not a number of votes"),
        ([("Training", "a", [1])], "line 2: 3 columns where the header has 12"),
    ],
)
def test_votes_that_do_not_belong_are_refused(
    rows: list[tuple[str, str, list[int]]], sentence: str, csv_rows: list[str], write_csv: WriteCsv
) -> None:
    data = write_csv(csv_rows)
    path = write_votes(data, rows)
    with pytest.raises(DataError, match=sentence) as caught:
        load(data, reading=Reading(labels="ferplus"))
    assert str(path) in str(caught.value)


def test_missing_votes_and_pictures_that_are_no_rows(csv_rows: list[str], write_csv: WriteCsv, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fer2013new\.csv does not exist; .* or named with --votes"):
        load(write_csv(csv_rows), reading=Reading(labels="ferplus"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"FER\+ votes belong to rows of fer2013\.csv"):
        load(tmp_path / "folder", reading=Reading(clean=("no-face",)))


def test_a_file_without_the_columns_is_refused(csv_rows: list[str], write_csv: WriteCsv) -> None:
    data = write_csv(csv_rows)
    with pytest.raises(DataError, match="has no column image name or anger"):
        load(data, reading=Reading(labels="ferplus", votes=str(data)))
