from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fer_edge.contract.errors import DataError, UsageError
from fer_train.datasets import Dataset, Reading, Split, copies, divide
from fer_train.datasets.splits import hold_out


def test_usage_keeps_fer2013s_own_splits(made_data: Dataset) -> None:
    assert divide(made_data, "usage", 1) == (made_data, "Training", "PublicTest")


def test_usage_without_validation_pictures_says_what_to_do(made_data: Dataset) -> None:
    alone = dataclasses.replace(made_data, splits={"Training": made_data.split("Training")})
    with pytest.raises(DataError, match=r"no PublicTest pictures; divide it with --split random:0\.2"):
        divide(alone, "usage", 1)


def test_random_division_is_seeded_and_keeps_every_picture_once(made_data: Dataset) -> None:
    first, training, validation = divide(made_data, "random:0.2", 5)
    assert (training, validation) == ("random-train", "random-validation")
    assert len(first.split(validation)) == round(0.2 * 131)
    pixels = [image.tobytes() for split in first.splits.values() for image in split.images]
    wanted = [image.tobytes() for split in made_data.splits.values() for image in split.images]
    assert sorted(pixels) == sorted(wanted)
    again, *_ = divide(made_data, "random:0.2", 5)
    other, *_ = divide(made_data, "random:0.2", 6)
    assert again.split(training).sha256() == first.split(training).sha256()
    assert other.split(training).sha256() != first.split(training).sha256()


@pytest.mark.parametrize("how", ["random", "random:", "random:0", "random:1", "random:nan", "random:x", "thirds", ""])
def test_nonsense_is_a_usage_error(how: str, made_data: Dataset) -> None:
    with pytest.raises(UsageError, match=r"it can be usage, or random:0\.2"):
        divide(made_data, how, 1)


def test_too_few_pictures(made_data: Dataset) -> None:
    one = dataclasses.replace(made_data, splits={"Training": made_data.split("Training").take(np.array([0]))})
    with pytest.raises(DataError, match=r"too few pictures \(1\)"):
        divide(one, "random:0.2", 1)


def test_copies_are_counted_by_pixels() -> None:
    def split(*levels: int) -> Split:
        images = np.stack([np.full((48, 48), level, np.uint8) for level in levels])
        return Split(images, np.zeros(len(levels), np.int64), tuple(map(str, range(len(levels)))))

    assert copies(split(1, 2, 2, 2, 3), split(2, 2, 9)) == {"validation_in_training": 2, "within_training": 2}


def levels(numbers: list[int], labels: list[int], names: list[str] | None = None) -> Split:
    images = np.stack([np.full((48, 48), number, np.uint8) for number in numbers])
    return Split(images, np.array(labels), tuple(names or map(str, range(len(numbers)))))


def test_stratified_division_gives_each_class_its_share_and_parts_no_copies() -> None:
    rng = np.random.default_rng(0)
    labels = [0] * 100 + [1] * 50 + [2] * 10
    numbers = rng.integers(0, 60, 160).tolist()
    data = Dataset(("a", "b", "c"), {"Training": levels(numbers, labels)}, "made")
    divided, training, validation = divide(data, "stratified:0.2", 1)
    assert (training, validation) == ("stratified-train", "stratified-validation")
    assert copies(divided.split(training), divided.split(validation))["validation_in_training"] == 0
    assert divided.counts()[validation] == pytest.approx([20, 10, 2], abs=2)
    names = [name for split in divided.splits.values() for name in split.names]
    assert sorted(names, key=int) == [str(i) for i in range(160)]


def test_folds_hold_every_training_picture_once_and_no_other_split(made_data: Dataset) -> None:
    held_out: list[str] = []
    for fold in range(1, 5):
        divided, training, validation = divide(made_data, f"fold:{fold}/4", 7)
        assert (training, validation) == (f"fold-{fold}-of-4-train", f"fold-{fold}-of-4-validation")
        both = (*divided.split(training).names, *divided.split(validation).names)
        assert sorted(both) == sorted(made_data.split("Training").names)
        counts = np.bincount(divided.split(validation).labels, minlength=7)
        assert counts.max() - counts.min() <= 1
        held_out += divided.split(validation).names
    assert sorted(held_out) == sorted(made_data.split("Training").names)


def test_folds_part_people_where_names_say_who_it_is() -> None:
    names = [f"S{person:03}_001_{frame:08}.png" for person in range(8) for frame in range(3)]
    data = Dataset(("a", "b"), {"Training": levels(list(range(24)), [i % 2 for i in range(24)], names)}, "made")
    for fold in (1, 2, 3, 4):
        divided, training, validation = divide(data, f"fold:{fold}/4", 1)
        people = [{name[:4] for name in divided.split(part).names} for part in (training, validation)]
        assert not people[0] & people[1] and len(people[1]) == 2


def test_subjects_need_names_that_say_them(made_data: Dataset) -> None:
    with pytest.raises(DataError, match=r"do not say whose face it is.*--split stratified:0\.2"):
        divide(made_data, "subject:0.2", 1)


@pytest.mark.parametrize("how", ["fold:0/5", "fold:6/5", "fold:1/1", "fold:1", "fold:1.5/5", "stratified", "subject:2"])
def test_nonsense_of_the_other_kinds(how: str, made_data: Dataset) -> None:
    with pytest.raises(UsageError, match=f"split '{how}' is unknown"):
        divide(made_data, how, 1)


def cleaned(clean: tuple[str, ...], training: Split, public: Split) -> tuple[str, ...]:
    data = Dataset(("a", "b"), {"Training": training, "PublicTest": public}, "made", reading=Reading(clean=clean))
    divided, name, _ = divide(data, "usage", 1)
    assert divided.split("PublicTest").names == public.names
    return divided.split(name).names


def test_cleaning_leaves_one_of_each_by_the_label_that_most_copies_have() -> None:
    training = levels([1, 2, 2, 2, 3, 3], [0, 0, 1, 1, 1, 0])
    public = levels([3, 9, 9], [0, 0, 1])
    assert cleaned(("copies",), training, public) == ("0", "2", "5")
    assert cleaned(("leaks",), training, public) == ("0", "1", "2", "3")
    assert cleaned(("copies", "leaks"), training, public) == ("0", "2")
    assert cleaned((), training, public) == training.names


def test_held_out_pictures_are_a_share_of_every_class_and_no_copies_of_the_others() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 4, 4), dtype=np.uint8)
    images[200:] = images[:100]
    split = Split(images, np.tile(np.arange(5), 60), tuple(f"made#{i}" for i in range(300)))
    rest, held = hold_out(split, 0.2)
    assert sorted((*rest.names, *held.names)) == sorted(split.names)
    assert abs(len(held) - 60) <= 5
    assert all(8 <= count <= 16 for count in np.bincount(held.labels))
    assert not {image.tobytes() for image in rest.images} & {image.tobytes() for image in held.images}
    assert hold_out(split, 0.2)[1].names == held.names
    assert len(hold_out(split, 0.0)[1]) == 0
