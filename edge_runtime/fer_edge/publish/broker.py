"""Which MQTT broker, as whom, and how: a spec and its secrets made into a `Broker`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from fer_edge.contract.errors import ConfigError, UsageError
from fer_edge.contract.secret import read_secret
from fer_edge.publish.spec import spec_options

if TYPE_CHECKING:
    import ssl

FORM = "mqtt://[USER@]HOST[:PORT]/TOPIC[?qos=1&frames=0&stats_s=60&spool_mb=10&discovery=homeassistant]"
FORM_TLS = FORM.replace("mqtt:", "mqtts:")

_PORTS = {"mqtt": 1883, "mqtts": 8883}

_PREFIX = r"[A-Za-z0-9_\-]+(/[A-Za-z0-9_\-]+)*|"
"""What Home Assistant takes as a discovery prefix; empty turns discovery off."""


class Broker(NamedTuple):
    """Where, as whom and what to publish.

    Attributes:
        host, port: of the broker.
        topic: that events go to; what else is said goes to topics below it.
        user, password: or None.
        tls: how to secure the connection, or None for none.
        qos: 0, 1 or 2, of the events.
        frames: whether TOPIC/frames gets every frame, at qos 0.
        stats_s: time between two TOPIC/stats, seconds.
        spool_bytes: what may wait on disk while the broker is away, bytes.
        discovery: Home Assistant's discovery prefix; empty for none.
    """

    host: str
    port: int
    topic: str
    user: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    qos: int = 1
    frames: bool = False
    stats_s: int = 60
    spool_bytes: int = 10_000_000
    discovery: str = ""


def parse_broker(spec: str) -> Broker:
    """Read an `mqtt://` or `mqtts://` spec, FER_EDGE_MQTT_* and the certificates.

    Raises:
        UsageError: the spec is malformed or holds a password.
        ConfigError: the password or a certificate cannot be read.
    """
    form = FORM_TLS if spec.startswith("mqtts:") else FORM
    try:
        url = urlsplit(spec)
        port = url.port
        # Each label of a name has 1 to 63 characters.
        (url.hostname or "").encode("idna")
    except ValueError as error:
        raise UsageError(f"an MQTT output names no usable host and port; it is written {form}") from error
    if url.password is not None:
        raise UsageError(
            "an MQTT output holds a password, which everybody on this machine could read; "
            "put it into a file and name that in FER_EDGE_MQTT_PASSWORD_FILE"
        )
    if not url.hostname or port == 0:
        raise UsageError(f"an MQTT output names no usable host and port; it is written {form}")
    topic = unquote(url.path[1:])
    # MQTT 5.0, 4.7: wildcards and NUL are for nobody, $ is for the broker; a topic has 65,535 bytes at most.
    if not topic or set(topic) & set("#+\0") or topic[0] == "$" or len(topic.encode(errors="replace")) > 60_000:
        raise UsageError(f"an MQTT output needs a topic, in which # and + are not allowed; it is written {form}")
    if "#" in spec:
        raise UsageError(
            f"an MQTT output takes no rule and no # in its topic: subscribers choose; it is written {form}"
        )
    options = spec_options(
        url.query, form,
        qos=(1, range(3)), frames=(0, range(2)), stats_s=(60, range(1, 86_401)), spool_mb=(10, range(1, 10_001)),
        discovery=("", _PREFIX),
    )  # fmt: skip
    user = unquote(url.username) if url.username else os.environ.get("FER_EDGE_MQTT_USER")
    return Broker(
        host=url.hostname,
        port=port or _PORTS[url.scheme],
        topic=topic,
        user=user or None,
        password=read_secret("mqtt_password") if user else None,
        tls=_tls() if url.scheme == "mqtts" else None,
        qos=int(options["qos"]),
        frames=options["frames"] == "1",
        stats_s=int(options["stats_s"]),
        spool_bytes=int(options["spool_mb"]) * 1_000_000,
        discovery=options["discovery"],
    )


def _tls() -> ssl.SSLContext:
    import ssl

    authority = os.environ.get("FER_EDGE_MQTT_CA")
    try:
        context = ssl.create_default_context(cafile=authority or None)
    except OSError as error:  # a missing file, or one without certificates
        raise ConfigError(
            f"the certificates {authority} of FER_EDGE_MQTT_CA cannot be read ({error.strerror or error}); "
            "name a PEM file"
        ) from error
    certificate, key = os.environ.get("FER_EDGE_MQTT_CERT"), os.environ.get("FER_EDGE_MQTT_KEY")
    if key and not certificate:
        raise ConfigError(
            f"FER_EDGE_MQTT_KEY names {key} but FER_EDGE_MQTT_CERT is missing; name its certificate there"
        )
    if certificate:
        password = read_secret("mqtt_key_password")
        try:
            # Without a password OpenSSL would ask for it at the terminal, and wait for ever under systemd.
            context.load_cert_chain(certificate, key or None, lambda: password or "")
        except OSError as error:
            raise ConfigError(
                f"the certificate {certificate} of FER_EDGE_MQTT_CERT and its key {key or certificate} cannot be used "
                f"({error.strerror or error}); name two PEM files that belong together"
            ) from error
    return context
