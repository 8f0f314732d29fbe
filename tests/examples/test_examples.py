"""Every example, started as its first lines say."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from broker import MOSQUITTO, Broker, until
from demo_files import write_demo_files
from machine import without_yunet

from fer_edge.contract.shipped import shipped_model
from fer_edge.faces import open_detector
from fer_edge.frames import SourceOptions, open_source

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FRAMES = 12
Run = Callable[..., str]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip, a picture, and the clip's events."""
    folder = tmp_path_factory.mktemp("files")
    write_demo_files(folder, FRAMES)
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge", "run", "--source", "clip.mkv", "--publish", "file:events.jsonl"],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FER_EDGE_")}
    return kept | {
        "XDG_DATA_HOME": str(folder / "data"),
        "FER_EDGE_MAX_FRAMES": str(FRAMES),
        "GPIOZERO_PIN_FACTORY": "mock",
        "GPIOZERO_MOCK_PIN_CLASS": "mockpwmpin",
        "PYTHONWARNINGS": "error::SyntaxWarning",
    }


@pytest.fixture
def run(files: Path, tmp_path: Path) -> Run:
    """Runs an example to its end and gives what it printed."""

    def run_example(name: str, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, EXAMPLES / f"{name}.py", *map(str, arguments)],
            cwd=tmp_path, env=environment(files), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    return run_example


