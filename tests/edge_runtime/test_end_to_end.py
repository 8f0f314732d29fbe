"""The main job, as a user starts it: a clip goes in, expressions come out."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result
from demo_files import write_demo_files
from machine import without_yunet

from fer_edge.cli import main
from fer_edge.contract.labels import FER2013_LABELS, UNCERTAIN
from fer_edge.contract.shipped import shipped_model
from fer_edge.faces.weights import YUNET_FILE
from fer_edge.publish.event import schema

EVENT = jsonschema.Draft202012Validator(schema())
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("FER_EDGE_")}


def fer_edge(*arguments: object, data_home: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = ENVIRONMENT | ({"XDG_DATA_HOME": str(data_home)} if data_home else {})
    return subprocess.run(
        [sys.executable, "-m", "fer_edge", *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip


def in_process(*arguments: object, data_home: Path | None = None) -> Result:
    """The same without half a second of start, where the process is not the point."""
    environment = dict.fromkeys(os.environ.keys() - ENVIRONMENT.keys())
    data = {"XDG_DATA_HOME": str(data_home)} if data_home else {}
    done = CliRunner().invoke(main, [str(each) for each in arguments], env=environment | data, prog_name="fer-edge")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def events(path: Path) -> list[dict[str, Any]]:
    loaded = [json.loads(line) for line in path.read_text().splitlines()]
    for event in loaded:
        EVENT.validate(event)
    return loaded


@pytest.fixture(scope="module")
def demo_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty frames of the demo's moving face, as a video file."""
    folder = tmp_path_factory.mktemp("clip")
    write_demo_files(folder, 20)
    return folder / "clip.mkv"


