import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from result_schema import validate

from fer_bench import cli, peer_venv, peers, results
from fer_bench.environment import environment
from fer_edge.contract.errors import FerError, UsageError
from fer_edge.service import config

FAKE = '''
class FER:
    """Finds the bright half of a picture; says so on standard output, as TensorFlow does."""

    def detect_emotions(self, frame):
        print("chatter")
        if frame.mean() < 30:
            return []
        return [{"box": [0, 0, frame.shape[1], 5], "emotions": {"happy": 1.0}}]
'''


@pytest.fixture
def python(tmp_path):
    """A Python that imports our stand-in for the peer instead of the real package."""
    package = tmp_path / "site" / "fer"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "fer.py").write_text(FAKE)
    metadata = tmp_path / "site" / "fer-25.10.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: fer\nVersion: 25.10.3\n")
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path / "site"} exec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return path


def test_both_sides_see_the_same_frames_in_turn(python, clip, model, monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "PROCESS_RUNS", 1)
    monkeypatch.setattr(peers, "TURN_MS", 50.0)
    runs = [config.load(flags={"detector": "haar", "model": str(model)}, environment={})]
    rounds = []
    content = peers.measure([clip], runs, python, max_frames=5, rounds=2, on_round=rounds.append)
    result = results.result("peers", environment(["peers"]), **content)
    validate(result)
    assert sum(rounds) == 2
    assert content["peer"]["versions"]["fer"] == "25.10.3"
    assert content["data"]["clips"][0]["frames"] == 5
    (entry,) = content["comparisons"]
    theirs, ours = entry["sides"]
    # The clip's first frame is black, the second has level 40.
    assert theirs["faces"] == theirs["process"]["events"] == 4
    assert ours["faces"] == ours["process"]["events"] == 0
    assert theirs["times_peer"] == {"p50": 1.0, "low": 1.0, "high": 1.0}
    pairs = zip(ours["round_frames_per_s"], theirs["round_frames_per_s"], strict=True)
    ratios = [rate / other for rate, other in pairs]
    assert ours["times_peer"]["low"] == pytest.approx(min(ratios), abs=1e-3)
    assert ours["times_peer"]["high"] == pytest.approx(max(ratios), abs=1e-3)
    assert "fer-edge haar" in peers.table(result)
    peers.plot(tmp_path / "peers.png", result)
    assert (tmp_path / "peers.png").stat().st_size > 1000


def test_a_turn_goes_on_until_its_time_is_over(monkeypatch):
    monkeypatch.setattr(peers, "TURN_MS", 100.0)
    passes = [0, 0]

    def side(number, ms):
        def turn():
            passes[number] += 1
            return [ms] * 4, 4

        return turn

    (slow, faces), (fast, _) = peers._in_turns([side(0, 30.0), side(1, 1.0)], 2, lambda _: None)
    assert passes == [1 + 2 * 1, 1 + 2 * 25]
    assert [len(ms) for ms in (*slow, *fast)] == [4, 4, 100, 100]
    assert faces == 4


def test_a_peer_that_fails_is_told_with_its_last_words(python, clip, model):
    Path(python.parent, "site", "fer", "fer.py").write_text("raise SystemError('its tensors are loose')")
    runs = [config.load(flags={"detector": "haar", "model": str(model)}, environment={})]
    with pytest.raises(FerError, match="its tensors are loose"):
        peers.measure([clip], runs, python, max_frames=2, rounds=1)


def test_the_demo_clip_is_lossless(demo_picture, tmp_path):
    path = peers.write_demo(tmp_path / "demo.mkv", 3)
    demo = peers.Demo(peers.SourceOptions(size=peers.SIZE))
    capture = cv2.VideoCapture(str(path))
    for number in range(3):
        good, frame = capture.read()
        assert good
        assert np.array_equal(frame, demo.render(number))
    assert not capture.read()[0]


@pytest.mark.slow
def test_without_network_it_is_one_sentence_and_exit_1(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "from fer_bench.cli import main; main(prog_name='fer-bench')",
         "peers", "--venv", str(tmp_path / "peer"), "--no-demo", "--clip", str(tmp_path / "x.mkv")],
        capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
             "PIP_CONFIG_FILE": "/dev/null", "PIP_RETRIES": "0", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""},
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("fer-bench: fer==25.10.3 could not be installed")
    assert "needs the network once" in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "peer" / "installed.txt").exists()


def test_an_environment_is_made_once(tmp_path, monkeypatch):
    commands = []

    def run(command, **_):
        commands.append(command)
        (tmp_path / "peer").mkdir(exist_ok=True)

    monkeypatch.setattr(peer_venv.subprocess, "run", run)
    for _ in range(2):
        assert peer_venv.python_in(tmp_path / "peer") == tmp_path / "peer" / "bin" / "python"
    assert len(commands) == 3
    monkeypatch.setattr(peer_venv, "PEER", "fer==99")
    peer_venv.python_in(tmp_path / "peer")
    assert len(commands) == 6


def test_bad_input_is_one_sentence(tmp_path, python, model):
    done = CliRunner().invoke(cli.main, ["peers", "--no-demo"])
    assert done.exit_code == 2
    assert "--clip" in done.output
    runs = [config.load(flags={"detector": "haar", "model": str(model)}, environment={})]
    with pytest.raises(UsageError, match="absent"):
        peers.measure([tmp_path / "absent.mkv"], runs, python, max_frames=2, rounds=1)


def test_the_script_needs_nothing_of_ours():
    imported = {line.split()[1].split(".")[0] for line in peers.SCRIPT.read_text().splitlines() if
                line.strip().startswith(("import ", "from "))}  # fmt: skip
    assert not {name for name in imported if name.startswith("fer_")}
