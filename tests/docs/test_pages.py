"""What the pages quote exists: log lines, settings, topics, links; the references are what the code says."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from broker import MOSQUITTO, Broker, Subscriber, until
from documents import PAGES, ROOT, Block, blocks

from fer_edge.publish import SinkContext, open_sink
from fer_edge.publish.event import Event, schema
from fer_edge.service import config
from results import face, result

TROUBLE = ROOT / "docs" / "troubleshooting"
LOG_LINES = [(block.place, line) for block in blocks("log") for line in block.text.splitlines()]
_HOLE = re.compile(r"%[.\d]*[sdfg]|%%")
_LEVEL = re.compile(r"^(?:(?:INFO|WARNING|ERROR|CRITICAL) |fer-edge: )")
MAX_PICTURE_BYTES = 200_000
MIN_LITERAL = 6
"""Characters that a piece of a message needs for its being found to mean something."""


def pieces() -> Iterator[list[str]]:
    """The texts of the runtime's source, each as what stands between the values that are filled in."""
    for path in (ROOT / "edge_runtime" / "fer_edge").rglob("*.py"):
        inside: set[int] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                inside |= {id(part) for part in ast.walk(node) if part is not node}
                yield [part.value for part in node.values if isinstance(part, ast.Constant)]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                yield _HOLE.split(node.value)


SOURCE = list(pieces())


def share_in_source(line: str) -> float:
    """How much of a line is text of the source, pieces of one message in their order, 0 to 1."""
    covered = [False] * len(line)
    for message in SOURCE:
        spans, start = [], 0
        for piece in (part.strip() for part in message):
            if len(piece) < MIN_LITERAL:
                continue
            at = line.find(piece, start)
            if at < 0:
                break
            spans.append((at, start := at + len(piece)))
        else:
            for begin, end in spans:
                covered[begin:end] = [True] * (end - begin)
    return sum(covered) / len(line)


@pytest.mark.parametrize(("place", "line"), LOG_LINES)
def test_a_quoted_log_line_is_one_that_the_source_says(place: str, line: str) -> None:
    said = _LEVEL.sub("", line)
    assert share_in_source(said) >= 0.4, f"{place}: the source says no such thing: {line}"


def test_a_log_line_that_is_not_in_the_source_is_found() -> None:
    for line in (
        "the processor is too hot at 82 C; each frame is skipped",
        "MQTT broker broker.local:1883 was never heard of; trying again for a while",
    ):
        assert share_in_source(line) < 0.4


def test_every_symptom_has_a_page_and_every_page_its_line() -> None:
    index = (TROUBLE / "README.md").read_text()
    pages = {page.name for page in TROUBLE.glob("*.md")} - {"README.md"}
    rows = re.findall(r"^\| .*?\]\(([\w-]+\.md)\).*?\|(.*)\|$", index, re.MULTILINE)
    assert {name for name, _ in rows} == pages
    for name, shown in rows:
        quoted = "".join(line for place, line in LOG_LINES if place.startswith(f"docs/troubleshooting/{name}"))
        for part in re.findall(r"`([^`]+)`", shown):
            assert part in quoted, f"{name} does not quote {part!r}"


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{target} does not exist"
        assert there.is_relative_to(ROOT)
        if anchor:
            assert anchor in _anchors(there), f"{target} has no such heading"


def test_pictures_load_at_once() -> None:
    pictures = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".png", ".svg", ".jpg", ".gif")]
    assert pictures
    assert not {path.name: path.stat().st_size for path in pictures if path.stat().st_size > MAX_PICTURE_BYTES}


def test_the_references_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: block.place)
def test_json_is_json_and_an_event_an_event(block: Block) -> None:
    data = json.loads(block.text)
    if "faces" in data:
        jsonschema.validate(data, schema())


def test_settings_that_the_pages_name_exist_with_that_default() -> None:
    named = [
        (name, number)
        for page in PAGES
        if page.name != "publish.md"  # its numbers are of outputs
        for name, number in re.findall(r"`(\w+)` \(([\d.]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(named) >= 4
    for name, number in named:
        assert config.FIELDS[name].default == float(number), name


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (sudo apt install mosquitto)")
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (the mqtt extra)")
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


def test_mqtt_messages_have_the_fields_of_the_reference(broker: Broker) -> None:
    listener = Subscriber(broker.port)
    context = SinkContext(
        device="kitchen", run="r", every_frame=False, labels=result().labels,
        facts=lambda: {"version": "1", "model": "mini", "model_sha256": "0", "detector": "haar"},
    )  # fmt: skip
    sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/fer/kitchen?discovery=homeassistant", context)
    sink.publish(Event(result=result(face()), device="kitchen", run="r"))
    topics = ("status", "stats", "state")
    until(lambda: all(listener.payloads(f"fer/kitchen/{topic}") for topic in topics), "all retained messages")
    sink.close()
    listener.close()
    page = (ROOT / "docs" / "events.md").read_text()
    for topic in topics:
        written = re.findall(rf"^\| `TOPIC/{topic}` \| `(\w+)` \|", page, re.MULTILINE)
        assert set(written) == set(json.loads(listener.payloads(f"fer/kitchen/{topic}")[-1]))


def test_the_recipes_listen_to_topics_that_exist() -> None:
    (block,) = [block for block in blocks("toml") if "mqtt_consumer" in block.text]
    inputs = tomllib.loads(block.text)["inputs"]["mqtt_consumer"]
    page = (ROOT / "docs" / "events.md").read_text()
    for consumer in inputs:
        (topic,) = consumer["topics"]
        prefix, _, name = topic.rpartition("/")
        assert prefix == "fer/+"
        fields = re.findall(rf"^\| `TOPIC/{name}` \| `(\w+)` \|", page, re.MULTILINE)
        assert set(consumer["json_string_fields"]) <= set(fields)
