"""How many frames of a clip show which expression, counted once for each face in each frame.

python examples/count_expressions.py clip.mkv
"""

import sys
from collections import Counter

from fer_edge import Pipeline

counts: Counter[str] = Counter()
frames = 0
for result in Pipeline(sys.argv[1]):
    frames += 1
    counts.update(face.stable for face in result.faces)
for label, count in counts.most_common():
    print(f"{label:<10}{count:6}")
print(f"in {frames} frames")
