"""How many frames of a clip show which expression, counted once for each face in each frame.

python examples/count_expressions.py clip.mkv
"""

import sys
from collections import Counter

from fer_edge import Pipeline
from fer_edge.contract.errors import FerError

if len(sys.argv) < 2:
    sys.exit(__doc__)
counts: Counter[str] = Counter()
frames = 0
try:
    for result in Pipeline(sys.argv[1]):
        frames += 1
        counts.update(face.stable for face in result.faces)
except FerError as error:
    sys.exit(str(error))
for label, count in counts.most_common():
    print(f"{label:<10}{count:6}")
print(f"in {frames} frames")
