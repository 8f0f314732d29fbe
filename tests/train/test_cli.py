"""What `fer-train` says before it needs Keras; test_training.py has the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fer_train.cli import main


def fer_train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="fer-train")


def test_list_names_every_recipe_and_whose_figure_it_shows() -> None:
    result = fer_train("--list")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["mini", "mini_xception"]
    assert "66 %" in lines[2] and "arXiv:1710.07557" in lines[2]
    assert "not measured by this project" in lines[-1]


@pytest.mark.parametrize("flag", ["--list", "--help"])
def test_list_and_help_need_neither_keras_nor_matplotlib(flag: str) -> None:
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["keras", "tensorflow", "matplotlib"]))
sys.argv = ["fer-train", "{flag}"]
from fer_train.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "mini" in done.stdout or "Usage" in done.stdout


def test_without_keras_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, csv_rows: list[str]) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    data = tmp_path / "fer2013.csv"
    data.write_text("\n".join(csv_rows))
    result = fer_train("--data", data, "--run", tmp_path / "run")
    assert result.exit_code == 2
    assert "fer-edge[train]" in result.stderr
    assert not (tmp_path / "run").exists()


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


def test_bad_data_is_one_sentence_and_exit_1(tmp_path: Path) -> None:
    data = tmp_path / "fer2013.csv"
    data.write_text("emotion,pixels,Usage\n3,1 2 3,Training\n")
    result = fer_train("--data", data, "--run", tmp_path / "run")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (f"fer-train: {data}, data row 0: 3 pixels where 48x48 needs 2304")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"recipe": 3}', "{}"])
def test_a_folder_with_a_damaged_run_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    result = fer_train("--resume", tmp_path)
    assert result.exit_code == 2
    assert "is not a run folder of fer-train" in result.stderr
