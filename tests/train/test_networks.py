from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from fer_edge.contract.errors import UsageError
from fer_edge.contract.labels import FER2013_LABELS
from fer_train import recipe as recipes
from fer_train.cli import main
from fer_train.datasets import Dataset
from fer_train.networks import Kin, find_networks, to_train
from fer_train.runs import create_run

pytestmark = pytest.mark.tensorflow

KIN = Kin(FER2013_LABELS)


def recipe(name: str, **training: object) -> recipes.Recipe:
    return recipes.from_dict({"name": name, "model": {"architecture": "mini_xception"}, "training": training})


def pupil(**more: object) -> recipes.Recipe:
    return recipe("pupil", teacher="large", teacher_share=0.5, **more)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_data: Dataset) -> Path:
    """Two finished runs of recipe `large`, one that has no epoch yet, and one of another recipe."""
    monkeypatch.chdir(tmp_path)
    for name, kind in (("old", "large"), ("new", "large"), ("begun", "large"), ("other", "small")):
        create_run(Path("runs") / name, recipe(kind), made_data, seed=1)
        if name != "begun":
            (tmp_path / "runs" / name / "best.keras").write_bytes(name.encode())
    (tmp_path / "runs" / "stray").mkdir()
    (tmp_path / "runs" / "stray" / "best.keras").write_bytes(b"no run")
    return tmp_path / "runs"


def test_the_newest_run_of_the_recipe_that_is_named(runs: Path) -> None:
    os.utime(runs / "old" / "best.keras", (1, 1))
    assert find_networks(pupil(), {"teacher": None, "start": None}, KIN) == {"teacher": Path("runs/new/best.keras")}


def test_a_run_or_a_file_that_is_given(runs: Path) -> None:
    given = {"teacher": runs / "other", "start": runs / "old" / "best.keras"}
    assert find_networks(pupil(start="large"), given, KIN) == {
        "teacher": runs / "other" / "best.keras",
        "start": runs / "old" / "best.keras",
    }


