from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fer_edge.contract.errors import UsageError
from fer_train import crossvalidation, recipe
from fer_train.cli import main
from fer_train.crossvalidation import FOLD, Search, parse_vary, title, varied
from fer_train.datasets import Reading


def fer_train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="fer-train")


def made_search(folder: Path, **vary: list) -> Search:
    return Search(folder, recipe.load("mini_xception"), vary, 3, 1, 1, (Path("x.csv"),), Reading().to_dict())


def test_values_are_those_of_a_recipe_file() -> None:
    assert parse_vary(
        ["training.learning_rate=1e-3,3e-3", "training.optimizer=adam,adamw", "model.filters=[8],[16]"]
    ) == {
        "training.learning_rate": [1e-3, 3e-3],
        "training.optimizer": ["adam", "adamw"],
        "model.filters": [[8], [16]],
    }


@pytest.mark.parametrize("text", ["learning_rate=1", "training.=1", "training.epochs", "name.x=1", "training.epochs="])
def test_nonsense_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"SECTION\.KEY=VALUE,VALUE"):
        parse_vary([text])
    with pytest.raises(UsageError, match="given twice"):
        parse_vary(["model.l2=0", "model.l2=1"])


def test_combinations_are_recipes_and_bad_ones_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    search = made_search(tmp_path / "s", **{"training.epochs": [1, 2], "model.l2": [0.0, 0.1, 0.2]})
    assert len(search.combinations()) == 6 and len(list(search.runs())) == 18
    assert len({folder for *_, folder in search.runs()}) == 18
    changed = varied(search.recipe, {"training.epochs": 7, "model.l2": 0.5})
    assert (changed.training.epochs, changed.model["l2"]) == (7, 0.5)
    assert changed.training.learning_rate == search.recipe.training.learning_rate
    with pytest.raises(UsageError, match=r"training\.epohcs is unknown; did you mean epochs"):
        crossvalidation.check_new(made_search(tmp_path / "s", **{"training.epohcs": [1]}))
    assert not (tmp_path / "s").exists()


def test_a_search_folder_gives_back_what_was_asked(tmp_path: Path) -> None:
    search = made_search(tmp_path / "s", **{"training.epochs": [1, 2]})
    crossvalidation.begin(search)
    assert crossvalidation.open_search(tmp_path / "s") == search
    with pytest.raises(UsageError, match="already holds a search"):
        crossvalidation.check_new(search)
    with pytest.raises(UsageError, match="is not a search folder"):
        crossvalidation.open_search(tmp_path)


def test_means_and_sample_deviations_over_the_folds_that_are_done(tmp_path: Path) -> None:
    search = made_search(tmp_path / "s", **{"model.l2": [0.0, 0.1]})
    shares = {0.0: (0.5, 0.6, 0.7), 0.1: (0.8,)}
    for settings, fold, folder in search.runs():
        known = shares[settings["model.l2"]]
        if fold <= len(known):
            folder.mkdir(parents=True)
            share = known[fold - 1]
            classes = {
                "a": {"recall": share / 2, "support": 9},
                "b": {"recall": share, "support": 9},
                "absent": {"recall": 0.0, "support": 0},
            }
            (folder / FOLD).write_text(json.dumps({"accuracy": share, "macro_f1": share - 0.1, "classes": classes}))
    first, second = search.results()
    assert first["settings"] == {"model.l2": 0.1} and first["folds"] == 1
    assert first["accuracy"] == {"mean": 0.8, "deviation": None}
    assert second["accuracy"] == {"mean": 0.6, "deviation": 0.1}
    assert second["macro_f1"] == {"mean": 0.5, "deviation": 0.1}
    assert second["lowest_recall"] == {"mean": 0.3, "deviation": 0.05}
    lines = crossvalidation.table(search).splitlines()
    assert lines[1].split() == ["model.l2=0.1", "1/3", "80.00", "70.00", "40.00"]
    assert "60.00 ± 10.00" in lines[2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--recipe", "mini"], "--data is missing"),
        (["--resume", "x", "--folds", 3], "--folds is for a new search"),
        (["--resume", "/nonexistent"], "/nonexistent is not a search folder"),
        (["--data", "x", "--vary", "epochs=3"], "--vary epochs=3 is not of the form"),
        (["--data", "x", "--vary", "training.epochs=0"], "training.epochs is 0"),
        (["--data", "x", "--labels", "fer+"], "labels 'fer+' are unknown"),
    ],
)
def test_usage_errors(arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = fer_train("search", *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_default_recipe_can_be_searched(tmp_path: Path) -> None:
    from fer_train.search import DEFAULT_RECIPE

    crossvalidation.check_new(Search(tmp_path / "new", recipe.load(DEFAULT_RECIPE), {}, 5, 1, None, (), {}))


def test_options_of_a_training_do_not_go_with_a_command() -> None:
    result = fer_train("--epochs", 3, "search", "--data", "x")
    assert result.exit_code == 2
    assert "options of a training do not go with search" in result.stderr


@pytest.mark.tensorflow
def test_a_search_ends_where_it_was_stopped_and_looks_at_training_only(
    csv_rows: list[str], write_csv: Callable[..., Path], small_recipe: Path, tmp_path: Path
) -> None:
    data, folder = write_csv(csv_rows), tmp_path / "search"
    arguments = ["--recipe", small_recipe, "--data", data, "--folds", 2, "--epochs", 1, "--run", folder, "--threads", 1]
    done = fer_train("search", *arguments, "--vary", "training.learning_rate=1e-3,1e-2")
    assert done.exit_code == 0, done.output
    results = json.loads((folder / "results.json").read_text())
    assert [row["folds"] for row in results] == [2, 2]
    search = crossvalidation.open_search(folder)
    runs = [path for *_, path in search.runs()]
    for path in runs:
        facts = json.loads((path / "run.json").read_text())
        assert sum(map(sum, facts["counts"].values())) == 96, "a split other than Training was looked at"
    kept = {path: (path / "history.csv").read_bytes() for path in runs}
    (runs[2] / FOLD).unlink()
    again = fer_train("search", "--resume", folder)
    assert again.exit_code == 0, again.output
    assert "1 of 4 trainings to do" in again.output
    assert {path: (path / "history.csv").read_bytes() for path in runs} == kept
    assert json.loads((folder / "results.json").read_text()) == results
    assert title(results[0]["settings"]) in (folder / "results.txt").read_text()
