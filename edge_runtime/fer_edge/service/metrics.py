"""What a run does, in figures for Prometheus (text format 0.0.4), on a port of the loopback."""

from __future__ import annotations

import contextlib
import hmac
import logging
import socket
import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

from fer_edge import __version__
from fer_edge.contract.errors import ConfigError, MissingExtraError, PublishError
from fer_edge.contract.secret import read_secret
from fer_edge.health import read_health
from fer_edge.preview import Address
from fer_edge.publish import Sinks
from fer_edge.records import FrameResult

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from fer_edge.loop import Loop

_log = logging.getLogger(__name__)

STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""From a classifier on a desktop to a Haar cascade on a board that is throttled."""

REQUEST_S = 2.0
"""One scraper is served at a time, and one that does not ask is let go after so long, seconds."""

Measure = Callable[[FrameResult], None]


@contextlib.contextmanager
def measuring(address: str, loop: Loop, sinks: Sinks, *, facts: Mapping[str, str]) -> Iterator[Measure | None]:
    """Serve metrics while a run goes on.

    Args:
        address: ADDR:PORT to serve them at; empty measures nothing.
        loop, sinks: whose counters are shown.
        facts: labels of `fer_edge_build_info`: version, model, detector.

    Yields:
        What takes each result, or None where nothing is measured.

    Raises:
        MissingExtraError: prometheus-client is not installed.
        ConfigError: the address is none, or lies beyond loopback and there is no token.
        PublishError: the port cannot be listened on.
    """
    if not address:
        yield None
        return
    metrics = Metrics(loop, sinks, facts=facts)
    server = MetricsServer(address, metrics.registry, token=read_secret("metrics_token"))
    try:
        yield metrics.observe
    finally:
        server.close()


class Metrics:
    """Counts frames as they pass; everything else is looked up when somebody asks.

    Args:
        loop, sinks: whose counters are shown.
        facts: labels of `fer_edge_build_info`.

    Attributes:
        registry: prometheus-client's, of this run alone.

    Raises:
        MissingExtraError: prometheus-client is not installed.
    """

    def __init__(self, loop: Loop, sinks: Sinks, *, facts: Mapping[str, str]) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
        except ImportError as error:
            raise MissingExtraError("a metrics port", "metrics") from error
        self._loop, self._sinks = loop, sinks
        self.registry = CollectorRegistry()
        Info("fer_edge_build", "What was started.", registry=self.registry).info(dict(facts))
        self._frames = Counter("fer_edge_frames", "Frames that went through the loop.", registry=self.registry)
        self._faces = Gauge("fer_edge_faces", "Faces in the newest frame.", registry=self.registry)
        self._seen = Counter(
            "fer_edge_face_frames", "Faces in all frames, by stable expression.", ["expression"], registry=self.registry
        )
        self._stages = Histogram(
            "fer_edge_stage_seconds", "Time a stage of the loop took for a frame.", ["stage"],
            buckets=STAGE_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self._age = Histogram(
            "fer_edge_result_age_seconds", "From capture until the result was known.",
            buckets=STAGE_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def observe(self, result: FrameResult) -> None:
        """Take one result."""
        self._frames.inc()
        self._faces.set(len(result.faces))
        for face in result.faces:
            self._seen.labels(face.stable).inc()
        for stage, took_ms in result.stages_ms.items():
            self._stages.labels(stage).observe(took_ms / 1e3)
        self._age.observe(result.age_ms / 1e3)

    def collect(self) -> Iterable[Metric]:
        """The board's state and the counters of loop and sinks; called by the registry."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        dropped = "Frames of a live source that a newer one replaced before they were looked at."
        yield CounterMetricFamily("fer_edge_frames_dropped", dropped, value=self._loop.dropped)
        failures = "Frames that were no pictures, or that the detector failed on."
        yield CounterMetricFamily("fer_edge_frame_failures", failures, value=self._loop.failures)
        board = read_health()
        if board.temperature_c is not None:
            yield GaugeMetricFamily("fer_edge_temperature_celsius", "Of the processor.", value=board.temperature_c)
        if board.throttled is not None:
            mask = "The firmware's bit mask, get_throttled."
            yield GaugeMetricFamily("fer_edge_throttled_mask", mask, value=board.throttled)
            yield GaugeMetricFamily("fer_edge_slowed", "The processor is slowed right now.", value=board.slowed)
            yield GaugeMetricFamily("fer_edge_under_voltage", "Under-voltage since boot.", value=board.under_voltage)
        yield from self._of_sinks()

    def _of_sinks(self) -> Iterable[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        gauges = {
            "queued": "Events in memory that wait for the sink.",
            "spooled": "Events on disk that wait for the broker.",
            "spool_bytes": "What those take up.",
            "connected": "Whether the other side can be reached.",
        }
        counters = {
            "delivered": "Events that reached their destination.",
            "dropped": "Events that found no room or no connection.",
            "refused": "Answers that said no.",
            "reconnects": "Connections made after the first one.",
        }
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for name, about in gauges.items():
            families[name] = GaugeMetricFamily(f"fer_edge_sink_{name}", about, labels=["sink"])
        for name, about in counters.items():
            families[name] = CounterMetricFamily(f"fer_edge_sink_{name}", about, labels=["sink"])
        names: Tally[str] = Tally()
        for health in self._sinks.health():
            # Two sinks may have one name, two series may not.
            names[health.name] += 1
            sink = health.name if names[health.name] == 1 else f"{health.name} ({names[health.name]})"
            for name, family in families.items():
                value = getattr(health, name)
                if value is not None:
                    family.add_metric([sink], float(value))
        yield from families.values()


def check_address(address: str, *, token: str | None) -> Address:
    """Where metrics are served: ADDR:PORT.

    Raises:
        ConfigError: the address is none, or lies beyond loopback and there is no token.
    """
    try:
        where = Address.parse(address)
    except ConfigError as error:
        raise ConfigError(f"metrics address {address!r} is not ADDR:PORT, such as 127.0.0.1:9808") from error
    if not where.loopback and not token:
        raise ConfigError(
            f"metrics at {address} could be read by others; put a token into a file and name that in "
            "FER_EDGE_METRICS_TOKEN_FILE, or listen on 127.0.0.1"
        )
    return where


class MetricsServer:
    """Answers GET /metrics, one request at a time, in a thread of its own.

    On loopback everybody on this machine may ask. Beyond it the secret `metrics_token` is needed and has to come
    as `Authorization: Bearer` (RFC 6750).

    Args:
        address: ADDR:PORT; port 0 lets the system choose.
        registry: what is shown.
        token: the secret, or None.

    Attributes:
        port: where it listens.

    Raises:
        ConfigError: the address is none, or lies beyond loopback and there is no token.
        PublishError: the port cannot be listened on.
    """

    def __init__(self, address: str, registry: CollectorRegistry, *, token: str | None) -> None:
        where = check_address(address, token=token)
        try:
            listener = where.listen()
        except PublishError as error:
            reason = error.__cause__ or error
            raise PublishError(f"metrics cannot be served at {address} ({reason}); give --metrics another") from error
        self._server = HTTPServer(listener.getsockname()[:2], _handler(registry, token), bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener
        self.port: int = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        _log.info("metrics: http://%s:%d/metrics", where.host or "*", self.port)

    def close(self) -> None:
        """Answer nobody any more; at most `REQUEST_S` for the one being served."""
        self._server.shutdown()
        self._server.server_close()


def _handler(registry: CollectorRegistry, token: str | None) -> type[BaseHTTPRequestHandler]:
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = f"fer-edge/{__version__}", ""
        timeout = REQUEST_S

        def setup(self) -> None:
            # The timeout is that of each read: a client that drips would keep everybody else out.
            self._limit = threading.Timer(REQUEST_S, self._hang_up)
            self._limit.daemon = True
            self._limit.start()
            super().setup()

        def finish(self) -> None:
            self._limit.cancel()
            with contextlib.suppress(OSError):
                super().finish()

        def _hang_up(self) -> None:
            with contextlib.suppress(OSError):
                self.request.shutdown(socket.SHUT_RDWR)

        def do_GET(self) -> None:
            if token is not None and not self._knows(token):
                self.send_error(401)
            elif self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
            else:
                content = generate_latest(registry)
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE_LATEST)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def _knows(self, token: str) -> bool:
            given = self.headers.get("Authorization", "")
            return hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {token}".encode())

        def log_message(self, format: str, *arguments: object) -> None:
            _log.debug("metrics: " + format, *arguments)

    return Handler
