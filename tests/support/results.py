"""Frame results to publish: one to say exactly, and arbitrary ones for Hypothesis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from fer_edge.contract.labels import FER2013_LABELS, UNCERTAIN
from fer_edge.records import Face, FrameResult

HAPPY = (0.01, 0.0, 0.02, 0.88, 0.01, 0.05, 0.03)


def face(id: int = 7, probabilities: Sequence[float] = HAPPY, *, stable: str | None = None) -> Face:
    """A face whose expression is the most probable of FER2013's labels."""
    top = int(np.argmax(probabilities))
    return Face(
        id=id,
        box=(261.6, 105.9, 115.2, 120.4),
        score=0.93,
        probabilities=np.array(probabilities, np.float32),
        expression=FER2013_LABELS[top],
        confidence=probabilities[top],
        stable=stable or FER2013_LABELS[top],
        stable_since=1_795_262_399.5,
    )


def result(*faces: Face, seq: int = 1234, name: str | None = None) -> FrameResult:
    """A frame of a camera with these faces."""
    return FrameResult(
        seq=seq,
        time=1_795_262_400.123,
        age_ms=12.34,
        width=640,
        height=480,
        source="picamera2:0",
        name=name,
        labels=FER2013_LABELS,
        faces=faces,
        stages_ms={"capture": 1.0, "detect": 7.4, "classify": 0.304},
    )


_UNIT = st.floats(0, 1, width=32)
_TIME = st.floats(0, 4e9)
_MS = st.floats(0, 1e7)
# Lone surrogates stand for the bytes of a file name that is not UTF-8.
_TEXT = st.text(st.characters() | st.sampled_from("\udc80\udcff"), max_size=30)
_PIXEL = st.floats(-1e5, 1e5)


@st.composite
def results(draw: st.DrawFn) -> FrameResult:
    """Any result that the loop may make."""
    labels = tuple(draw(st.lists(st.text("abcxyz äß", min_size=1, max_size=12), min_size=2, max_size=9, unique=True)))
    faces = []
    for number in range(draw(st.integers(0, 3))):
        probabilities = np.array(draw(st.lists(_UNIT, min_size=len(labels), max_size=len(labels))), np.float32)
        top = int(probabilities.argmax())
        extent = st.floats(0, 1e5, exclude_min=True)
        faces.append(
            Face(
                id=number + draw(st.integers(1, 10**12)),
                box=(draw(_PIXEL), draw(_PIXEL), draw(extent), draw(extent)),
                score=draw(st.none() | _UNIT),
                probabilities=probabilities,
                expression=labels[top],
                confidence=float(probabilities[top]),
                stable=draw(st.sampled_from([*labels, UNCERTAIN])),
                stable_since=draw(_TIME),
                predicted=draw(st.booleans()),
            )
        )
    return FrameResult(
        seq=draw(st.integers(0, 2**63)),
        time=draw(_TIME),
        age_ms=draw(_MS),
        width=draw(st.integers(1, 10_000)),
        height=draw(st.integers(1, 10_000)),
        source=draw(_TEXT),
        name=draw(st.none() | _TEXT),
        labels=labels,
        faces=tuple(faces),
        stages_ms=draw(st.dictionaries(st.text(max_size=10), _MS, max_size=5)),
    )
