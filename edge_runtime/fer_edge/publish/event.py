"""The event: one JSON object for a frame, the same for every sink; `event.schema.json` beside this file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from fer_edge.records import Face, FrameResult

VERSION = 1


def to_event(result: FrameResult, *, device: str, run: str) -> dict[str, Any]:
    """The event of one frame, as plain JSON values that fit `schema()`."""
    frame: dict[str, Any] = {"width": result.width, "height": result.height, "source": result.source}
    if result.name is not None:
        frame["name"] = result.name
    return {
        "v": VERSION,
        "device": device,
        "run": run,
        "seq": result.seq,
        "time": timestamp(result.time),
        "age_ms": round(result.age_ms, 1),
        "frame": frame,
        "faces": [_face(face, result.labels) for face in result.faces],
        "stages_ms": {name: round(took, 2) for name, took in result.stages_ms.items()},
    }


def to_json(event: dict[str, Any]) -> str:
    """One line of JSON without its newline."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the event."""
    text = (resources.files("fer_edge.publish") / "event.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _face(face: Face, labels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": face.id,
        "box": [round(edge) for edge in face.box],
        "score": None if face.score is None else round(float(face.score), 3),
        "expression": face.expression,
        "confidence": round(float(face.confidence), 3),
        "stable": face.stable,
        "stable_since": timestamp(face.stable_since),
        "probabilities": {
            label: round(float(p), 3) for label, p in zip(labels, face.probabilities, strict=True)
        },
    }
