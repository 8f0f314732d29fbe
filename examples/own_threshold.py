"""Your own rule instead of the smoothed label: surprise over 0.6 in three frames in a row.

python examples/own_threshold.py clip.mkv [LABEL]
"""

import sys
from collections import defaultdict

from fer_edge import Pipeline
from fer_edge.contract.errors import FerError

LABEL, THRESHOLD, FRAMES = "surprise", 0.6, 3

if len(sys.argv) < 2:
    sys.exit(__doc__)
label = sys.argv[2] if len(sys.argv) > 2 else LABEL
in_a_row: defaultdict[int, int] = defaultdict(int)
try:
    for result in Pipeline(sys.argv[1]):
        for face in result.faces:
            over = face.probabilities[result.labels.index(label)] > THRESHOLD
            in_a_row[face.id] = in_a_row[face.id] + 1 if over else 0
            if in_a_row[face.id] == FRAMES:
                print(f"{result.name or result.time}: face {face.id} shows {label}")
except FerError as error:
    sys.exit(str(error))