@pytest.fixture(scope="module")
def with_yunet(fer_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data home in which YuNet's weights are installed, by the command that installs them."""
    home = tmp_path_factory.mktemp("data")
    pulled = fer_edge("model", "pull", "yunet", "--url", (fer_data / "models" / YUNET_FILE).as_uri(), data_home=home)
    assert pulled.returncode == 0, pulled.stderr
    return home


@pytest.mark.parametrize(("detector", "share"), [("yunet", 0.9), ("haar", 0.6)])
def test_a_clip_with_a_real_face(fer_data: Path, with_yunet: Path, tmp_path: Path, detector: str, share: float) -> None:
    clip = fer_data / "faces" / "head-pose-face-detection-female.gif"
    out = tmp_path / "out.jsonl"
    done = fer_edge("run", "--source", clip, "--detector", detector, "--publish", f"file:{out}", data_home=with_yunet)
    assert done.returncode == 0, done.stderr
    found = events(out)
    assert len(found) >= share * 23
    for event in found:
        assert event["frame"]["name"].startswith(f"{clip.name}#")
        for face in event["faces"]:
            assert set(face["probabilities"]) == set(FER2013_LABELS)
            assert sum(face["probabilities"].values()) == pytest.approx(1, abs=0.03)
            assert face["stable"] in (*FER2013_LABELS, UNCERTAIN)
            assert (face["score"] is None) == (detector == "haar")
    ids = {face["id"] for event in found for face in event["faces"]}
    assert 1 in ids


@without_yunet
def test_a_clip_with_the_demo_face_and_haar_alone(demo_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = fer_edge(
        "run", "--source", demo_clip, "--detector", "auto", "--publish", f"file:{out}", "--every-frame",
        data_home=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "fer-edge model pull yunet" in done.stderr
    found = events(out)
    assert [event["seq"] for event in found] == list(range(20))
    with_face = [event for event in found if event["faces"]]
    assert len(with_face) >= 12
    for event in with_face:
        x, y, width, height = event["faces"][0]["box"]
        assert 0 <= x < x + width <= 640
        assert 0 <= y < y + height <= 480


def test_json_lines_on_a_pipe_and_a_reader_that_leaves(demo_clip: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "fer_edge",
        "run",
        "--source",
        str(demo_clip),
        "--detector",
        "haar",
        "--every-frame",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()
    EVENT.validate(first)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_a_second_with_the_last_events_written(
    demo_clip: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out.jsonl"
    command = [
        sys.executable, "-m", "fer_edge", "run", "--source", "demo", "--detector", "haar", "--every-frame",
        "--publish", f"file:{out}",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stderr is not None
        deadline = time.monotonic() + 30
        while (not out.exists() or out.stat().st_size == 0) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(5) == 0
        log = process.stderr.read()
    found = events(out)
    assert [event["seq"] for event in found] == list(range(len(found)))
    assert f"{len(found)} frames" in log


def test_max_frames(demo_clip: Path) -> None:
    done = in_process("run", "--source", demo_clip, "--max-frames", 3, "--every-frame", "--detector", "haar")
    assert done.exit_code == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_rotated_flipped_and_cut_frames_find_the_same_face(demo_clip: Path, tmp_path: Path) -> None:
    upright = in_process("run", "--source", demo_clip, "--detector", "haar", "--max-frames", 5)
    turned_clip = tmp_path / "turned.mkv"
    reader = cv2.VideoCapture(str(demo_clip))
    # Lossless: Haar's boxes jump by a tenth when a picture is compressed a second time.
    writer = cv2.VideoWriter(str(turned_clip), cv2.VideoWriter.fourcc(*"FFV1"), 30, (480, 640))
    for _ in range(5):
        writer.write(cv2.rotate(reader.read()[1], cv2.ROTATE_90_COUNTERCLOCKWISE))
    writer.release()
    turned = in_process("run", "--source", turned_clip, "--detector", "haar", "--rotate", 90)
    boxes = [
        [face["box"] for line in run.stdout.splitlines() for face in json.loads(line)["faces"]]
        for run in (upright, turned)
    ]
    assert boxes[0]
    np.testing.assert_allclose(boxes[1], boxes[0], atol=1)
    x, y, width, height = boxes[0][0]
    roi = f"{max(0, x - 60)},{max(0, y - 60)},{width + 120},{height + 120}"
    cut = in_process("run", "--source", demo_clip, "--detector", "haar", "--max-frames", 5, "--roi", roi)
    cut_box = json.loads(cut.stdout.splitlines()[0])["faces"][0]["box"]
    np.testing.assert_allclose(cut_box, boxes[0][0], atol=25)


def test_a_folder_of_stills(demo_clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reader = cv2.VideoCapture(str(demo_clip))
    for n in range(3):
        cv2.imwrite(str(tmp_path / f"{n}.png"), reader.read()[1])
    (tmp_path / "1.png").write_bytes(b"not a picture")
    done = in_process("run", "--source", tmp_path, "--detector", "haar", "--every-frame")
    assert done.exit_code == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["frame"]["name"] for event in found] == ["0.png", "2.png"]
    assert "1.png" in caplog.text
    for face in itertools.chain.from_iterable(event["faces"] for event in found):
        assert face["stable"] == face["expression"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--source", "/nowhere/clip.mkv"], 2, ["/nowhere/clip.mkv"]),
        (["--source", "/dev/video99"], 1, ["/dev/video99"]),
        (["--source", "gopher://x/y"], 2, ["gopher"]),
        (["--source", ""], 2, ["source"]),
        (["--source", "demo", "--publish", "pigeon:home"], 2, ["pigeon"]),
        (["--source", "demo", "--publish", "file:/nowhere/out.jsonl"], 2, ["/nowhere"]),
        (["--source", "demo", "--model", "/nowhere/model.tflite"], 2, ["/nowhere/model.tflite"]),
        (["--source", "demo", "--size", "big"], 2, ["size", "big"]),
        (["--source", "demo", "--rotate", "45"], 2, ["rotate", "45"]),
        (["--source", "demo", "--roi", "600,0,100,100"], 78, ["roi"]),
        (["--source", "demo", "--config", "/nowhere.toml"], 78, ["/nowhere.toml"]),
        (["--source", "demo", "--detector", "yunet"], 1, ["model pull yunet"]),
    ],
)
def test_bad_input_is_one_sentence_and_the_documented_exit_code(
    arguments: list[str], code: int, words: list[str], tmp_path: Path
) -> None:
    done = in_process("run", *arguments, data_home=tmp_path)
    assert done.exit_code == code, done.stderr
    sentences = [line for line in done.stderr.splitlines() if line.startswith(("fer-edge:", "Error:"))]
    assert len(sentences) == 1, done.stderr
    for word in words:
        assert word in sentences[0]


def test_the_exit_code_and_the_sentence_are_those_of_the_process(tmp_path: Path) -> None:
    done = fer_edge("run", "--config", tmp_path / "nowhere.toml")
    assert done.returncode == 78
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("fer-edge: ") and "nowhere.toml" in sentence


def test_model_commands(tmp_path: Path) -> None:
    shown = in_process("model", "show")
    assert shown.exit_code == 0, shown.stderr
    assert json.loads(shown.stdout)["labels"] == list(FER2013_LABELS)
    assert in_process("model", "verify").exit_code == 0
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(shipped_model().read_bytes()[:50_000])
    refused = in_process("model", "verify", cut)
    assert refused.exit_code == 1
    assert "cut.tflite" in refused.stderr


def test_doctor_and_config_commands(tmp_path: Path) -> None:
    examined = in_process("doctor", data_home=tmp_path)
    assert examined.exit_code == 0, examined.stdout
    assert "golden inputs" in examined.stdout
    assert "fer-edge model pull yunet" in examined.stdout
    assert json.loads(in_process("config", "schema").stdout)["title"] == "fer-edge settings"
    path = tmp_path / "config.toml"
    path.write_text('source = "rtsp://me:secret@10.0.0.1/x"\n')
    assert in_process("config", "check", path).exit_code == 0
    shown = in_process("config", "show", "--config", path)
    assert shown.exit_code == 0 and "secret" not in shown.stdout
    path.write_text("sorce = 1\n")
    assert in_process("config", "check", path).exit_code == 78
