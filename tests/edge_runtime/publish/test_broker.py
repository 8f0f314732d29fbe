"""What an MQTT spec, its variables and its files say."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from fer_edge.contract.errors import ConfigError, MissingExtraError, UsageError
from fer_edge.publish import SinkContext, open_sink
from fer_edge.publish.broker import FORM, Broker, parse_broker


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "PASSWORD", "PASSWORD_FILE", "CA", "CERT", "KEY"):
        monkeypatch.delenv(f"FER_EDGE_MQTT_{name}", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def test_a_spec_names_host_port_topic_user_and_options() -> None:
    assert parse_broker("mqtt://pi.local/fer/kitchen") == Broker("pi.local", 1883, "fer/kitchen")
    full = "mqtt://cam%40home@[::1]:1999/a%20b/c?qos=2&frames=1&stats_s=5&spool_mb=3&discovery=ha/test"
    assert parse_broker(full) == Broker(
        "::1", 1999, "a b/c", user="cam@home", qos=2, frames=True, stats_s=5, spool_bytes=3_000_000, discovery="ha/test"
    )
    tls = parse_broker("mqtts://pi.local/fer")
    assert tls.port == 8883
    assert tls.tls is not None and tls.tls.verify_mode is ssl.CERT_REQUIRED and tls.tls.check_hostname


def test_stable_changes_at_quality_1_and_no_frames_are_the_default() -> None:
    broker = parse_broker("mqtt://h/t")
    assert (broker.qos, broker.frames, broker.spool_bytes, broker.discovery) == (1, False, 10_000_000, "")


def test_user_and_password_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FER_EDGE_MQTT_USER", "cam")
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "one")
    assert parse_broker("mqtt://h/t")[3:5] == ("cam", "one")
    assert parse_broker("mqtt://other@h/t").user == "other"

    monkeypatch.delenv("FER_EDGE_MQTT_USER")
    assert parse_broker("mqtt://h/t")[3:5] == (None, None)  # MQTT knows no password without a user

    (tmp_path / "mqtt_password").write_text("systemd's\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert parse_broker("mqtt://cam@h/t").password == "systemd's"

    (tmp_path / "password").write_text("two words\n")
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD_FILE", str(tmp_path / "password"))
    assert parse_broker("mqtt://cam@h/t").password == "two words"


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b"\xff\xfe", "not UTF-8"), (b"x" * 70_000, "too large")]
)
def test_a_password_file_that_holds_none_is_refused(
    content: bytes | None, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD_FILE", str(path))
    with pytest.raises(ConfigError, match=rf"password of FER_EDGE_MQTT_PASSWORD_FILE .*{reason}"):
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


def test_a_client_certificate_needs_its_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FER_EDGE_MQTT_KEY", str(tmp_path / "key.pem"))
    with pytest.raises(ConfigError, match="FER_EDGE_MQTT_CERT is missing"):
        parse_broker("mqtts://h/t")

    monkeypatch.setenv("FER_EDGE_MQTT_CERT", str(tmp_path / "missing.pem"))
    with pytest.raises(ConfigError, match=r"missing\.pem of FER_EDGE_MQTT_CERT and its key .*key\.pem cannot be used"):
        parse_broker("mqtts://h/t")


def test_an_encrypted_key_is_never_asked_for_at_the_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:secret", "-subj", "/CN=cam"]
    try:
        subprocess.run([*request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed, which makes the test's certificate")
    monkeypatch.setenv("FER_EDGE_MQTT_CERT", str(certificate))
    monkeypatch.setenv("FER_EDGE_MQTT_KEY", str(key))
    with pytest.raises(ConfigError, match="cannot be used"):
        parse_broker("mqtts://h/t")

    monkeypatch.setenv("FER_EDGE_MQTT_KEY_PASSWORD", "secret")
    assert parse_broker("mqtts://h/t").tls is not None


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
        "mqtt://h/a#expression=happy",
        "mqtt://h/+/b",
        "mqtt://h/$SYS/x",
        "mqtt://h/t?qos=3",
        "mqtt://h/t?retain=1",
        "mqtt://h/t?frames=yes",
        "mqtt://h/t?stats_s=0",
        "mqtt://h/t?spool_mb=0",
        "mqtt://h/t?discovery=a/../%23",
        "mqtt://h/%00",
        f"mqtt://{'a' * 64}/t",
        f"mqtt://h/{'t' * 70_000}",
    ],
)
def test_nonsense_is_refused_with_the_form(spec: str, context: SinkContext) -> None:
    with pytest.raises(UsageError) as raised:
        open_sink(spec, context)
    assert FORM in str(raised.value)


@pytest.mark.parametrize("spec", ["mqtt://me:s3cret@host/t", "mqtts://:s3cret@host/t", "mqtt://me:s3cret@host:x/t"])
def test_a_password_in_a_spec_is_refused_and_not_repeated(spec: str, context: SinkContext) -> None:
    with pytest.raises(UsageError) as raised:
        open_sink(spec, context)
    assert "s3cret" not in str(raised.value)
    assert ":x" in spec or "FER_EDGE_MQTT_PASSWORD_FILE" in str(raised.value)


def test_without_paho_the_extra_is_named(context: SinkContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtraError, match=r"fer-edge\[mqtt\]"):
        open_sink("mqtt://127.0.0.1/t", context)
