"""Every command of README and docs does what the page says it does.

A block is run as it stands, in a folder that has the files it names. What follows `sh` says why one is not:

    sh slow        takes seconds: run with the slow tests
    sh tensorflow  a training: run with the TensorFlow tests, on a small data set
    sh hours       a whole training, or what goes on with one: only parsed
    sh data        needs data sets that no test has: its commands are only parsed
    sh network     downloads something: only parsed
    sh pi          needs root, a Raspberry Pi or its camera: only parsed
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from broker import MOSQUITTO, Broker
from demo_files import write_demo_files
from documents import ROOT, Block, blocks

import fer_bench.cli
import fer_convert.cli
import fer_edge.cli
import fer_train.cli
from fer_edge.contract.shipped import shipped_model

COMMANDS = {
    "fer-edge": fer_edge.cli.main,
    "fer-train": fer_train.cli.main,
    "fer-convert": fer_convert.cli.main,
    "fer-bench": fer_bench.cli.main,
}
SHELL = blocks("sh")
FRAMES = 6


def place(block: Block) -> str:
    return block.place


def chosen(*marks: str) -> list[Block]:
    return [block for block in SHELL if block.marks == set(marks)]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker | None]:
    if MOSQUITTO is None:
        yield None
        return
    broker = Broker(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages name, made from the demo and from noise."""
    folder = tmp_path_factory.mktemp("originals")
    write_demo_files(folder, FRAMES)
    (folder / "mqtt.password").write_text("secret\n")
    shutil.copy(shipped_model(), folder / "model.int8.tflite")
    random = np.random.default_rng(0)
    rows = ["emotion,pixels,Usage"]
    for usage, count in (("Training", 210), ("PublicTest", 70)):
        for number in range(count):
            face = random.integers(0, 60, 48 * 48) + 28 * (number % 7)
            rows.append(f"{number % 7},{' '.join(map(str, face))},{usage}")
    (folder / "fer2013.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def workshop(originals: Path, tmp_path: Path) -> Path:
    """A folder as the reader's: a checkout's .venv and the files of `originals`."""
    folder = tmp_path / "workshop"
    shutil.copytree(originals, folder)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


def run(block: Block, folder: Path, broker: Broker | None) -> None:
    text = block.text
    if "broker.local" in text:
        if broker is None:
            pytest.skip("mosquitto is not installed (sudo apt install mosquitto)")
        if "mosquitto_sub" in text and shutil.which("mosquitto_sub") is None:
            pytest.skip("mosquitto_sub is not installed (sudo apt install mosquitto-clients)")
        text = re.sub(r"(mqtt://[^/]*)broker\.local", rf"\g<1>127.0.0.1:{broker.port}", text)
        text = text.replace("-h broker.local", f"-h 127.0.0.1 -p {broker.port} -C 1 -W 10")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_EDGE_")} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "data"),
        "FER_EDGE_SOURCE": "demo",
        "FER_EDGE_MAX_FRAMES": str(FRAMES),
        "GPIOZERO_PIN_FACTORY": "mock",
        "TF_NUM_INTRAOP_THREADS": "1",
        "MPLBACKEND": "agg",
    }
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", text], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=300, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert "Traceback" not in done.stderr
    for named in re.findall(r"--publish file:(\S+)", text):
        events = [json.loads(line) for line in (folder / named).read_text().splitlines()]
        assert events and all(event["faces"] for event in events)


@pytest.fixture(scope="session", autouse=True)
def retained(broker: Broker | None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A camera has been at the broker before, as in any house where somebody listens."""
    if broker is None:
        return
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge", "run", "--source", "demo", "--max-frames", "1",
         "--publish", f"mqtt://127.0.0.1:{broker.port}/fer/kitchen"],
        env=os.environ | {"XDG_DATA_HOME": str(tmp_path_factory.mktemp("state"))}, capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0 or b"scikit-image" in done.stderr, done.stderr


def test_marks_are_those_that_are_explained() -> None:
    explained = set(re.findall(r"^    sh (\w+)", __doc__ or "", re.MULTILINE))
    assert {mark for block in SHELL for mark in block.marks} == explained
    assert all(len(block.marks) <= 1 for block in SHELL)
    assert len(chosen()) > len(SHELL) / 3


@pytest.mark.slow
@pytest.mark.parametrize("block", chosen(), ids=place)
def test_commands_run(block: Block, workshop: Path, broker: Broker | None) -> None:
    run(block, workshop, broker)


@pytest.mark.slow
@pytest.mark.parametrize("block", chosen("slow"), ids=place)
def test_slow_commands_run(block: Block, workshop: Path, broker: Broker | None) -> None:
    run(block, workshop, broker)


@pytest.mark.tensorflow
@pytest.mark.parametrize("block", chosen("tensorflow"), ids=place)
def test_trainings_run(block: Block, workshop: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs the train extra")
    # What noise teaches in one epoch is no good, and quantized it may be anything.
    run(block._replace(text=re.sub(r"--max-drop \d+", "--max-drop 100", block.text)), workshop, None)


@pytest.mark.parametrize("block", SHELL, ids=place)
def test_every_command_is_one_that_exists(block: Block, originals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(originals)
    assert subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False).stderr == ""
    for line in block.text.replace("\\\n", " ").splitlines():
        name, *given = command_of(line) or [""]
        if name == "make":
            targets = subprocess.run(["make", "-n", *given], cwd=ROOT, capture_output=True, check=False)
            assert targets.returncode == 0, targets.stderr
        elif Path(name).name in COMMANDS:
            assert name in (Path(name).name, f".venv/bin/{Path(name).name}")
            parse(COMMANDS[Path(name).name], name, given)


def command_of(line: str) -> list[str]:
    """The command that a line begins with, and its words: no variables, no sudo, nothing behind it."""
    words = shlex.split(line, comments=True)
    while words and (words[0] == "sudo" or re.fullmatch(r"\w+=.*", words[0])):
        del words[0]
    return words[: next((i for i, word in enumerate(words) if word in ("|", "||", "&&", ">", ";")), len(words))]


def parse(command: click.Command, name: str, given: list[str]) -> None:
    """Let click look at the words without doing anything.

    Raises:
        click.UsageError: a command, an option or a value does not exist.
    """
    context = command.make_context(name, list(given), resilient_parsing=False)
    if isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if rest:
            sub, found, rest = command.resolve_command(context, rest)
            assert sub is not None and found is not None
            parse(found, sub, rest)


def test_a_command_that_does_not_exist_is_found() -> None:
    for wrong in ("run --sorce 0", "rum", "service instal", "model pull haar"):
        with pytest.raises(click.UsageError):
            parse(fer_edge.cli.main, "fer-edge", shlex.split(wrong))


@pytest.mark.parametrize("block", blocks("python"), ids=place)
def test_python_runs(block: Block, workshop: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block.text], cwd=workshop, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "happy" in done.stdout
