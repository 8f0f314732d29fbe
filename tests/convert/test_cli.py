"""What the command refuses before it loads TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from fer_convert.cli import main
from fer_edge import __version__


def refused(*arguments: object, exit_code: int = 2) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="fer-convert")
    assert result.exit_code == exit_code, result.output
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_no_runs() -> None:
    assert "no run in runs/ yet; train one with fer-train" in refused()


def test_a_run_without_a_complete_epoch(folder: Path) -> None:
    run = folder / "runs" / "mini-1"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    sentence = "runs/mini-1 has no complete epoch yet; continue it with fer-train --resume runs/mini-1\n"
    assert refused() == f"fer-convert: {sentence}"
    assert refused("runs/mini-1") == f"fer-convert: {sentence}"


@pytest.mark.parametrize(("flag", "said"), [("-h", "Usage: fer-convert"), ("--version", f"version {__version__}\n")])
def test_help_and_version(flag: str, said: str) -> None:
    assert said in refused(flag, exit_code=0)


def test_no_such_model(folder: Path) -> None:
    assert "nowhere does not exist" in refused("nowhere")
    Path("done.int8.tflite").touch()
    assert "done.int8.tflite is converted already; name the run folder" in refused("done.int8.tflite")
    assert "holds no best.keras" in refused(folder)


def test_a_malformed_run(folder: Path) -> None:
    run = folder / "runs" / "a"
    run.mkdir(parents=True)
    (run / "best.keras").write_bytes(b"")
    (run / "run.json").write_text("{")
    assert "is not a run folder" in refused()


def test_outputs_that_cannot_be(folder: Path) -> None:
    weights = folder / "a.keras"
    weights.write_bytes(b"")
    assert "is one file and 2 are to be written" in refused(weights, "--int8", "--float32", "-o", "b.tflite")
    assert "ends in .tflite" in refused(weights, "-o", "a.keras")
    assert "folder nowhere does not exist" in refused(weights, "-o", "nowhere/b.tflite")
    assert weights.read_bytes() == b""


@pytest.mark.parametrize("points", ["-1", "much"])
def test_max_drop_out_of_range(points: str) -> None:
    assert "--max-drop" in refused("--max-drop", points)


def test_no_data_is_known(folder: Path) -> None:
    (folder / "a.keras").write_bytes(b"")
    said = refused("a.keras", exit_code=1)
    assert "--data PATH" in said
    assert "--calibration PATH" in said


def test_without_tensorflow_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    (folder / "a.keras").write_bytes(b"")
    assert "pip install 'fer-edge[train]'" in refused("a.keras", "--data", folder)


def test_help_loads_neither_tensorflow_nor_keras() -> None:
    code = (
        "import sys\nfrom fer_convert.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print([name for name in ('tensorflow', 'keras', 'ai_edge_litert') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    assert "--max-drop" in done.stdout
