"""An output of your own: every event as a UDP datagram, for whoever listens.

python examples/custom_sink.py clip.mkv udp:127.0.0.1:9999
"""

import socket
import sys
import time

from fer_edge.publish import SINKS, Event, Kind, SinkContext, SinkHealth
from fer_edge.service import config
from fer_edge.service.run import run


class UdpSink:
    every_frame = False

    def __init__(self, spec: str, context: SinkContext) -> None:
        _, host, port = spec.split(":")
        self.name, self._address, self._sent = spec, (host, int(port)), 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def publish(self, event: Event) -> None:
        self._socket.sendto(event.json, self._address)
        self._sent += 1

    def health(self) -> SinkHealth:
        return SinkHealth(name=self.name, delivered=self._sent, last_progress=time.monotonic())

    def close(self) -> None:
        self._socket.close()


if len(sys.argv) < 3:
    sys.exit(__doc__)
SINKS["udp"] = Kind("udp:HOST:PORT", UdpSink)
run(config.load(flags={"source": sys.argv[1], "publish": [sys.argv[2]]}))
