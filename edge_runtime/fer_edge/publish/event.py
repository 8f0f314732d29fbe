"""The event: one JSON object for a frame, the same for every sink; `event.schema.json` beside this file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import resources
from typing import Any

from fer_edge.records import Face, FrameResult

VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Event:
    """One frame's result on its way to the sinks; encoded at most once, when the first sink asks for it.

    Attributes:
        result: what the loop found.
        device, run: who says so; with `result.seq` they name the event for ever.
    """

    result: FrameResult
    device: str
    run: str

    @cached_property
    def data(self) -> dict[str, Any]:
        """The event as plain JSON values that fit `schema()`."""
        return to_event(self.result, device=self.device, run=self.run)

    @cached_property
    def json(self) -> bytes:
        """One line of JSON in UTF-8, without its newline."""
        # A file name that is not UTF-8 reaches us with lone surrogates, which no JSON reader takes.
        return to_json(self.data).encode("utf-8", "replace")


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
        "stages_ms": {name: round(float(took), 2) for name, took in result.stages_ms.items()},
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
    x, y, width, height = face.box
    return {
        "id": face.id,
        # A face of half a pixel still has an extent.
        "box": [round(x), round(y), max(1, round(width)), max(1, round(height))],
        **({"predicted": True} if face.predicted else {}),
        "score": None if face.score is None else round(float(face.score), 3),
        "expression": face.expression,
        "confidence": round(float(face.confidence), 3),
        "stable": face.stable,
        "stable_since": timestamp(face.stable_since),
        "probabilities": {label: round(p, 3) for label, p in zip(labels, face.probabilities.tolist(), strict=True)},
    }
