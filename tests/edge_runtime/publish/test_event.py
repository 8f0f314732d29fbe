from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given

from fer_edge.publish import Event
from fer_edge.publish.event import schema
from fer_edge.records import FrameResult
from results import face, result, results

GOLDEN = Path(__file__).parent / "golden" / "event.json"
VALIDATOR = jsonschema.Draft202012Validator(schema())


def of(seen: FrameResult) -> Event:
    return Event(result=seen, device="pi-kitchen", run="9f3c2a")


def test_the_format_is_the_golden_one() -> None:
    seen = result(face(), face(8, (0.3, 0.1, 0.2, 0.0, 0.25, 0.1, 0.05), stable="uncertain"), name="clip.mkv#120")

    assert of(seen).json + b"\n" == GOLDEN.read_bytes()


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@given(results())
def test_every_event_is_one_line_of_utf8_that_fits_the_schema(seen: FrameResult) -> None:
    line = of(seen).json

    assert b"\n" not in line
    values = json.loads(line.decode("utf-8"))
    VALIDATOR.validate(values)
    assert values["seq"] == seen.seq
    assert [found["id"] for found in values["faces"]] == [found.id for found in seen.faces]
    for told, found in zip(values["faces"], seen.faces, strict=True):
        assert np.allclose(list(told["probabilities"].values()), found.probabilities, atol=0.0006)
        assert np.allclose(told["box"][:2], found.box[:2], atol=0.51)
        assert np.allclose(told["box"][2:], np.maximum(found.box[2:], 1), atol=0.51)
        assert ("predicted" in told) == found.predicted


def test_a_file_name_that_is_not_utf8_makes_an_event_all_the_same() -> None:
    name = json.loads(of(result(name="caf\udce9.jpg")).json.decode("utf-8"))["frame"]["name"]

    assert name == "caf?.jpg"


def _set(path: str, value: Any) -> Any:
    def spoil(values: dict[str, Any]) -> None:
        *folders, last = (int(part) if part.isdigit() else part for part in path.split("/"))
        target: Any = values
        for part in folders:
            target = target[part]
        target[last] = value

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        _set("v", 2),
        _set("extra", 1),
        _set("faces/0/extra", 1),
        _set("frame/extra", 1),
        _set("seq", -1),
        _set("seq", 1.5),
        _set("age_ms", -0.1),
        _set("time", "2026-11-21T12:00:00Z"),
        _set("time", "2026-13-21T12:00:00.123Z"),
        _set("faces/0/box", [1, 2, 0, 4]),
        _set("faces/0/box", [1, 2, 3]),
        _set("faces/0/box", [1, 2, 3, 4, 5]),
        _set("faces/0/box", [1.5, 2, 3, 4]),
        _set("faces/0/score", 1.01),
        _set("faces/0/id", 0),
        _set("faces/0/confidence", None),
        _set("faces/0/probabilities/happy", -0.01),
        _set("faces/0/probabilities", {"happy": 1.0}),
        _set("stages_ms/detect", -1),
        _set("frame/name", None),
        lambda values: values["faces"][0].pop("stable_since"),
        lambda values: values.pop("run"),
    ],
)
def test_the_schema_refuses_what_is_not_an_event(spoil: Any) -> None:
    values = copy.deepcopy(of(result(face())).data)
    VALIDATOR.validate(values)

    spoil(values)

    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(values)


def test_a_value_that_json_cannot_say_is_an_error_and_not_a_nan() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        _ = of(result(face(probabilities=(np.nan, 0, 0, 1, 0, 0, 0)))).json
