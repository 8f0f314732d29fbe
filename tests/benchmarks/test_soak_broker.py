"""The scenarios with a broker: they count what goes wrong, and a twentieth of each goes well."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from fer_bench.soak import broker, row
from fer_bench.soak.mosquitto import Listener
from fer_edge.contract.errors import PublishError, UsageError

TWENTIETH = 0.05


@pytest.fixture
def mosquitto() -> None:
    if shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
        pytest.skip("mosquitto is not installed (sudo apt install mosquitto)")
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (the mqtt extra)")


def listener_that_heard(*events: tuple[str, int]) -> Any:
    listener: Any = SimpleNamespace(heard=Counter(), late=0, _newest={})
    for run, seq in events:
        Listener._take(listener, json.dumps({"run": run, "seq": seq}).encode())
    return listener


def test_what_is_lost_comes_twice_or_late_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "DRAIN_S", 0.0)
    expected = {("a", 0), ("a", 1), ("a", 2), ("b", 0)}
    fine = listener_that_heard(("a", 0), ("a", 1), ("b", 0), ("a", 2))
    assert broker._figures(expected, fine) == {"lost": 0, "duplicates": 0, "out_of_order": 0}
    # What is sent again comes late by nature: only its first arrival counts for the order.
    bad = listener_that_heard(("a", 0), ("a", 2), ("a", 1), ("a", 2), ("a", 0))
    assert broker._figures(expected, bad) == {"lost": 1, "duplicates": 2, "out_of_order": 1}


def test_each_event_is_a_stable_change() -> None:
    stables = [broker.event(seq, run="r").result.faces[0].stable for seq in range(20)]
    assert all(one != other for one, other in itertools.pairwise(stables))


def test_without_a_broker_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *arguments, **options: None)
    with pytest.raises(UsageError, match="apt install mosquitto"):
        broker.broker_stops(TWENTIETH)


def test_a_process_that_ends_by_itself_is_no_kill(mosquitto: None, tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishError, match="ended by itself"):
        broker._killed_after(1, port=-1, folder=tmp_path, run="r")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["broker-stops", "kills", "payload-mutations"])
def test_a_twentieth_of(name: str, mosquitto: None) -> None:
    found = row(name, TWENTIETH)
    assert found["kept"], found
    figures = found["figures"]
    if name == "broker-stops":
        assert figures["reconnects"] >= figures["stops"] == 1 and figures["most_waiting"] > 0
    if name == "kills":
        assert figures["accepted"] > 0
    if name == "payload-mutations":
        assert figures["accepted"] > 0, "births are among them"
