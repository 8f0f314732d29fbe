"""What `fer-train` says before it needs Keras; test_training.py has the rest."""

from __future__ import annotations

import importlib.machinery
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fer_edge import __version__
from fer_train import recipe as recipes
from fer_train.cli import main
from fer_train.runs import open_run


def fer_train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="fer-train")


def test_list_names_every_recipe_and_whose_figure_it_shows() -> None:
    result = fer_train("--list")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    rows = {line.split()[0]: line for line in lines[1 : 1 + len(recipes.shipped())]}
    assert list(rows) == recipes.shipped()
    assert rows["mini_xception"].split() == ["mini_xception", "mini_xception", "48x48", "80", "66", "FER2013"]
    assert "arXiv:1710.07557" in result.output
    assert "not measured by this project" in lines[-1]


def test_list_and_help_need_neither_keras_nor_matplotlib() -> None:
    said = {
        "--list": "mini_xception",
        "--help": "Usage: fer-train",
        "-h": "Usage: fer-train",
        "--version": f"fer-train, version {__version__}\n",
    }
    code = f"""
import json, sys
sys.modules.update(dict.fromkeys(["keras", "tensorflow", "matplotlib"]))
from click.testing import CliRunner
from fer_train.cli import main
print(json.dumps({{flag: CliRunner().invoke(main, [flag], prog_name="fer-train").output for flag in {list(said)}}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown.keys() == said.keys()
    for flag, words in said.items():
        assert words in shown[flag], flag


def test_without_keras_the_extra_is_named_before_the_data_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    result = fer_train("--data", tmp_path / "no-such-data", "--run", tmp_path / "run")
    assert result.exit_code == 2
    assert result.stderr == "fer-train: fer-train needs the 'train' extra: pip install 'fer-edge[train]'\n"
    assert not (tmp_path / "run").exists()


@pytest.fixture
def findable_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras can be found, so what follows is reached, but never used."""
    found = types.ModuleType("keras")
    found.__spec__ = importlib.machinery.ModuleSpec("keras", None)
    monkeypatch.setitem(sys.modules, "keras", found)


@pytest.mark.usefixtures("findable_keras")
def test_a_taken_folder_and_an_absent_network_are_refused_before_the_data_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    taken = Path("runs") / "taken"
    taken.mkdir(parents=True)
    (taken / "run.json").write_text("{}")
    (tmp_path / "file").write_text("")
    for place, sentence in (
        (["--name", "taken"], "runs/taken already holds a run; continue it with --resume runs/taken, or name another"),
        (["--run", "file"], "run folder file cannot be made (file is a file); name another"),
        (["--run", "file/a/b"], f"run folder file/a/b cannot be made ({tmp_path / 'file'} is a file); name another"),
        (
            ["--recipe", "mini", "--teacher", "a"],
            "--teacher a is no .keras file, no model file, none of mini and plus, and no run folder that holds "
            "best.keras",
        ),
        (
            ["--recipe", "mini_labels", "--teacher", "file"],
            "recipe mini_labels has no training.teacher; leave --teacher out, or set it in a recipe of your own",
        ),
    ):
        result = fer_train("--data", "no-such-data", *place)
        assert result.exit_code == 2
        assert result.stderr == f"fer-train: {sentence}\n"


@pytest.mark.usefixtures("findable_keras")
def test_a_folder_without_write_permission_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    result = fer_train("--data", "no-such-data", "--run", tmp_path / "a" / "b")
    assert result.exit_code == 2
    assert f"cannot be made ({tmp_path} is not writable)" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("findable_keras")
def test_a_second_resume_is_refused_while_the_first_trains(tmp_path: Path) -> None:
    facts = {
        "recipe": recipes.load("mini").to_dict(), "seed": 1, "labels": ["a"], "data": "no-such-data",
        "splits": {"training": "Training", "validation": "PublicTest"},
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(facts))
    with open_run(tmp_path).locked():
        result = fer_train("--resume", tmp_path)
    assert result.exit_code == 2
    assert result.stderr == (
        f"fer-train: another fer-train is training in {tmp_path}; wait until it ends, or stop it first\n"
    )
    assert "no-such-data" in fer_train("--resume", tmp_path).stderr, "the lock was not given back"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--recipe", "minni", "--data", "x"], "recipe 'minni' is unknown; did you mean mini?"),
        (["--recipe", "mini"], "--data is missing"),
        (["--data", "x", "--name", "a", "--run", "b"], "--name and --run both name the run folder"),
        (["--resume", "x", "--seed", "3"], "--seed is for a new run and cannot be combined with --resume"),
        (["--resume", "x", "--report", "y"], "--resume and --report cannot be combined"),
        (["--resume", "/nonexistent"], "/nonexistent is not a run folder of fer-train"),
        (["--report", "/nonexistent"], "/nonexistent is not a run folder of fer-train"),
        (["--data", "x", "--split", "thirds"], "split 'thirds' is unknown"),
    ],
)
def test_usage_errors(arguments: list[str], sentence: str) -> None:
    result = fer_train(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.usefixtures("findable_keras")
def test_bad_data_is_one_sentence_and_exit_1(tmp_path: Path) -> None:
    data = tmp_path / "fer2013.csv"
    data.write_text("emotion,pixels,Usage\n3,1 2 3,Training\n")
    result = fer_train("--data", data, "--run", tmp_path / "run")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (f"fer-train: {data}, line 2: 3 pixels where 48x48 needs 2304")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"recipe": 3}', "{}"])
def test_a_folder_with_a_damaged_run_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    result = fer_train("--resume", tmp_path)
    assert result.exit_code == 2
    assert "is not a run folder of fer-train" in result.stderr
