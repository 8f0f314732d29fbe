"""The comparison with 64-bit Arm notices what differs, and its drawn clip has something to compare."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fer_bench.soak import debian
from fer_bench.soak.arm import arm, compare, drawn_face
from fer_edge.contract.errors import FerError, UsageError
from fer_edge.records import Frame
from fer_edge.service.config import Settings
from fer_edge.service.run import make_detector


def event(*faces: tuple[int, str, float]) -> dict[str, Any]:
    return {
        "faces": [
            {"id": id, "expression": label, "stable": label, "probabilities": {"happy": p, "sad": round(1 - p, 3)}}
            for id, label, p in faces
        ]
    }


HERE = [event((1, "happy", 0.9), (2, "sad", 0.2)), event(), event((1, "happy", 0.8))]


def test_equal_runs() -> None:
    assert compare(HERE, deepcopy(HERE)) == {"frames": 3, "faces": 3, "labels_different": 0, "largest_step": 0}


@pytest.mark.parametrize(
    ("there", "different", "step"),
    [
        ([event((1, "sad", 0.9), (2, "sad", 0.2)), event(), event((1, "happy", 0.8))], 1, 0),
        ([event((1, "happy", 0.9)), event(), event((1, "happy", 0.8))], 1, 0),
        ([event((1, "happy", 0.9), (2, "sad", 0.2)), event((3, "sad", 0.1)), event((4, "happy", 0.8))], 3, 0),
        ([event((1, "happy", 0.904), (2, "sad", 0.2)), event(), event((1, "happy", 0.792))], 0, 2),
    ],
    ids=["label", "lost face", "other faces", "probability"],
)
def test_what_differs_is_counted(there: list[dict[str, Any]], different: int, step: int) -> None:
    assert compare(HERE, there) == {"frames": 3, "faces": 3, "labels_different": different, "largest_step": step}


def test_runs_over_other_frames_do_not_compare() -> None:
    with pytest.raises(FerError, match="3 frames"):
        compare(HERE, HERE[:2])


def test_haar_finds_the_drawn_face_in_every_frame() -> None:
    detector = make_detector(Settings(detector="haar", scan_interval_s=0))
    for number in range(0, 40, 4):
        image = drawn_face(number)
        assert detector.detect(Frame(image=image, time=0.0, captured=0.0, source="drawn")), number


def test_only_a_finished_folder_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []

    def make(fresh: Path) -> None:
        made.append(fresh)
        fresh.mkdir()
        (fresh / "part").touch()
        if len(made) == 1:
            raise FerError("the network is gone")

    with pytest.raises(FerError):
        debian.kept("system", ["a"], make)
    assert list(debian.cache_folder().iterdir()) == []
    first = debian.kept("system", ["a"], make)
    assert debian.kept("system", ["a"], make) == first
    assert len(made) == 2
    assert debian.kept("system", ["b"], make) != first


@pytest.mark.slow
def test_arm_says_the_same() -> None:
    try:
        figures = arm(0.05)
    except UsageError as error:
        pytest.skip(f"no 64-bit Arm here: {error}")
    assert figures["python"].startswith("aarch64 ")
    assert figures["faces"] >= 3
    assert figures["labels_different"] == 0
    assert set(figures["golden_steps"]) == {"here", "arm"}
