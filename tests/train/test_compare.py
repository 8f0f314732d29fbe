"""Runs side by side, from what their folders say."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fer_train import compare
from fer_train import recipe as recipes
from fer_train.cli import main
from fer_train.runs import open_run

LABELS = ("a", "b")
MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run folder in which the pictures numbered in `wrong`, of ten, are taken for the other class."""

    def make(
        name: str, *, wrong: Sequence[int] = (), seed: int = 1, data: str = "d" * 64, recipe: str = "mini",
        begun: int = 0, labels: str = "fer2013",
    ) -> Path:  # fmt: skip
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        facts: dict[str, Any] = {
            "recipe": recipes.load(recipe).to_dict(), "seed": seed, "labels": LABELS, "data": "fer2013.csv",
            "reading": {"labels": labels},
            "splits": {"training": "Training", "validation": "PublicTest"}, "data_sha256": {"PublicTest": data},
        }  # fmt: skip
        (folder / "run.json").write_text(json.dumps(facts))
        os.utime(folder / "run.json", (begun, begun))
        header = "epoch,learning_rate,loss,accuracy,val_loss,val_accuracy,seconds"
        (folder / "history.csv").write_text(f"{header}\n1,0.1,2,0.2,2,0.3,90.0\n2,0.1,2,0.2,2,0.3,30.0\n")
        truth = [LABELS[n % 2] for n in range(10)]
        said = [LABELS[(n + (n in wrong)) % 2] for n in range(10)]
        rows = [f"p{n},{t},{s},0.5,0.5" for n, (t, s) in enumerate(zip(truth, said, strict=True))]
        (folder / "predictions.csv").write_text("\n".join(["picture,truth,predicted,a,b", *rows, ""]))
        recall = {label: sum(t == s == label for t, s in zip(truth, said, strict=True)) / 5 for label in LABELS}
        evaluation = {
            "accuracy": 1 - len(wrong) / 10, "count": 10, "macro_f1": 0.5, "ece": 0.05, "parameters": 58423,
            "epoch": 2, "epochs_trained": 2, "model_sha256": name,
            "classes": {label: {"recall": share, "support": 5} for label, share in recall.items()},
        }  # fmt: skip
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
        return folder

    return make


def columns(table: compare.Table) -> dict[str, list[str]]:
    head, rows = table
    assert all(len(row) == len(head) for row in rows)
    return {name: [row[i] for row in rows] for i, name in enumerate(head)}


def test_figures_and_a_change_worked_out_by_hand(make_run: MakeRun) -> None:
    before, after = make_run("before", wrong=[0, 1, 2, 3, 4]), make_run("after", wrong=[9])
    found = columns(compare.figures([compare.read(before), compare.read(after)]))
    assert found["run"] == ["before", "after"]
    assert found["accuracy %"] == ["50.00", "90.00"]
    assert found["95 % interval"][0] == "23.7 to 76.3"  # Wilson, 5 of 10
    assert found["change"] == ["-", "+40.00"]
    assert found["p"] == ["-", "0.22"]  # 5 gained, 1 lost: 2 * (1 + 6) / 64
    assert found["best epoch"] == ["2 of 2"] * 2
    assert found["parameters"] == ["58,423"] * 2
    assert found["minutes"] == ["2", "2"]
    assert columns(compare.recalls([compare.read(before), compare.read(after)])) == {
        "recall %": ["a", "b"], "before": ["40.0", "60.0"], "after": ["100.0", "80.0"],
    }  # fmt: skip


def test_other_pictures_are_not_compared(make_run: MakeRun) -> None:
    outcomes = [compare.read(make_run("one")), compare.read(make_run("two", data="e" * 64))]
    found = columns(compare.figures(outcomes))
    assert (found["change"][1], found["p"][1]) == ("other data", "-")