@pytest.mark.parametrize(
    ("wanted", "given", "sentence"),
    [
        (recipe("plain"), {"teacher": Path("x")}, r"plain has no training\.teacher; leave --teacher out"),
        (recipe("later", start="tiny"), {"start": None}, r"recipe tiny as its start.* fer-train --recipe tiny --data"),
        (
            pupil(),
            {"teacher": Path("runs/begun")},
            r"--teacher runs/begun is no \.keras file, no model file, .* no run",
        ),
    ],
)
def test_what_is_missing_is_said(
    runs: Path, wanted: recipes.Recipe, given: dict[str, Path | None], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        find_networks(wanted, given, KIN)


def test_what_has_to_be_trained_first(runs: Path) -> None:
    nothing = {"start": None, "teacher": None}
    assert to_train(pupil(), nothing, KIN) is None
    assert to_train(pupil(start="tiny"), nothing, KIN) == ("tiny", None)
    assert to_train(pupil(start="tiny"), {"start": runs / "other", "teacher": None}, KIN) is None
    (runs / "new" / "last.keras").write_bytes(b"after an epoch of many")
    assert to_train(pupil(), nothing, KIN) is None, "the older one came to its end"
    assert find_networks(pupil(), nothing, KIN) == {"teacher": Path("runs/old/best.keras")}
    (runs / "old" / "last.keras").write_bytes(b"after an epoch of many")
    os.utime(runs / "old" / "best.keras", (1, 1))
    assert to_train(pupil(), nothing, KIN) == ("large", Path("runs/new"))


def test_only_a_run_that_is_what_its_recipe_says_is_built_on(runs: Path, made_data: Dataset) -> None:
    short = recipes.load("mini_labels")
    short = dataclasses.replace(short, training=dataclasses.replace(short.training, epochs=1))
    create_run(runs / "first", short, made_data, seed=1)
    (runs / "first" / "best.keras").write_bytes(b"after one epoch")
    wanted, nothing = recipe("later", start="mini_labels"), {"start": None, "teacher": None}
    assert to_train(wanted, nothing, KIN) == ("mini_labels", None)
    with pytest.raises(UsageError, match="holds none that came to its end"):
        find_networks(wanted, nothing, KIN)
    assert to_train(wanted, nothing, dataclasses.replace(KIN, epochs=1)) is None


@pytest.mark.parametrize(
    "kin",
    [
        Kin(FER2013_LABELS, "stratified:0.2", 2),
        Kin(FER2013_LABELS, "stratified:0.3", 1),
        Kin(FER2013_LABELS, "usage"),
        Kin((*FER2013_LABELS[:6], "contempt"), "stratified:0.2"),
    ],
)
def test_what_learned_other_classes_or_the_validation_pictures_is_not_built_on(
    runs: Path, made_data: Dataset, kin: Kin
) -> None:
    create_run(runs / "divided", recipe("apart"), made_data, seed=1, division="stratified:0.2")
    (runs / "divided" / "best.keras").write_bytes(b"weights")
    nothing = {"start": None, "teacher": None}
    assert to_train(recipe("later", start="apart"), nothing, Kin(FER2013_LABELS, "stratified:0.2", 1)) is None
    assert to_train(recipe("later", start="apart"), nothing, kin) == ("apart", None)


def test_a_network_of_other_labels_is_refused_though_it_was_named(runs: Path) -> None:
    kin = Kin((*FER2013_LABELS[:6], "contempt"))
    with pytest.raises(UsageError, match=r"--teacher .*new/best\.keras knows .*neutral where the data has .*contempt"):
        find_networks(pupil(), {"teacher": runs / "new"}, kin)


@pytest.mark.parametrize("training", [{"teacher": "large"}, {"teacher_share": 0.5}])
def test_teacher_and_share_need_each_other(training: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="need each other"):
        recipe("half", **training)


@pytest.mark.parametrize(("key", "needed"), [("teacher_views", "teacher"), ("start_share", "start")])
def test_what_is_about_another_network_needs_one(key: str, needed: str) -> None:
    with pytest.raises(UsageError, match=rf"{key} needs training\.{needed}"):
        recipe("alone", **{key: 1})


def test_a_run_begins_with_the_weights_and_targets_of_its_networks(tmp_path: Path, made_data: Dataset) -> None:
    import keras
    import numpy as np

    from fer_train import models
    from fer_train.batches import TrainingBatches
    from fer_train.distillation import load_teacher
    from fer_train.fit import fit

    options = {"architecture": "mini_xception", "filters": [4]}
    keras.utils.set_random_seed(9)
    network = models.build(**options, classes=7)
    path = tmp_path / "network.keras"
    network.save(path)
    still = recipes.from_dict(
        {
            "name": "still",
            "model": options,
            "training": {
                "teacher": "any", "teacher_share": 0.75, "start": "any", "epochs": 1, "learning_rate": 1e-9,
                "batch_size": 32,
            },
        }
    )  # fmt: skip
    run = create_run(tmp_path / "run", still, made_data, seed=1, networks={"teacher": path, "start": path})
    path.unlink()
    trained = fit(run, made_data)
    for ours, theirs in zip(trained.trainable_weights, network.trainable_weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)

    teacher = load_teacher(run, classes=7, side=48)
    common = {"classes": 7, "batch_size": 16, "augmentation": still.augmentation, "seed": 1}
    split = made_data.split("Training")
    images, targets = TrainingBatches(split, **common, teacher=teacher, teacher_share=0.75)[0]
    plain_images, labels = TrainingBatches(split, **common)[0]
    np.testing.assert_array_equal(images, plain_images)
    np.testing.assert_allclose(targets, 0.25 * labels + 0.75 * network.predict_on_batch(images), atol=1e-5)


def test_a_chain_trains_each_network_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, csv_rows: list[str], write_csv: Callable[..., Path]
) -> None:
    """`mini` begins with one network and learns from another, which is the teacher of the first one too."""
    data = write_csv(csv_rows)
    monkeypatch.chdir(tmp_path)
    first = CliRunner().invoke(main, ["--recipe", "mini", "--data", str(data), "--epochs", "1", "--chain"])
    assert first.exit_code == 0, first.output
    assert [line for line in first.stdout.splitlines() if " needs " in line] == [
        "recipe mini needs mini_taught: training it first",
        "recipe mini_taught needs mini_labels: training it first",
        "recipe mini_taught needs mini_teacher: training it first",
    ]
    assert {path.name for path in Path("runs").iterdir()} == {
        "mini_labels-1", "mini_teacher-1", "mini_taught-1", "mini-1",
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [("--start", "absent.keras"), ("--name", "taken"), ("--teacher", "absent.keras")])
def test_what_is_wrong_is_said_before_a_chain_is_trained(
    wrong: tuple[str, str], runs: Path, csv_rows: list[str], write_csv: Callable[..., Path]
) -> None:
    (runs / "taken").mkdir()
    (runs / "taken" / "run.json").write_text("{}")
    before = sorted(runs.iterdir())
    arguments = ["--recipe", "mini", "--data", str(write_csv(csv_rows)), "--epochs", "1", "--chain", *wrong]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2, done.output
    assert wrong[1].removesuffix(".keras") in done.output
    assert sorted(runs.iterdir()) == before


