import json
import os
import subprocess
from pathlib import Path

import pytest

from fer_bench import environment
from fer_edge.contract import model_file


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["accuracy", "--data", "/home/ann/my data/fer2013.csv"], "fer-bench accuracy --data fer2013.csv"),
        (["accuracy", "--data=../x/fer.csv.gz"], "fer-bench accuracy --data=fer.csv.gz"),
        (["accuracy", "--data", "/home/ann/faces/"], "fer-bench accuracy --data faces"),
        (["pipeline", "~ann/a clip.mkv"], "fer-bench pipeline 'a clip.mkv'"),
        (["latency", "--threads", "1,2"], "fer-bench latency --threads 1,2"),
    ],
)
def test_command_keeps_file_names_only(arguments, command):
    assert environment.command_line(arguments) == command


def test_nothing_tells_where_or_on_whose_machine_it_was_measured():
    text = json.dumps(environment.environment(["environment"]))
    for secret in (str(Path.home()), str(Path(__file__).parents[2]), os.uname().nodename):
        assert f'{secret}"' not in text
        assert f"{secret}/" not in text


def test_machine_and_versions_are_named():
    found = environment.environment([])
    assert found["machine"]["cores"] == os.cpu_count()
    assert found["machine"]["memory_mb"] > 100
    assert found["machine"]["cpu"]
    assert {"python", "numpy", "opencv", "fer-edge"} <= found["versions"].keys()


def test_commit_is_this_checkouts():
    here = Path(__file__).parent
    asked = subprocess.run(["git", "-C", here, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.skip("not a git checkout")
    assert environment.commit().rstrip("+") == asked.stdout.strip()


def test_a_checkout_of_something_else_around_us_is_not_our_commit(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    installed = tmp_path / ".venv" / "environment.py"
    installed.parent.mkdir()
    installed.write_text("")
    monkeypatch.setattr(environment, "__file__", str(installed))
    assert environment.commit() is None


def test_model_facts_tell_file_and_network_apart(model):
    facts = environment.model_facts(model, model_file.read(model))
    assert facts["sha256"] == model_file.read(model).sha256 != facts["file_sha256"]
    assert 0 < facts["flatbuffer_bytes"] < facts["bytes"] == model.stat().st_size
    assert (facts["file"], facts["quantization"]) == ("band.int8.tflite", "int8")
