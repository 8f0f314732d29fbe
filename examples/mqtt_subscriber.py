"""Listen to every camera of a broker and print who shows what.

fer-edge run --publish mqtt://broker.local/fer/kitchen
python examples/mqtt_subscriber.py broker.local
"""

import json
import sys

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion


def on_message(client: Client, data: object, message: MQTTMessage) -> None:
    event = json.loads(message.payload)
    shown = ", ".join(face["stable"] for face in event["faces"])
    print(f"{event['time']} {event['device']}: {shown or 'nobody'}", flush=True)


if len(sys.argv) < 2:
    sys.exit(__doc__)
host, _, port = sys.argv[1].partition(":")
client = Client(CallbackAPIVersion.VERSION2)
client.on_message = on_message
client.on_connect = lambda *arguments: client.subscribe("fer/+", qos=1)
client.connect(host, int(port or 1883))
client.loop_forever()
