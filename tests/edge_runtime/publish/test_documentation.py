"""docs/publish.md says what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fer_edge.publish import SINKS, SinkContext, command, homeassistant, open_sink
from fer_edge.publish.broker import FORM, parse_broker
from fer_edge.publish.rule import Rule, parse_rule

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "publish.md").read_text()
_KINDS = "|".join(kind for kind in SINKS if kind != "-")
EXAMPLES = [
    spec
    for quoted, block in re.findall(r"```\n(.*?)```|`([^`\n]+)`", TEXT.partition("## Metrics")[0], re.DOTALL)
    for spec in (quoted or block).splitlines()
    if re.fullmatch(rf"(?:{_KINDS}):(?!//$)\S.*", spec)
]


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    gpiozero = pytest.importorskip("gpiozero", reason="gpiozero is not installed (the gpio extra)")
    from gpiozero.pins.mock import MockFactory

    factory = MockFactory()
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield
    factory.reset()


def test_every_kind_of_sink_has_an_example() -> None:
    kinds = {spec.partition(":")[0] for spec in EXAMPLES}
    assert kinds == {*SINKS} - {"mqtts", "http", "-"}
    assert "| `-` |" in TEXT and "`mqtts://`" in TEXT and "`http://`" in TEXT
    assert sum("#" in spec for spec in EXAMPLES) >= 3


@pytest.mark.parametrize("spec", EXAMPLES)
def test_every_example_opens(
    spec: str, board: None, context: SinkContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command.shutil, "which", lambda program: program)
    if spec.startswith("mqtt"):
        parse_broker(spec)
    else:
        open_sink(spec, context).close()


def test_the_defaults_in_the_text_are_those_of_the_code() -> None:
    form: dict[str, Any] = dict(pair.split("=") for pair in re.findall(r"[?&](\w+=\w+)", FORM))
    written = dict(re.findall(r"[?&](\w+)=(\w+)", next(spec for spec in EXAMPLES if spec.startswith("mqtt://USER"))))
    assert written == form
    broker = parse_broker("mqtt://h/t")
    assert (broker.qos, broker.frames, broker.stats_s, broker.spool_bytes) == (
        int(written["qos"]), written["frames"] == "1", int(written["stats_s"]), int(written["spool_mb"]) * 1_000_000,
    )  # fmt: skip
    assert parse_rule("", ["happy"], "") == (Rule(), {})


def test_every_retained_topic_is_named() -> None:
    for name in homeassistant.RETAINED:
        assert f"`fer/kitchen/{name}` | retained" in TEXT
