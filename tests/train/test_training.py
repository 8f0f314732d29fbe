"""Whole runs: the same seed gives the same numbers, and an interrupted run ends like one that was not."""

from __future__ import annotations

import base64
import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_edge.contract.errors import DataError, UsageError
from fer_train import recipe as recipes
from fer_train.datasets import Dataset
from fer_train.runs import HISTORY, Run, create_run, open_run

pytestmark = pytest.mark.tensorflow

PLOTS = ("curves", "class_distribution", "confusion_matrix", "reliability", "augmentation", "predictions")


def history(folder: Path) -> list[str]:
    """`history.csv` without its last column, the seconds."""
    return [line.rpartition(",")[0] for line in (folder / "history.csv").read_text().splitlines()]


def variables(path: Path) -> list[np.ndarray]:
    """Weights, running statistics and the optimizer's state."""
    import keras

    import fer_train.models  # noqa: F401 (registers the layers)

    model = keras.saving.load_model(path)
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]


def assert_same_run(one: Path, other: Path) -> None:
    assert history(one) == history(other)
    for name in ("last.keras", "best.keras"):
        for ours, theirs in zip(variables(one / name), variables(other / name), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def stop_after(epoch: int) -> Callable[[dict[str, float]], None]:
    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == epoch:
            raise KeyboardInterrupt

    return stop


@pytest.fixture(scope="module")
def small() -> recipes.Recipe:
    return recipes.from_dict(
        {
            "name": "small",
            "model": {"architecture": "mini_xception", "batch_norm_momentum": 0.9, "filters": [4, 8]},
            "training": {
                "epochs": 4, "batch_size": 16, "optimizer": "adamw", "schedule": "cosine",
                "learning_rate": 0.01, "warmup_epochs": 1.0, "weight_decay": 0.001,
            },
            "augmentation": {"contrast": 0.2},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, small: recipes.Recipe, made_data: Dataset) -> Run:
    from fer_train.fit import fit

    run = create_run(tmp_path_factory.mktemp("runs") / "whole", small, made_data, seed=3)
    fit(run, made_data)
    return run


def test_history_has_a_row_an_epoch_and_learns(uninterrupted: Run) -> None:
    rows = uninterrupted.history()
    assert tuple(rows[0]) == HISTORY
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["learning_rate"] == pytest.approx(0.0, abs=1e-9)
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_same_seed_same_numbers_and_another_seed_others(
    uninterrupted: Run, small: recipes.Recipe, made_data: Dataset, tmp_path: Path
) -> None:
    from fer_train.fit import fit

    fit(create_run(tmp_path / "again", small, made_data, seed=3), made_data)
    assert_same_run(tmp_path / "again", uninterrupted.folder)
    with pytest.raises(KeyboardInterrupt):
        fit(create_run(tmp_path / "other", small, made_data, seed=4), made_data, on_epoch=stop_after(1))
    assert history(tmp_path / "other")[1] != history(uninterrupted.folder)[1]


def test_resumed_twice_it_ends_as_if_never_stopped(
    uninterrupted: Run, small: recipes.Recipe, made_data: Dataset, tmp_path: Path
) -> None:
    from fer_train.fit import fit

    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        fit(create_run(folder, small, made_data, seed=3), made_data, on_epoch=stop_after(1))
    early = (folder / "last.keras").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        fit(open_run(folder), made_data, on_epoch=stop_after(3))
    assert len(open_run(folder).history()) == 3
    # Killed between writing the history and the weights: the history is ahead by two epochs.
    (folder / "last.keras").write_bytes(early)
    fit(open_run(folder), made_data)
    assert_same_run(folder, uninterrupted.folder)
    assert not list(folder.glob(".*")), "temporary files were left"


def test_an_interruption_behind_the_last_step_is_not_lost(
    small: recipes.Recipe, made_data: Dataset, tmp_path: Path
) -> None:
    from fer_train.fit import fit

    interrupted = threading.Event()
    short = dataclasses.replace(small, training=dataclasses.replace(small.training, epochs=1))
    run = create_run(tmp_path / "run", short, made_data, seed=3)
    with pytest.raises(KeyboardInterrupt):
        fit(run, made_data, on_epoch=lambda row: interrupted.set(), interrupted=interrupted)
    assert len(run.history()) == 1
    with pytest.raises(KeyboardInterrupt):
        fit(run, made_data, interrupted=interrupted)


def test_resuming_a_finished_run_changes_nothing(uninterrupted: Run, made_data: Dataset) -> None:
    from fer_train.fit import fit

    before = {path.name: path.read_bytes() for path in uninterrupted.folder.iterdir()}
    fit(uninterrupted, made_data)
    assert before == {path.name: path.read_bytes() for path in uninterrupted.folder.iterdir()}


def test_every_epoch_sees_each_picture_once_in_another_order(made_data: Dataset) -> None:
    from fer_train.augmentation import Augmentation
    from fer_train.batches import TrainingBatches

    off = Augmentation(rotation_degrees=0.0, shift=0.0, zoom=0.0, flip=False)
    split = made_data.split("Training")
    batches = TrainingBatches(split, classes=7, batch_size=16, augmentation=off, seed=1)
    orders = []
    for epoch in (1, 2, 1):
        batches.begin_epoch(epoch)
        orders.append(np.concatenate([batches[i][0] for i in range(len(batches))]))
        grey = np.rint((orders[-1][..., 0] + 1.0) * 127.5).astype(np.uint8)
        assert sorted(image.tobytes() for image in grey) == sorted(image.tobytes() for image in split.images)
    assert (orders[0] == orders[2]).all()
    assert (orders[0] != orders[1]).any()


def test_a_run_is_not_continued_on_other_data(uninterrupted: Run, made_data: Dataset) -> None:
    split = made_data.split("PublicTest")
    changed = Dataset(
        made_data.labels,
        {**made_data.splits, "PublicTest": split.take(np.arange(len(split))[::-1])},
        "elsewhere",
    )
    with pytest.raises(DataError, match="elsewhere: split PublicTest is not the data"):
        uninterrupted.divided(changed)
    assert uninterrupted.divided(made_data) is made_data


def test_a_run_folder_is_never_overwritten(uninterrupted: Run, small: recipes.Recipe, made_data: Dataset) -> None:
    with pytest.raises(UsageError, match="already holds a run; continue it with --resume"):
        create_run(uninterrupted.folder, small, made_data, seed=3)


def test_run_file_says_what_the_numbers_depend_on(uninterrupted: Run, made_data: Dataset) -> None:
    facts = uninterrupted.facts()
    assert facts["counts"] == made_data.counts()
    assert facts["copies"] == {"validation_in_training": 0, "within_training": 0}
    assert facts["recipe"] == uninterrupted.recipe.to_dict()
    assert {"keras", "numpy", "python", "backend"} <= set(facts["versions"])


def test_a_run_file_of_before_random_divisions_still_opens(uninterrupted: Run, tmp_path: Path) -> None:
    facts = {k: v for k, v in uninterrupted.facts().items() if k not in ("division", "copies", "threads")}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    run = open_run(tmp_path)
    assert (run.division, run.threads) == ("usage", None)
    assert run.recipe == uninterrupted.recipe


def test_report_agrees_with_the_history(uninterrupted: Run, made_data: Dataset, tmp_path: Path) -> None:
    from fer_train.report import write_report

    folder = shutil.copytree(uninterrupted.folder, tmp_path / "copy")
    run = open_run(folder)
    result = write_report(run, made_data)
    best = max(run.history(), key=lambda row: row["val_accuracy"])
    assert result.accuracy == pytest.approx(best["val_accuracy"], abs=1e-6)
    written = json.loads((folder / "evaluation.json").read_text())
    assert written["accuracy"] == pytest.approx(result.accuracy, abs=1e-6)
    assert (written["epoch"], written["split"], written["count"]) == (best["epoch"], "PublicTest", 35)
    assert (folder / "evaluation.txt").read_text() == result.table() + "\n"
    for name in PLOTS:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sum(row["truth"] == row["predicted"] for row in rows) == round(35 * result.accuracy)
    assert [row["picture"] for row in rows] == list(made_data.split("PublicTest").names)
    assert max(rows[0], key=lambda key: float(rows[0][key]) if key in result.labels else -1) == rows[0]["predicted"]


def test_the_page_of_a_run_holds_every_picture_and_figure(
    uninterrupted: Run, made_data: Dataset, tmp_path: Path
) -> None:
    from fer_train.report import write_report

    before = shutil.copytree(uninterrupted.folder, tmp_path / "before")
    os.utime(before / "run.json", (1, 1))
    write_report(open_run(before), made_data)
    folder = shutil.copytree(uninterrupted.folder, tmp_path / "copy")
    result = write_report(open_run(folder), made_data)
    page = (folder / "report.html").read_text()
    for picture in folder.glob("*.png"):
        assert base64.b64encode(picture.read_bytes()).decode() in page, picture.name
    figures = (f"{100 * result.accuracy:.2f} %", "35 pictures", '<th scope="row">before</th>', "training.learning_rate")
    assert [said for said in figures if said not in page] == []
    assert str(tmp_path) not in page
    first = (before / "report.html").read_text()
    assert "There is no earlier run" in first and "There is no earlier run" not in page


def test_report_before_the_first_epoch(small: recipes.Recipe, made_data: Dataset, tmp_path: Path) -> None:
    from fer_train.report import write_report

    run = create_run(tmp_path / "new", small, made_data, seed=1)
    with pytest.raises(DataError, match="has no complete epoch yet; continue it with --resume"):
        write_report(run, made_data)


def fer_train(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from fer_train.cli import run; run()", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1"},
    )  # fmt: skip


def stop_at(process: subprocess.Popen[str], run: Path, epochs: int, how: signal.Signals) -> str:
    """Signal the process once `epochs` are complete; return what it said on stderr."""
    give_up = time.monotonic() + 300
    while not (run / "last.keras").exists() or len(open_run(run).history()) < epochs:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.02)
    process.send_signal(how)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    return said