def test_views_come_again_mirrored_with_an_answer_that_is_for_both(tmp_path: Path, made_data: Dataset) -> None:
    import keras
    import numpy as np

    from fer_train import models
    from fer_train.augmentation import Augmentation
    from fer_train.batches import TrainingBatches

    keras.utils.set_random_seed(9)
    teacher = models.build("mini_xception", filters=[4], classes=7)
    split, options = made_data.split("Training"), {"classes": 7, "batch_size": 16, "seed": 1, "mixup": 0.2}
    asked = []
    answer = teacher.predict_on_batch
    teacher.predict_on_batch = lambda images: asked.append(len(images)) or answer(images)
    worse = dataclasses.replace(recipes.load("mini").augmentation, darkness=0.7, blur=1.5, jpeg=20)
    clear = dataclasses.replace(worse, darkness=0.0, blur=0.0, jpeg=0)

    def shown(augmentation: Augmentation) -> list[tuple[np.ndarray, np.ndarray]]:
        batches = TrainingBatches(
            split, **options, augmentation=augmentation, teacher=teacher, teacher_share=1.0, teacher_views=2
        )
        epochs = []
        for epoch in (1, 2, 3, 4, 5):
            batches.begin_epoch(epoch)
            epochs.append(batches[0])
        return epochs

    (first, answers), (second, _), (third, same), (fourth, _), (fifth, _) = shown(clear)
    assert asked == [16] * 4, "two views and their mirror images"
    np.testing.assert_allclose(answers, (answer(first) + answer(first[:, :, ::-1])) / 2, atol=1e-6)
    np.testing.assert_array_equal(third, first[:, :, ::-1])
    np.testing.assert_array_equal(same, answers)
    np.testing.assert_array_equal(fourth, second[:, :, ::-1])
    np.testing.assert_array_equal(fifth, first)
    assert (first != second).any()
    # The teacher looks at clear pictures, also where its pupil learns from those of a worse camera.
    (dark, same), *_, (again, _) = shown(worse)
    np.testing.assert_array_equal(same, answers)
    assert (dark != first).any() and (again != dark).any()


def test_a_run_ends_with_the_mean_of_its_start_and_its_last_epoch(tmp_path: Path, made_data: Dataset) -> None:
    import keras
    import numpy as np

    from fer_train import models
    from fer_train.compare import figures, read
    from fer_train.fit import fit
    from fer_train.report import write_report

    options = {"architecture": "mini_xception", "filters": [4]}
    keras.utils.set_random_seed(9)
    models.build(**options, classes=7).save(tmp_path / "start.keras")
    training = {"start": "any", "start_share": 0.25, "epochs": 2, "batch_size": 16, "learning_rate": 0.01}
    wanted = recipes.from_dict({"name": "mean", "model": options, "training": training})
    run = create_run(tmp_path / "run", wanted, made_data, seed=1, networks={"start": tmp_path / "start.keras"})
    for _ in range(2):  # Resumed after its end it comes to the same.
        returned = fit(run, made_data)
        begun, last, mean = (
            models.load(path).get_weights()
            for path in (tmp_path / "start.keras", run.folder / "last.keras", run.folder / "best.keras")
        )
        for a, b, c, d in zip(begun, last, mean, returned.get_weights(), strict=True):
            np.testing.assert_allclose(c, 0.25 * a + 0.75 * b, atol=1e-6)
            np.testing.assert_array_equal(c, d)
        assert any((a != b).any() for a, b in zip(begun, last, strict=True))
    assert run.best_epoch() is None
    assert run.best_in_words() == "mean of the weights after epoch 2 and, 25% of it, those it began with"
    write_report(run, made_data)
    assert json.loads((run.folder / "evaluation.json").read_text())["epoch"] is None
    page = (run.folder / "report.html").read_text()
    assert "mean of the weights after epoch 2" in page and "was chosen on these very pictures" not in page
    assert "mean of 2" in figures([read(run.folder), read(run.folder)])[1][0]


def test_a_teacher_of_other_classes_is_refused(tmp_path: Path, made_data: Dataset) -> None:
    from fer_edge.contract.errors import DataError
    from fer_train import models
    from fer_train.distillation import load_teacher

    models.build("mini_xception", classes=6, filters=[4]).save(tmp_path / "six.keras")
    run = create_run(tmp_path / "run", pupil(), made_data, seed=1, networks={"teacher": tmp_path / "six.keras"})
    with pytest.raises(DataError, match=r"to \(None, 6\), where the data needs .* to \(None, 7\)"):
        load_teacher(run, classes=7, side=48)