@pytest.fixture
def start(files: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts an example, or fer-edge, that goes on until it is ended."""
    with contextlib.ExitStack() as stack:

        def started(*command: object) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, *map(str, command)], cwd=tmp_path, env=environment(files), stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            stack.callback(process.stdout.close)  # type: ignore[union-attr]
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield started


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def test_every_example_has_a_test_and_a_line_that_starts_it() -> None:
    scripts = {path.stem: path.read_text() for path in EXAMPLES.glob("*.py")}
    assert len(scripts) >= 20
    tested = set(re.findall(r'(?:run\(|EXAMPLES / )f?"(\w+)(?:\.py)?"', Path(__file__).read_text()))
    assert set(scripts) == tested
    listed = re.findall(r"\[(\w+)\.py\]\(\1\.py\)", (EXAMPLES / "README.md").read_text())
    assert sorted(listed) == sorted(scripts)
    for name, text in scripts.items():
        assert f"python examples/{name}.py" in text.split('"""')[1]
        assert len(text.splitlines()) <= 40


@pytest.mark.parametrize("name", ["one_picture", "csv_log", "mood_per_minute", "classify_array", "blur_faces"])
@pytest.mark.parametrize("arguments", [[], ["no.file", "out.avi"]])
def test_what_is_missing_is_said_without_a_traceback(name: str, arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *arguments], cwd=tmp_path, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (f"examples/{name}.py" if not arguments else "no.file") in done.stderr or name == "mood_per_minute"


def test_first_steps(run: Run) -> None:
    lines = run("first_steps").splitlines()
    assert lines
    assert all(re.fullmatch(r"face \d+: \w+ \(this moment: \w+, \d+%\)", line) for line in lines)
    assert lines[-1].startswith("face 1: happy")


def test_one_picture(run: Run, files: Path) -> None:
    lines = run("one_picture", files / "photo.jpg").splitlines()
    assert lines[0] == "photo.jpg: 1 face"
    assert lines[3].split()[0] == "happy"
    assert len(lines) == 3 + 7


def test_count_expressions(run: Run, files: Path) -> None:
    lines = run("count_expressions", files / "clip.mkv").splitlines()
    assert lines[-1] == f"in {FRAMES} frames"
    counts = {label: int(count) for label, count in (line.split() for line in lines[:-1])}
    assert counts["happy"] > 0
    assert sum(counts.values()) <= FRAMES


def test_csv_log(run: Run, files: Path) -> None:
    rows = list(csv.DictReader(run("csv_log", files / "clip.mkv").splitlines()))
    assert len(rows) >= FRAMES / 2
    assert rows[-1]["stable"] == "happy"
    assert all(0 < float(row["confidence"]) <= 1 for row in rows)


def test_happiness_meter(run: Run, files: Path) -> None:
    shown = run("happiness_meter", files / "clip.mkv").replace("\n", "\r").split("\r")
    assert len([bar for bar in shown if bar]) == FRAMES
    assert any(bar.count("█") > 25 for bar in shown)


def test_mood_per_minute(run: Run, files: Path) -> None:
    lines = run("mood_per_minute", files / "events.jsonl").splitlines()
    times = [json.loads(event)["time"] for event in (files / "events.jsonl").read_text().splitlines()]
    assert [line[:16] for line in lines] == sorted({time[:16] for time in times})
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d happy \d+%, \w+ \d+%, \w+ \d+%", line) for line in lines)


def test_mqtt_subscriber(start: Callable[..., subprocess.Popen[str]], files: Path, tmp_path: Path) -> None:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (sudo apt install mosquitto)")
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (the mqtt extra)")
    broker = Broker(tmp_path)
    broker.start()
    try:
        listener = start(EXAMPLES / "mqtt_subscriber.py", f"127.0.0.1:{broker.port}")
        start("-m", "fer_edge", "run", "--source", "demo", "--max-frames", 100,
              "--publish", f"mqtt://127.0.0.1:{broker.port}/fer/kitchen")  # fmt: skip
        assert listener.stdout is not None
        assert re.search(r"Z \S+: (\w+ \(\d+%\)|nobody)", listener.stdout.readline())
    finally:
        broker.stop()


def test_led_on_happy(run: Run, files: Path) -> None:
    pytest.importorskip("gpiozero", reason="gpiozero is not installed (the gpio extra)")
    lines = run("led_on_happy", files / "clip.mkv").splitlines()
    assert len(lines) == FRAMES
    assert all(line.startswith("GPIO17: ") for line in lines)
    assert max(float(line.split()[1]) for line in lines) > 0.5


def test_webhook_receiver(start: Callable[..., subprocess.Popen[str]], files: Path) -> None:
    port = free_port()
    receiver = start(EXAMPLES / "webhook_receiver.py", port)
    until(lambda: listens(port), "the receiver listens")
    start("-m", "fer_edge", "run", "--source", files / "clip.mkv", "--publish", f"http://127.0.0.1:{port}/")
    assert receiver.stdout is not None
    assert receiver.stdout.readline().endswith("['happy']\n")


def test_blur_faces(run: Run, files: Path, tmp_path: Path) -> None:
    run("blur_faces", files / "clip.mkv", tmp_path / "blurred.avi")
    before, after = (open_source(str(clip), SourceOptions()) for clip in (files / "clip.mkv", tmp_path / "blurred.avi"))
    detector = open_detector("haar")
    seen = 0
    while (old := before.read()) is not None:
        new = after.read()
        assert new is not None
        for detection in detector.detect(old):
            x, y, width, height = (round(value) for value in detection.box)
            inner = np.s_[y + height // 8 : y + height * 7 // 8, x + width // 8 : x + width * 7 // 8]
            detail = [np.abs(cv2.Laplacian(frame.image[inner], cv2.CV_64F)).mean() for frame in (old, new)]
            assert detail[1] < detail[0] / 3
            seen += 1
    assert after.read() is None
    assert seen >= FRAMES / 2


def test_annotate_video(run: Run, files: Path, tmp_path: Path) -> None:
    run("annotate_video", files / "clip.mkv", tmp_path / "labelled.avi")
    before, after = (cv2.VideoCapture(str(clip)) for clip in (files / "clip.mkv", tmp_path / "labelled.avi"))
    for _ in range(FRAMES):
        old, new = before.read()[1], after.read()[1]
    yellow = np.all(np.abs(new.astype(int) - (0, 200, 255)) < 60, axis=2)
    assert yellow.sum() > 500 > np.all(np.abs(old.astype(int) - (0, 200, 255)) < 60, axis=2).sum()


def test_face_thumbnails_are_stored_only_where_asked(run: Run, files: Path, tmp_path: Path) -> None:
    assert run("face_thumbnails", files / "photo.jpg") == "photo.jpg: 1 face, not stored\n"
    assert list(tmp_path.rglob("*.png")) == []
    run("face_thumbnails", files / "photo.jpg", "--save", tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.name == "photo-0.png"
    assert cv2.imread(str(kept), cv2.IMREAD_UNCHANGED).shape == (48, 48)


@without_yunet
def test_compare_detectors(run: Run, files: Path) -> None:
    haar, yunet = run("compare_detectors", files / "clip.mkv").splitlines()
    assert re.fullmatch(rf"haar   \d+ faces in {FRAMES} frames, median [\d.]+ ms", haar)
    assert "fer-edge model pull yunet" in yunet


def test_custom_sink(run: Run, files: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5)
        run("custom_sink", files / "clip.mkv", f"udp:127.0.0.1:{listener.getsockname()[1]}")
        assert json.loads(listener.recv(65536))["faces"][0]["expression"] == "happy"


def test_custom_source(start: Callable[..., subprocess.Popen[str]], files: Path, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    watcher = start(EXAMPLES / "custom_source.py", drop)
    time.sleep(0.1)
    shutil.copy(files / "photo.jpg", tmp_path / "whole.jpg")
    (tmp_path / "whole.jpg").rename(drop / "new.jpg")
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == "new.jpg ['happy']\n"


@pytest.fixture
def crops(run: Run, files: Path, tmp_path: Path) -> Path:
    run("face_thumbnails", files / "photo.jpg", "--save", tmp_path / "crops")
    return tmp_path / "crops"


def test_custom_detector(run: Run, crops: Path) -> None:
    assert run("custom_detector", crops).startswith("photo-0.png happy ")


def test_classify_array(run: Run, crops: Path) -> None:
    assert run("classify_array", crops / "photo-0.png").startswith("happy, ")


def test_read_model_file(run: Run) -> None:
    shipped = run("read_model_file")
    assert "angry, disgust, fear, happy, sad, surprise, neutral" in shipped
    assert "input int8, scale 0.003922, zero point -128" in shipped
    assert run("read_model_file", shipped_model()) == shipped


def test_replay_events(run: Run, files: Path) -> None:
    lines = run("replay_events", files / "events.jsonl").splitlines()
    assert lines[0].strip().startswith("0.0")
    assert any(line.endswith("-> happy") for line in lines)


@without_yunet
def test_prometheus_scrape(run: Run, start: Callable[..., subprocess.Popen[str]]) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed (the metrics extra)")
    port = free_port()
    start("-m", "fer_edge", "run", "--source", "demo", "--max-frames", 1000, "--metrics", f"127.0.0.1:{port}")
    until(lambda: listens(port), "metrics are served")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert answer.status == 200
    shown = run("prometheus_scrape", f"http://127.0.0.1:{port}/metrics")
    assert re.search(r"^fer_edge_frames_total +\d+", shown, re.MULTILINE)
    assert re.search(r"^fer_edge_build_info +1 .*detector=haar", shown, re.MULTILINE)


def test_own_threshold(run: Run, files: Path) -> None:
    assert run("own_threshold", files / "clip.mkv") == ""
    (line,) = run("own_threshold", files / "clip.mkv", "happy").splitlines()
    assert re.fullmatch(r"clip\.mkv#\d+: face 1 shows happy", line)


def test_several_cameras(run: Run, files: Path, tmp_path: Path) -> None:
    other = shutil.copy(files / "clip.mkv", tmp_path / "other.mkv")
    sources = [line.partition(": ")[0] for line in run("several_cameras", files / "clip.mkv", other).splitlines()]
    assert set(sources) == {str(files / "clip.mkv"), str(other)}