def test_ctrl_c_and_sigterm_keep_the_epochs_and_resume_ends_the_same(
    tmp_path: Path, csv_rows: list[str], small_recipe: Path, write_csv: Callable[..., Path]
) -> None:
    data = write_csv(csv_rows, "fer2013.csv.gz")
    asked: list[Any] = ["--recipe", small_recipe, "--data", data.name, "--split", "random:0.2", "--seed", 7]
    asked += ["--threads", 1, "--epochs", 14]
    whole = fer_train(tmp_path, *asked, "--name", "whole")
    while not (tmp_path / "runs" / "whole" / "history.csv").exists():
        assert whole.poll() is None, whole.communicate()
        time.sleep(0.02)
    with (
        pytest.raises(UsageError, match="another fer-train is training in"),
        open_run(tmp_path / "runs" / "whole").locked(),
    ):
        pass
    out, err = whole.communicate(timeout=300)
    assert whole.returncode == 0, err
    assert err == f"reading {data.name}\n", "TensorFlow's own lines are held back"
    assert "validation: random-validation, 26 pictures" in out
    assert "epoch 14/14: loss" in out and "0 min left" in out
    assert "macro-F1" in out and "run folder: runs/whole" in out

    stopped = tmp_path / "runs" / "small-7"
    said = stop_at(fer_train(tmp_path, *asked), stopped, 2, signal.SIGINT)
    assert said.splitlines()[-1].startswith("fer-train: stopped; ")
    assert said.splitlines()[-1].endswith(
        "of 14 epochs are kept in runs/small-7: continue with fer-train --resume runs/small-7"
    )
    kept = len(open_run(stopped).history())
    assert 2 <= kept < 14

    said = stop_at(fer_train(tmp_path, "--resume", "runs/small-7"), stopped, kept + 1, signal.SIGTERM)
    assert "fer-train: stopped; " in said
    last = fer_train(tmp_path, "--resume", "runs/small-7")
    _, err = last.communicate(timeout=300)
    assert last.returncode == 0, err
    assert_same_run(stopped, tmp_path / "runs" / "whole")
    evaluations = [
        json.loads((folder / "evaluation.json").read_text()) for folder in (stopped, stopped.with_name("whole"))
    ]
    for evaluation in evaluations:
        del evaluation["model_sha256"]  # a .keras file holds the time it was written
    assert evaluations[0] == evaluations[1]
