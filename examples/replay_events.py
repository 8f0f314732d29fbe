"""When each face of a recorded run changed what it steadily showed.

fer-edge run --publish file:events.jsonl
python examples/replay_events.py events.jsonl
"""

import sys
from pathlib import Path

from fer_edge.service.replay import read_events

if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
    sys.exit(__doc__)
shown: dict[int, str] = {}
start = None
for event in read_events(Path(sys.argv[1])):
    start = start or event.result.time
    for face in event.result.faces:
        if shown.get(face.id) != face.stable:
            print(f"{event.result.time - start:7.2f} s  face {face.id}: {shown.get(face.id, 'new')} -> {face.stable}")
            shown[face.id] = face.stable
