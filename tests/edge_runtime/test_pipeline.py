from __future__ import annotations

import doctest
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

import fer_edge
from fer_edge import Pipeline
from fer_edge.contract.errors import SourceError, UsageError
from fer_edge.frames.demo import picture_path
from fer_edge.seams import FrameSource


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), rng.integers(0, 256, (60, 80), dtype=np.uint8))
    return tmp_path


def test_a_result_for_every_frame(stills: Path) -> None:
    results = list(Pipeline(stills, detector="haar"))
    assert [result.seq for result in results] == [0, 1, 2, 3, 4]
    assert {(result.width, result.height) for result in results} == {(80, 60)}
    assert [result.name for result in results] == [f"{number}.png" for number in range(5)]


def test_boxes_between_two_looks_are_said_to_be_predicted() -> None:
    # Long enough for a busy machine to take a frame in between.
    pipeline = Pipeline("demo", detector="haar", look_interval_s=1, max_frames=40)
    faces = [face for result in pipeline for face in result.faces]
    assert {face.predicted for face in faces} == {True, False}


@pytest.mark.parametrize("source", ["demo", "stills"])
def test_closing_it_ends_the_loop_that_is_under_way(source: str, stills: Path) -> None:
    pipeline = Pipeline(stills if source == "stills" else source, detector="haar")
    seen = 0
    for _ in pipeline:
        seen += 1
        pipeline.close()
    assert seen == 1 and list(pipeline) == []


def test_it_can_be_closed_from_another_thread() -> None:
    pipeline = Pipeline("demo", detector="haar")
    timer = threading.Timer(0.5, pipeline.close)
    timer.start()
    assert len(list(pipeline)) > 0
    timer.join()


def test_max_frames_ends_it(stills: Path) -> None:
    assert len(list(Pipeline(stills, detector="haar", max_frames=2))) == 2


def test_a_second_loop_goes_on_where_the_first_was_left(stills: Path) -> None:
    pipeline = Pipeline(stills, detector="haar")
    first = [next(iter(pipeline)).seq, next(iter(pipeline)).seq]
    assert [*first, *(result.seq for result in pipeline)] == [0, 1, 2, 3, 4]


def test_with_closes_the_source_wherever_the_loop_is_left(stills: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fer_edge import frames

    closed: list[FrameSource] = []
    opened = frames.open_source

    def watched(*asked: object) -> FrameSource:
        source = opened(*asked)
        close = source.close
        source.close = lambda: (closed.append(source), close())
        return source

    monkeypatch.setattr(frames, "open_source", watched)
    with Pipeline(stills, detector="haar") as pipeline:
        for _ in pipeline:
            break
        assert not closed
    assert len(closed) == 1
    assert list(pipeline) == []


def test_what_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError, match="detectr is not a setting; did you mean detector"):
        Pipeline("demo", detectr="haar")
    with pytest.raises(UsageError, match=r"source 'no-such-clip\.mkv' does not exist"):
        list(Pipeline("no-such-clip.mkv", detector="haar"))


def test_importing_it_loads_neither_opencv_nor_litert() -> None:
    script = "import sys; from fer_edge import Pipeline; print(*({'cv2', 'ai_edge_litert'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "\n"
    with pytest.raises(AttributeError, match="no attribute 'Pipelin'"):
        fer_edge.Pipelin  # noqa: B018


def test_the_example_in_its_docstring_runs() -> None:
    try:
        picture_path()
    except SourceError as error:
        pytest.skip(str(error))
    from fer_edge import pipeline

    found = doctest.testmod(pipeline)
    assert (found.attempted, found.failed) == (3, 0)
