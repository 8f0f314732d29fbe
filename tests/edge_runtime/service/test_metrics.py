"""Metrics, as a scraper sees them."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import pytest

from fer_edge.contract.errors import ConfigError, MissingExtraError, PublishError
from fer_edge.publish.health import SinkHealth
from fer_edge.service import metrics
from fer_edge.service.metrics import Metrics, MetricsServer, measuring
from results import face, result

parser = pytest.importorskip("prometheus_client.parser", reason="prometheus-client is not installed")

LOOP: Any = SimpleNamespace(dropped=7, failures=2)
BROKER = SinkHealth(name="MQTT broker b:1", last_progress=0.0, queued=1, spooled=20, spool_bytes=4096, delivered=30,
                    dropped=4, refused=5, reconnects=6, connected=False)  # fmt: skip
SINKS: Any = SimpleNamespace(health=lambda: (SinkHealth(name="file a", last_progress=0.0, delivered=3), BROKER, BROKER))
FACTS = {"version": "1.2.3", "model": "mini", "detector": "yunet"}


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> None:
    state = SimpleNamespace(temperature_c=51.5, throttled=0b1001, slowed=True, under_voltage=True)
    monkeypatch.setattr(metrics, "read_health", lambda: state)


@pytest.fixture
def measured(board: None) -> Metrics:
    made = Metrics(LOOP, SINKS, facts=FACTS)
    made.observe(result())
    made.observe(result(face(1), face(2, stable="sad")))
    return made


@pytest.fixture
def served(measured: Metrics) -> Iterator[MetricsServer]:
    server = MetricsServer("127.0.0.1:0", measured.registry, token=None)
    yield server
    server.close()


def fetched(port: int, path: str = "/metrics", **headers: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        return str(answer.read().decode())


def samples(text: str) -> dict[tuple[str, str], float]:
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            assert (sample.name, labels) not in found, "a series is there twice"
            found[sample.name, labels] = sample.value
    return found


def test_everything_a_run_does_can_be_scraped(served: MetricsServer) -> None:
    seen = samples(fetched(served.port))

    assert seen["fer_edge_build_info", "detector=yunet,model=mini,version=1.2.3"] == 1
    assert seen["fer_edge_frames_total", ""] == 2
    assert seen["fer_edge_frames_dropped_total", ""] == 7
    assert seen["fer_edge_frame_failures_total", ""] == 2
    assert seen["fer_edge_faces", ""] == 2
    assert seen["fer_edge_face_frames_total", "expression=sad"] == 1
    for stage in ("capture", "detect", "classify"):
        assert seen["fer_edge_stage_seconds_count", f"stage={stage}"] == 2
    assert seen["fer_edge_stage_seconds_sum", "stage=detect"] == pytest.approx(2 * 0.0074)
    assert seen["fer_edge_stage_seconds_bucket", "le=0.01,stage=detect"] == 2
    assert seen["fer_edge_stage_seconds_bucket", "le=0.005,stage=detect"] == 0
    assert seen["fer_edge_result_age_seconds_sum", ""] == pytest.approx(2 * 0.01234)
    broker = "sink=MQTT broker b:1"
    for name, value in {
        "queued": 1, "spooled": 20, "spool_bytes": 4096, "connected": 0, "delivered_total": 30, "dropped_total": 4,
        "refused_total": 5, "reconnects_total": 6,
    }.items():  # fmt: skip
        assert seen[f"fer_edge_sink_{name}", broker] == value
        assert seen[f"fer_edge_sink_{name}", f"{broker} (2)"] == value
    assert ("fer_edge_sink_connected", "sink=file a") not in seen
    assert seen["fer_edge_temperature_celsius", ""] == 51.5
    assert (seen["fer_edge_throttled_mask", ""], seen["fer_edge_slowed", ""]) == (9, 1)
    assert seen["process_resident_memory_bytes", ""] > 1e6


def test_there_is_nothing_else(served: MetricsServer) -> None:
    with pytest.raises(HTTPError) as refused:
        fetched(served.port, "/../etc/passwd")
    assert refused.value.code == 404
    assert "Python" not in str(refused.value.headers)


def test_beyond_loopback_a_token_is_asked_for(measured: Metrics) -> None:
    for address in ("0.0.0.0:0", ":0", "[::]:0"):
        with pytest.raises(ConfigError, match="FER_EDGE_METRICS_TOKEN_FILE"):
            MetricsServer(address, measured.registry, token=None)
    server = MetricsServer("0.0.0.0:0", measured.registry, token="t0ken")
    try:
        for wrong in ({}, {"Authorization": "Bearer t0kem"}, {"Authorization": "t0ken"}):
            with pytest.raises(HTTPError) as refused:
                fetched(server.port, **wrong)
            assert refused.value.code == 401
        assert "fer_edge_frames_total" in fetched(server.port, Authorization="Bearer t0ken")
    finally:
        server.close()


def test_the_token_may_be_a_credential_of_systemd(
    board: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("FER_EDGE_METRICS_TOKEN", "FER_EDGE_METRICS_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(ConfigError), measuring("0.0.0.0:0", LOOP, SINKS, facts=FACTS):
        pass
    (tmp_path / "metrics_token").write_text("t0ken\n")
    with caplog.at_level(logging.INFO), measuring("0.0.0.0:0", LOOP, SINKS, facts=FACTS):
        (port,) = re.findall(r"http://0\.0\.0\.0:(\d+)/metrics", caplog.text)
        with pytest.raises(HTTPError, match="401"):
            fetched(int(port))
        assert "fer_edge_frames_total" in fetched(int(port), Authorization="Bearer t0ken")
    assert "t0ken" not in caplog.text


def test_one_that_asks_nothing_holds_nobody_up_for_ever(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(metrics, "REQUEST_S", 0.2)
    served: MetricsServer = request.getfixturevalue("served")
    with socket.create_connection(("127.0.0.1", served.port)):
        began = time.monotonic()
        assert fetched(served.port)
        assert time.monotonic() - began < 3


def test_one_that_drips_holds_neither_the_next_nor_the_end_up(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(metrics, "REQUEST_S", 0.3)
    served: MetricsServer = request.getfixturevalue("served")
    ended = threading.Event()

    def drip(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not ended.wait(0.1):
                client.sendall(b"G")

    with socket.create_connection(("127.0.0.1", served.port)) as client:
        dripping = threading.Thread(target=drip, args=(client,))
        dripping.start()
        began = time.monotonic()
        assert fetched(served.port)
        assert time.monotonic() - began < 3
        ended.set()
        dripping.join()


@pytest.mark.parametrize("address", ["9808", "localhost:99999", "a:b", "a..b:80"])
def test_an_address_that_is_none_is_bad_configuration(address: str, measured: Metrics) -> None:
    with pytest.raises(ConfigError, match=r"metrics address .* is not ADDR:PORT"):
        MetricsServer(address, measured.registry, token=None)


def test_a_port_that_is_taken_is_named(served: MetricsServer, measured: Metrics) -> None:
    with pytest.raises(PublishError, match=rf"127.0.0.1:{served.port}.*give --metrics another"):
        MetricsServer(f"127.0.0.1:{served.port}", measured.registry, token=None)


def test_nothing_is_measured_unless_asked_for() -> None:
    with measuring("", LOOP, SINKS, facts=FACTS) as measure:
        assert measure is None


def test_without_prometheus_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with (
        pytest.raises(MissingExtraError, match=r"fer-edge\[metrics\]"),
        measuring("127.0.0.1:0", LOOP, SINKS, facts=FACTS),
    ):
        pass
