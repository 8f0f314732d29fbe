from __future__ import annotations

import builtins
import ssl
from pathlib import Path
from typing import Any

import pytest

from fer_edge.contract.errors import ConfigError, MissingExtraError, UsageError
from fer_edge.publish import SinkContext, mqtt, open_sink
from fer_edge.publish.mqtt import parse_broker


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "PASSWORD", "PASSWORD_FILE", "CA"):
        monkeypatch.delenv(f"FER_EDGE_MQTT_{name}", raising=False)


def test_a_spec_names_host_port_topic_user_and_quality() -> None:
    plain = parse_broker("mqtt://pi.local/fer/kitchen")
    assert plain == ("pi.local", 1883, "fer/kitchen", 0, None, None, None)
    full = parse_broker("mqtt://cam%40home@[::1]:1999/a%20b/c?qos=2")
    assert full == ("::1", 1999, "a b/c", 2, "cam@home", None, None)
    tls = parse_broker("mqtts://pi.local/fer")
    assert tls.port == 8883
    assert tls.tls is not None and tls.tls.verify_mode is ssl.CERT_REQUIRED and tls.tls.check_hostname


def test_user_and_password_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FER_EDGE_MQTT_USER", "cam")
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "one")
    assert parse_broker("mqtt://h/t")[4:6] == ("cam", "one")
    assert parse_broker("mqtt://other@h/t").user == "other"

    monkeypatch.delenv("FER_EDGE_MQTT_USER")
    assert parse_broker("mqtt://h/t")[4:6] == (None, None)  # MQTT knows no password without a user

    (tmp_path / "password").write_text("two words\n")
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD_FILE", str(tmp_path / "password"))
    assert parse_broker("mqtt://cam@h/t").password == "two words"

    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD_FILE", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match=r"missing of FER_EDGE_MQTT_PASSWORD_FILE cannot be read .No such file"):
        parse_broker("mqtt://cam@h/t")


def test_another_authority_is_trusted_only_where_it_can_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate\n")
    for name in ("ca.pem", "missing.pem"):
        monkeypatch.setenv("FER_EDGE_MQTT_CA", str(tmp_path / name))
        with pytest.raises(ConfigError, match=f"{name} of FER_EDGE_MQTT_CA cannot be read"):
            parse_broker("mqtts://h/t")
        parse_broker("mqtt://h/t")  # not asked for


@pytest.mark.parametrize(
    "spec",
    [
        "mqtt:",
        "mqtt://",
        "mqtt://host",
        "mqtt://host/",
        "mqtt:///topic",
        "mqtt://host:0/t",
        "mqtt://host:70000/t",
        "mqtt://host:x/t",
        "mqtt://[::1/t",
        "mqtt://a..b/t",
        "mqtt://h/a/#",
        "mqtt://h/+/b",
        "mqtt://h/t?qos=3",
        "mqtt://h/t?retain=1",
        "mqtt://h/%00",
        f"mqtt://{'a' * 64}/t",
    ],
)
def test_nonsense_is_refused_with_the_form(spec: str, context: SinkContext) -> None:
    with pytest.raises(UsageError) as raised:
        open_sink(spec, context)
    assert mqtt.FORM in str(raised.value)


@pytest.mark.parametrize("spec", ["mqtt://me:s3cret@host/t", "mqtts://:s3cret@host/t", "mqtt://me:s3cret@host:x/t"])
def test_a_password_in_a_spec_is_refused_and_not_repeated(spec: str, context: SinkContext) -> None:
    with pytest.raises(UsageError) as raised:
        open_sink(spec, context)
    assert "s3cret" not in str(raised.value)
    assert ":x" in spec or "FER_EDGE_MQTT_PASSWORD_FILE" in str(raised.value)


def test_without_paho_the_extra_is_named(context: SinkContext, monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def refuse(name: str, *arguments: Any) -> Any:
        if name.startswith("paho"):
            raise ImportError(name)
        return load(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"fer-edge\[mqtt\]"):
        open_sink("mqtt://127.0.0.1/t", context)