@pytest.mark.parametrize("content", [None, "", "picture\n", "picture,truth,predicted\np0,a,a\n"])
def test_without_a_list_of_predictions_that_fits_there_is_no_p(make_run: MakeRun, content: str | None) -> None:
    one, two = make_run("one"), make_run("two", wrong=[0])
    (two / "predictions.csv").unlink()
    if content is not None:
        (two / "predictions.csv").write_text(content)
    found = columns(compare.figures([compare.read(one), compare.read(two)]))
    assert (found["change"][1], found["p"][1]) == ("-10.00", "-")


@pytest.mark.parametrize(("made_of", "shown"), [("one", "63.00"), ("older", "-")])
def test_int8_counts_only_if_made_of_this_model(make_run: MakeRun, made_of: str, shown: str) -> None:
    folder = make_run("one")
    int8 = {"facts": {"weights_sha256": made_of}, "comparison": {"int8": {"accuracy": 0.63}}}
    (folder / "conversion.json").write_text(json.dumps({"int8": int8}))
    assert columns(compare.figures([compare.read(folder)]))["int8 %"] == [shown]


def test_only_settings_that_differ_are_shown(make_run: MakeRun) -> None:
    one, two = compare.read(make_run("one", seed=1)), compare.read(make_run("two", seed=2))
    assert columns(compare.differences([one, two])) == {"setting": ["seed"], "one": ["1"], "two": ["2"]}
    other = compare.read(make_run("three", recipe="mini_xception"))
    changed = columns(compare.differences([one, other]))["setting"]
    assert "training.learning_rate" in changed and "training.batch_size" in changed
    assert "seed" not in changed


def test_the_run_before_is_the_newest_that_was_begun_earlier_and_finished(make_run: MakeRun) -> None:
    old, newer, present = (make_run(name, begun=begun) for name, begun in (("c", 10), ("a", 20), ("b", 30)))
    make_run("later", begun=40)
    damaged = make_run("damaged", begun=29)
    (damaged / "evaluation.json").write_text("{")
    (make_run("running", begun=25) / "evaluation.json").unlink()

    def before(folder: Path) -> str | None:
        found = compare.previous(open_run(folder))
        return found and found.run.folder.name

    assert (before(present), before(newer), before(old)) == ("a", "c", None)


def fer_train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="fer-train")


def test_how_the_data_was_read_is_a_difference_too(make_run: MakeRun) -> None:
    table = compare.differences(
        [compare.read(make_run("plain")), compare.read(make_run("blended", labels="blend:0.4"))]
    )
    assert columns(table) == {"setting": ["reading.labels"], "plain": ["fer2013"], "blended": ["blend:0.4"]}


def test_the_command_prints_every_table(make_run: MakeRun) -> None:
    result = fer_train("compare", make_run("one"), make_run("two", seed=5, wrong=[3]))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["run", "recipe"]
    assert lines[2].split()[:3] == ["two", "mini", "58,423"]
    assert "seed       1    5" in lines, "figures stand below each other"
    assert ["b", "100.0", "80.0"] in [line.split() for line in lines]


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"accuracy": 0.5, "classes": {}}'])
def test_a_run_without_a_usable_evaluation_is_named(make_run: MakeRun, content: str | None) -> None:
    one, two = make_run("one"), make_run("two")
    (two / "evaluation.json").unlink()
    if content is not None:
        (two / "evaluation.json").write_text(content)
    result = fer_train("compare", one, two)
    assert result.exit_code == 2
    assert result.stderr == (
        f"fer-train: {two} has no evaluation that can be read; fer-train writes it at the end, or with --report {two}\n"
    )


def test_one_run_or_none_or_no_run_is_a_usage_error(make_run: MakeRun, tmp_path: Path) -> None:
    one = make_run("one")
    for arguments, sentence in (([one], "there is nothing to compare"), ([one, tmp_path], "is not a run folder")):
        result = fer_train("compare", *arguments)
        assert result.exit_code == 2
        assert sentence in result.stderr
    assert fer_train("compare").exit_code == 2
