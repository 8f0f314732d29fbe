"""OpenCV as it comes: with numpy 1 and with numpy 2."""

from __future__ import annotations

import importlib
import types

import cv2
import pytest

from fer_edge.frames import opencv


@pytest.mark.parametrize("new", [True, False])
def test_its_log_level_is_set_by_either_name(new: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV 4.13 moved setLogLevel; bookworm has 4.11, for numpy 1."""
    asked: list[int] = []
    monkeypatch.delenv("OPENCV_LOG_LEVEL", raising=False)
    monkeypatch.delattr(cv2, "setLogLevel", raising=False)
    if new:
        logging = types.SimpleNamespace(setLogLevel=asked.append)
        monkeypatch.setattr(cv2, "utils", types.SimpleNamespace(logging=logging))
    else:
        monkeypatch.setattr(cv2, "utils", types.SimpleNamespace())
        monkeypatch.setattr(cv2, "setLogLevel", asked.append, raising=False)
    importlib.reload(opencv)
    assert asked == [2]
