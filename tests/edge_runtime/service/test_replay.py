"""Replay: what was written is seen again, each event with its frame."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given

from fer_edge.contract.errors import DataError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.publish import SinkContext
from fer_edge.publish.event import to_event, to_json
from fer_edge.recording import Recorder
from fer_edge.records import Frame, FrameResult
from fer_edge.service import replay as module
from fer_edge.service.config import Settings
from fer_edge.service.replay import from_event, read_events, replay
from results import face, result, results

BEGAN = 1_795_262_400.0


def written(path: Path, *seen: FrameResult, device: str = "pi", run: str = "9f3c2a") -> Path:
    path.write_text("".join(to_json(to_event(one, device=device, run=run)) + "\n" for one in seen))
    return path


def at(seconds: float, seq: int, *, name: str | None = None, stable: str = "happy") -> FrameResult:
    return replace(
        result(replace(face(), stable=stable), seq=seq, name=name), time=BEGAN + seconds, width=64, height=48
    )


def recorded(path: Path, times: list[float]) -> Path:
    with Recorder(path, is_annotated=False, labels=FER2013_LABELS) as recorder:
        for number, when in enumerate(times):
            image = np.full((48, 64, 3), 20 * number, np.uint8)
            recorder.take(Frame(image=image, time=BEGAN + when, captured=when, source="demo"), result())
            time.sleep(0.01)
    return path


@given(results())
def test_an_event_comes_back_as_it_was_written(seen: FrameResult) -> None:
    data = json.loads(to_json(to_event(seen, device="d", run="r")).encode("utf-8", "replace"))
    event = from_event(data)
    again = to_event(event.result, device=event.device, run=event.run)
    # Datetimes and float32 may move the last digit.
    data.pop("time"), again.pop("time")
    for one, other in zip(data.pop("faces"), again.pop("faces"), strict=True):
        assert [one[key] for key in ("id", "stable", "box", "expression")] == [
            other[key] for key in ("id", "stable", "box", "expression")
        ]
        assert other["probabilities"] == pytest.approx(one["probabilities"], abs=0.0011)
    assert again == data


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "7",
        "nonsense",
        '{"v": 2}',
        '{"v": 1, "frame": null}',
        '{"v": 1, "seq": "x"}',
        "\ufffd",
        "[" * 100_000,
        '{"v": NaN}',
    ],
)
def test_a_line_that_is_no_event_is_named(tmp_path: Path, line: str) -> None:
    path = written(tmp_path / "events.jsonl", at(0, 0))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match=r"events\.jsonl, line 2 is no event"):
        list(read_events(path))


def test_a_film_in_the_place_of_events_is_named(tmp_path: Path) -> None:
    clip = recorded(tmp_path / "clip.mkv", [0.0])
    with pytest.raises(DataError, match=r"clip\.mkv is a film; give its events file, and the film with --video"):
        list(read_events(clip))
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match="it is no UTF-8 text"):
        list(read_events(path))


def test_a_torn_last_line_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "events.jsonl", at(0, 0), at(1, 1))
    path.write_bytes(path.read_bytes()[:-20])
    assert [event.result.seq for event in read_events(path)] == [0]
    assert "ends within a line" in caplog.text


def test_an_empty_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    for name, words in (("empty.jsonl", "holds no event"), ("absent.jsonl", "cannot be read")):
        with pytest.raises(DataError, match=words):
            replay(tmp_path / name, video=None, settings=Settings())


def test_long_pauses_are_cut_and_clocks_that_went_back_cost_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "events.jsonl", at(0, 0), at(0.5, 1), at(5000, 2), at(10, 0))
    shown = list(module._alone(read_events(path)))
    assert [when for when, *_ in shown] == pytest.approx([0, 0.5, 0.5 + module.MAX_PAUSE_S, 0.5 + module.MAX_PAUSE_S])
    assert [seen.seq for *_, seen in shown] == [0, 1, 2, 3], "numbers grow, also over two runs"


def test_the_labels_are_those_of_the_first_event_with_a_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    class Shown:
        def show(self, *_: object) -> None:
            pass

        def close(self) -> None:
            pass

    def opened(settings: Settings, context: SinkContext, **_: object) -> Shown:
        asked.append(context.labels)
        return Shown()

    monkeypatch.setattr(module, "open_preview", opened)
    six = at(0.1, 1)
    (known,) = six.faces
    six = replace(
        six, labels=FER2013_LABELS[:6], faces=(replace(known, probabilities=known.probabilities[:6]),)
    )  # fmt: skip
    path = written(tmp_path / "events.jsonl", replace(at(0, 0), faces=()), six)
    replay(path, video=None, settings=Settings(preview="127.0.0.1:0"))
    assert asked == [FER2013_LABELS[:6]]


@pytest.mark.parametrize(("wanted", "shown"), [("picture", "boxes"), ("blurred", "boxes"), ("off", "off")])
def test_without_a_film_the_page_waits_for_no_picture(
    wanted: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Settings] = []

    class Shown:
        def show(self, *_: object) -> None:
            pass

        def close(self) -> None:
            pass

    def opened(settings: Settings, *_: object, **__: object) -> Shown:
        asked.append(settings)
        return Shown()

    monkeypatch.setattr(module, "open_preview", opened)
    path = written(tmp_path / "events.jsonl", at(0, 0))
    assert replay(path, video=None, settings=Settings(preview="127.0.0.1:0", preview_picture=wanted)) == 0
    assert asked[0].preview_picture == shown


def test_each_event_meets_the_frame_it_was_recorded_with(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.11, 0.2, 0.7]
    clip = recorded(tmp_path / "clip.mkv", times)
    path = written(tmp_path / "events.jsonl", *(at(times[number], number) for number in (1, 2, 4)))
    shown = list(module._with_film(read_events(path), path, clip))
    assert [None if event is None else event.result.seq for _, _, event, _ in shown] == [None, 1, 2, None, 4]
    assert [when for when, *_ in shown] == pytest.approx(times, abs=0.0011)
    assert [len(seen.faces) for *_, seen in shown] == [0, 1, 1, 0, 1]


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_events_meet_their_frames_though_the_clock_was_set_meanwhile(tmp_path: Path, jump_s: float) -> None:
    times = [number / 10 for number in range(6)]
    told = [when + (jump_s if number > 2 else 0.0) for number, when in enumerate(times)]
    clip = tmp_path / "clip.mkv"
    with Recorder(clip, is_annotated=False, labels=FER2013_LABELS) as recorder:
        for when, seen in zip(times, told, strict=True):
            image = np.full((48, 64, 3), 90, np.uint8)
            recorder.take(Frame(image=image, time=BEGAN + seen, captured=when, source="demo"), result())
            time.sleep(0.01)
    path = written(tmp_path / "events.jsonl", *(at(seen, number) for number, seen in enumerate(told)))
    shown = list(module._with_film(read_events(path), path, clip))
    assert [event.result.seq for _, _, event, _ in shown if event is not None] == [0, 1, 2, 3, 4, 5]
    assert [when for when, *_ in shown] == pytest.approx(times, abs=0.0011)


def test_events_of_a_clip_meet_its_frames_by_number(tmp_path: Path) -> None:
    clip = recorded(tmp_path / "clip.mkv", [number / 10 for number in range(5)])
    path = written(tmp_path / "events.jsonl", *(at(n / 1000, n, name=f"clip.mkv#{n}") for n in (0, 3, 4)))
    shown = list(module._with_film(read_events(path), path, clip))
    assert [None if event is None else event.result.seq for _, _, event, _ in shown] == [0, None, None, 3, 4]
    seen = shown[-1][3]
    assert seen.time - seen.faces[0].stable_since == pytest.approx(0.4, abs=0.01), "by the clip's clock"


def test_a_film_of_something_else_is_refused(tmp_path: Path) -> None:
    clip = recorded(tmp_path / "clip.mkv", [0.0, 0.1])
    path = written(tmp_path / "events.jsonl", at(500, 0), at(501, 1))
    with pytest.raises(DataError, match=r"no event of .*events\.jsonl is about .*clip\.mkv"):
        list(module._with_film(read_events(path), path, clip))


def test_the_command_repeats_what_was_written(tmp_path: Path) -> None:
    path = written(tmp_path / "events.jsonl", *(at(n / 10, n) for n in range(5)))
    command = [sys.executable, "-m", "fer_edge", "replay", str(path), "--speed", "10"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["seq"] for line in done.stdout.splitlines()] == list(range(5))
    refused = subprocess.run([*command[:4], str(tmp_path / "no.jsonl")], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "no.jsonl cannot be read" in refused.stderr


def test_a_replay_with_its_film_is_seen_on_the_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [number / 10 for number in range(12)]
    clip = recorded(tmp_path / "clip.mkv", times)
    path = written(tmp_path / "events.jsonl", *(at(when, number) for number, when in enumerate(times)))
    got: dict[str, Any] = {}

    def viewer(page: Any) -> None:
        with urllib.request.urlopen(page.url + "stream.mjpg", timeout=5) as film:
            got["film"] = b"".join(film.readline() for _ in range(40))

    opened = module.open_preview

    def opening(*arguments: Any, **options: Any) -> Any:
        import threading

        page = opened(*arguments, **options)
        got["facts"], got["status"] = options["facts"], options["status"]()
        got["thread"] = threading.Thread(target=viewer, args=(page,))
        got["thread"].start()
        time.sleep(0.5)
        return page

    monkeypatch.setattr(module, "open_preview", opening)
    with caplog.at_level(logging.INFO):
        assert replay(path, video=clip, settings=Settings(preview="127.0.0.1:0")) == 0
    got["thread"].join(5)
    assert "live page: http://127.0.0.1:" in caplog.text
    assert got["facts"]["replay"] == "events.jsonl"
    assert "slowed" not in got["status"], "this machine is not the one that is shown"
    part = re.search(rb"Content-Length: (\d+)\r\nX-Seq: (\d+)\r\n\r\n", got["film"])
    assert part
    jpeg = got["film"][part.end() : part.end() + int(part[1])]
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert abs(float(picture.mean()) - 20 * int(part[2])) < 4, "picture and number belong together"
