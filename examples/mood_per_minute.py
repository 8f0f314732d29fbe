"""What the faces of each minute showed on average, from a file of events.

fer-edge run --publish file:events.jsonl
python examples/mood_per_minute.py events.jsonl
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
    sys.exit(__doc__)
sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
faces: dict[str, int] = defaultdict(int)
with Path(sys.argv[1]).open(encoding="utf-8") as lines:
    for event in map(json.loads, lines):
        minute = event["time"][:16]
        for face in event["faces"]:
            faces[minute] += 1
            for label, probability in face["probabilities"].items():
                sums[minute][label] += probability
for minute, labels in sums.items():
    means = sorted(((total / faces[minute], label) for label, total in labels.items()), reverse=True)
    print(minute, ", ".join(f"{label} {mean:.0%}" for mean, label in means[:3]))
