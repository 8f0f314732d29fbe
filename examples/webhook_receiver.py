"""Take the events that fer-edge posts.

python examples/webhook_receiver.py 8000
fer-edge run --publish http://127.0.0.1:8000/
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(event["time"], event["device"], [face["stable"] for face in event["faces"]], flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass  # one line an event is enough


if len(sys.argv) < 2:
    sys.exit(__doc__)
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
